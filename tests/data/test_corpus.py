import bz2
import codecs
import gzip
import json
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from seq2seq.data.corpus import read_corpus
from tests.shared_data import shared_data

ODD_LINES = [
    "a\u2028b",
    "c\x85d",
    "e\x0cf\x0bg",
    "h\ri",
    "",
    " \u00a0 ",
    "\u2029\x1c\x1d\x1e",
    "👩‍👩‍👧 é\u0301 עברית 漢字",
]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


@pytest.fixture
def read(tmp_path: Path) -> Any:
    def reader(**options: Any) -> list[tuple[str, str]]:
        rows = read_corpus(cache_directory=tmp_path / "cache", **options)
        return [(row["source"], row["target"]) for row in rows]

    return reader


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last_end", [True, False])
def test_lines_end_at_line_feeds_only(read: Any, tmp_path: Path, end: str, last_end: bool, streaming: bool) -> None:
    text = end.join(ODD_LINES) + (end if last_end else "")
    source = write(tmp_path / "s", text)
    target = write(tmp_path / "t", "\n".join(ODD_LINES[::-1]) + "\n")
    rows = read(source=source, target=target, streaming=streaming)
    assert rows == list(zip(ODD_LINES, ODD_LINES[::-1], strict=True))


TABLES: dict[str, str | bytes] = {
    "x.tsv": 'eins "quoted\tone\tthird\nzwei\ttwo\tdrittes\n',
    "x.csv": '"eins ""quoted",one,third\nzwei,two,drittes\n',
    "x.tsv.gz": gzip.compress(b'eins "quoted\tone\tthird\nzwei\ttwo\tdrittes\n', mtime=0),
    "y.tsv": gzip.compress(b'eins "quoted\tone\tthird\nzwei\ttwo\tdrittes\n', mtime=0),
    "x.tsv.bz2": bz2.compress(b'eins "quoted\tone\tthird\nzwei\ttwo\tdrittes\n'),
    "y.csv": codecs.BOM_UTF16_LE + '"eins ""quoted",one,third\nzwei,two,drittes\n'.encode("utf-16-le"),
    "y.tsv.gz": 'eins "quoted\tone\tthird\nzwei\ttwo\tdrittes\n',
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_without_header_count_columns(read: Any, tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, TABLES[name])
    assert read(path=path) == [('eins "quoted', "one"), ("zwei", "two")]
    assert read(path=path, source_column="2", target_column="0")[1] == ("drittes", "zwei")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.tsv", "\ufeffde\ten\ttag\na\tb\tv\n"),
        ("x.csv", "\ufeffde,en,tag\r\na,b,v\r\n"),
        ("x.jsonl", '{"de": "a", "en": "b", "tag": "v"}\n'),
        ("x.json", '[{"de": "a",\n "en": "b", "tag": "v"}]\n'),
        ("x.jsonl.gz", gzip.compress(b'{"de": "a", "en": "b", "tag": "v"}', mtime=0)),
    ],
)
def test_named_columns_with_prefix_before_tag(read: Any, tmp_path: Path, name: str, content: str | bytes) -> None:
    path = write(tmp_path / name, content)
    options = {"source_column": "de", "target_column": "en", "header": True}
    assert read(path=path, **options) == [("a", "b")]
    assert read(path=path, tag_column="tag", source_prefix="say: ", **options) == [("say: <v> a", "b")]


@pytest.mark.parametrize("streaming", [False, True])
def test_a_row_with_a_stray_tab_is_left_out_and_named(read: Any, tmp_path: Path, streaming: bool) -> None:
    """It is so wherever it stands: first, behind the rows that are looked at first, last."""
    rows = [(f"s{n}", f"t{n}") for n in range(201)]
    lines = [f"{source}\t{target}" for source, target in rows]
    for place in (0, 151, 203):
        lines.insert(place, "ab\tcd\tdcba")
    path = write(tmp_path / "x.tsv", "\n".join(lines))
    expected = r"x\.tsv:1: 3 rows \(lines 1, 152, 204\) have more fields than the 2 that others have and are left out"
    for _ in range(2):  # also when they come from the cache
        with pytest.warns(UserWarning, match=expected):
            assert read(path=path, streaming=streaming) == rows


@pytest.mark.parametrize(
    ("name", "text"), [("x.tsv", "source\ttarget\na\tb\tc\nd\te\n"), ("x.csv", 'source,target\na,b,c\n"d",e\n')]
)
def test_a_row_of_more_fields_than_the_header_names_is_left_out(
    read: Any, tmp_path: Path, name: str, text: str
) -> None:
    path = write(tmp_path / name, text)
    with pytest.warns(
        UserWarning, match=r":2: 1 row \(line 2\) has more fields than the 2 that the header names and is"
    ):
        assert read(path=path, header=True) == [("d", "e")]


def test_a_header_of_too_few_names_is_an_error(read: Any, tmp_path: Path) -> None:
    """Else all rows would be left out or, as in tables of R, taken one column to the left."""
    path = write(tmp_path / "x.tsv", "source\ttarget\n1\ta\tb\n2\tc\td\n")
    with pytest.raises(ValueError, match=r"x\.tsv:1: the header names 2 columns, but .* more fields, as in line 2"):
        read(path=path, header=True)


def test_a_row_of_fewer_fields_is_taken_and_named(read: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "x.tsv", "a\tb\tc\nd\te\tf\ng\th\n")
    with pytest.warns(UserWarning, match=r"x\.tsv:3: 1 row \(line 3\) has fewer fields than the 3 that others have;"):
        assert read(path=path) == [("a", "b"), ("d", "e"), ("g", "h")]


@pytest.mark.parametrize(("delimiter", "character"), [("semicolon", ";"), ("tab", "\t"), ("bar", "|")])
def test_csv_of_another_delimiter(read: Any, delimiter: str, character: str, tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", f'"a{character}b"{character}c, d\n')
    assert read(path=path, delimiter=delimiter) == [(f"a{character}b", "c, d")]


def test_a_delimiter_is_of_csv_alone(read: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "x.tsv", "a\tb\n")
    with pytest.raises(ValueError, match="`delimiter` belongs to CSV"):
        read(path=path, delimiter="semicolon")


def test_csv_keeps_what_quotes_hold(read: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", '"a\nb, c\r\rd","e\u2028\x85f"\n"","g""h"\n' + "i" * 200_000 + ",j\n")
    assert read(path=path) == [("a\nb, c\r\rd", "e\u2028\x85f"), ("", 'g"h'), ("i" * 200_000, "j")]


def test_nested_columns(read: Any, tmp_path: Path) -> None:
    records = [{"translation": {"en": "a", "de": "b"}}, {"translation": {"en": "c", "de": "d"}}]
    lines = write(tmp_path / "x.jsonl", "\n".join(map(json.dumps, records)))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), tmp_path / "x.parquet")
    columns = {"source_column": "translation.en", "target_column": "translation.de"}
    for path in (lines, tmp_path / "x.parquet"):
        assert read(path=path, **columns) == [("a", "b"), ("c", "d")]


@pytest.mark.parametrize("streaming", [False, True])
def test_data_set_by_name(read: Any, tmp_path: Path, streaming: bool) -> None:
    folder = tmp_path / "some_set"
    folder.mkdir()
    records = [{"translation": {"en": f"a{n}", "de": f"b{n}"}, "tag": "x", "n": n} for n in range(5)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), folder / "train.parquet")
    columns: dict[str, Any] = {"source_column": "translation.en", "target_column": "translation.de"}
    columns["tag_column"] = "tag"
    rows = read_corpus(path=folder, streaming=streaming, cache_directory=tmp_path / "cache", **columns)
    assert list(rows) == [{"source": f"<x> a{n}", "target": f"b{n}"} for n in range(5)]
    with pytest.raises(ValueError, match=re.escape("no column 'translation.fr'; the columns are ")):
        list(read_corpus(path=folder, streaming=streaming, **{**columns, "source_column": "translation.fr"}))
    with pytest.raises(ValueError, match="1: column 'n' holds 0, which is not text"):
        list(read_corpus(path=folder, streaming=streaming, source_column="n", target_column="tag"))
    with pytest.raises(ValueError, match="Cannot read split 'nowhere' of the data set"):
        read_corpus(path=folder, split="nowhere", streaming=streaming)


BAD_TABLES = [
    ("x.tsv", b"a\tb\nc\xff\td\n", {}, "x.tsv:2: not valid UTF-8 (byte 2 of the line, 0xff)"),
    ("x.tsv", "a\tb\nc\n", {}, "x.tsv:2: column 1 (counted from 0) is needed, but this row has 1 field."),
    ("x.tsv", "a\tb\n\n", {}, "x.tsv:2: the line is empty, where a row of the table is expected; take it out."),
    ("x.csv", "a,b\r\n \r\n", {}, "x.csv:2: the line is empty, where a row of the table is expected; take it out."),
    ("x.tsv", "a\tb\n", {"source_column": "7"}, "x.tsv:1: column 7 (counted from 0) is needed, but this row has 2"),
    ("x.tsv", "a\tb\n", {"source_column": "de"}, "x.tsv: column 'de' is a name, but the file is read as one without"),
    (
        "x.tsv",
        "german\tenglish\na\tb\n",
        {"header": True, "source_column": "germn", "target_column": "english"},
        "x.tsv:1: there is no column 'germn'; the columns are 'german', 'english'. Did you mean 'german'?",
    ),
    ("x.tsv", "", {}, "x.tsv: the file is empty."),
    ("x.tsv", "a\tb\n", {"header": True, "source_column": "a", "target_column": "b"}, "x.tsv: the file holds no rows."),
    ("x.tsv.gz", gzip.compress(b"a\tb\n" * 99, mtime=0)[:-12], {}, "x.tsv.gz: damaged gzip file"),
    (
        "x.csv",
        "a;b\n",
        {},
        "this row has 1 field. If fields are parted by another character, set `delimiter: semicolon`",
    ),
    ("x.csv", 'a,b\n"c\nd,e\n', {}, "x.csv:2: not valid CSV: unexpected end of data."),
    ("x.csv", 'a,b\n"c" d,e\n', {}, "x.csv:2: not valid CSV"),
    ("x.csv", 'a,"b\nb"\nc\n', {}, "x.csv:3: column 1 (counted from 0) is needed"),
    ("x.csv", "a,b\nc\rd,e\n", {}, "x.csv:2: not valid CSV: new-line character seen in unquoted field"),
    ("x.jsonl", '{"source": "a", "target": "b"}\n{"source"\n', {}, "x.jsonl:2: not valid JSON (column 10)"),
    ("x.jsonl", '{"source": "a", "target": "b"}\n\n', {}, "x.jsonl:2: the line is empty, where a row"),
    ("x.jsonl", '{"source": "a", "target": "b"}\n7\n', {}, "x.jsonl:2: expected a JSON object such as {...}, found 7."),
    ("x.jsonl", '{"source": "a", "target": 5}\n', {}, "x.jsonl:1: column 'target' holds 5, which is not text."),
    ("x.jsonl", '{"source": "a", "target": null}\n', {}, "x.jsonl:1: column 'target' holds None, which is not text."),
    ("x.jsonl", '{"source": "a", "target": "\\ud800"}\n', {}, "x.jsonl:1: column 'target' holds half a surrogate"),
    (
        "x.jsonl",
        '{"source": "a", "translation": {"en": "b"}}\n',
        {"target_column": "translation.eng"},
        "x.jsonl:1: there is no column 'translation.eng'; the columns are 'source', 'translation.en'. Did you mean 'tr",
    ),
    ("x.json", '[{"source": "a", "target": "b"},\n{"source": "a",]\n', {}, "x.json:2: not valid JSON"),
    ("x.parquet", "nonsense", {}, "x.parquet: not a readable Parquet file"),
    ("x.txt", "a\tb\n", {}, "x.txt: the ending does not tell the format"),
    ("x.tsv", "a\tb\n", {"format": "xml"}, "`format` is 'xml'"),
]


@pytest.mark.parametrize(("name", "content", "options", "message"), BAD_TABLES)
@pytest.mark.parametrize("streaming", [False, True])
def test_bad_tables_are_named_by_file_and_line(
    read: Any, tmp_path: Path, name: str, content: str | bytes, options: dict[str, Any], message: str, streaming: bool
) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(ValueError, match=re.escape(message)):
        read(path=path, streaming=streaming, **options)
    assert not list((tmp_path / "cache").glob("*")), "a failed reading must leave nothing behind"


@pytest.mark.parametrize(("num_source", "num_target"), [(5, 3), (3, 5), (1, 2)])
@pytest.mark.parametrize("streaming", [False, True])
def test_unequal_files_are_both_counted(
    read: Any, tmp_path: Path, num_source: int, num_target: int, streaming: bool
) -> None:
    source, target = write(tmp_path / "s", "a\n" * num_source), write(tmp_path / "t", "b\n" * num_target)
    with pytest.raises(ValueError, match="lines") as caught:
        read(source=source, target=target, streaming=streaming)
    assert f"{source} has {num_source} lines, but {target} has {num_target};" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "Give either `source` and `target`"),
        ({"source": "a", "path": "b"}, "Give either `source` and `target`"),
        ({"source": "a"}, "`source` and `target` go together"),
        ({"source": "a", "target": "b", "tag_column": "c"}, "`tag_column` needs a table"),
        ({"source": "nowhere/a", "target": "nowhere/b"}, "nowhere/a: there is no such file."),
        ({"path": "nowhere/a.tsv"}, "nowhere/a.tsv: there is no such file."),
        ({"path": "/nowhere/a b"}, "/nowhere/a b: there is no such file, and it cannot be the name of a Hub data set."),
    ],
)
def test_options_that_do_not_fit(read: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read(**options)


def test_changed_file_or_option_is_read_again(read: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "x.tsv", "a\tb\n")
    assert read(path=path) == [("a", "b")]
    status = path.stat()
    write(path, "c\td\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert read(path=path) == [("c", "d")]
    assert read(path=path, source_prefix="p ") == [("p c", "d")]
    assert read(path=path, source_column="1", target_column="0") == [("d", "c")]


def test_unchanged_file_is_not_read_again(read: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "x.tsv", "a\tb\n")
    status = path.stat()
    assert read(path=path) == [("a", "b")]
    write(path, "c\td\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert read(path=path) == [("a", "b")], "same size and time of change"
    assert len(list((tmp_path / "cache").glob("*.arrow"))) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-8],
        lambda data: data.replace(b"first", b"other"),
    ],
)
def test_a_damaged_file_in_the_cache_is_named_and_written_anew(
    read: Any, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = write(tmp_path / "x.tsv", "first\tb\nsecond\td\n")
    assert read(path=path) == [("first", "b"), ("second", "d")]
    [cached] = (tmp_path / "cache").glob("*.arrow")
    whole = cached.read_bytes()
    cached.write_bytes(damage(whole))
    with pytest.warns(UserWarning, match=rf"{cached} is damaged; it is removed and written anew"):
        assert read(path=path) == [("first", "b"), ("second", "d")]
    assert cached.read_bytes() == whole
    assert read(path=path) == [("first", "b"), ("second", "d")]


def test_a_pipe_is_read_once_however_often_it_is_opened(read: Any, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("a\tb\n",))
    writer.start()
    with pytest.raises(ValueError, match="pipe: the ending does not tell the format"):
        read(path=pipe)
    for _ in range(2):
        assert read(path=pipe, format="tsv") == [("a", "b")]
        assert read(path=pipe, format="tsv", streaming=True) == [("a", "b")]
    writer.join()
    assert len(list((tmp_path / "cache").glob("*.arrow"))) == 1


def test_reading_beyond_one_block(read: Any, tmp_path: Path) -> None:
    rows = [(f"s{n}", f"t{n}") for n in range(20_011)]
    path = write(tmp_path / "x.tsv", "".join(f"{source}\t{target}\n" for source, target in rows))
    assert read(path=path) == rows


def test_real_files_agree_with_a_plain_reading(read: Any) -> None:
    source, target = shared_data("multi30k/raw/val.de"), shared_data("multi30k/raw/val.en")
    texts = [path.read_bytes().decode().removesuffix("\n").split("\n") for path in (source, target)]
    assert read(source=source, target=target) == list(zip(*texts, strict=True))


def test_a_column_of_languages_is_of_the_side_that_is_said(read: Any, tmp_path: Path) -> None:
    write(tmp_path / "x.jsonl", '{"source": "a", "target": "b", "lang": "v"}\n')
    for side in ("source", "target", "source"):
        corpus = read_corpus(
            path=tmp_path / "x.jsonl", cache_directory=tmp_path / "cache", **{f"{side}_language_column": "lang"}
        )
        assert corpus.column_names == ["source", "target", f"{side}_language"]
        assert corpus[0][f"{side}_language"] == "v"
