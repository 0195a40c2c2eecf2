"""Files of every kind are read as a person would read them, and what cannot be read is said in a line."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from seq2seq.data.corpus import read_corpus
from seq2seq.data.corpus_options import CorpusOptions
from seq2seq.data.table_format import leading_tags, recognized
from tests.data.examination.made import translations
from tests.shared_data import shared_data

PAIRS = translations(60)
LANGUAGES = ("de", "fr", "es")


def read(corpus: CorpusOptions, folder: Path) -> list[tuple[str, str]]:
    rows = read_corpus(cache_directory=folder / "cache", **vars(corpus))
    return [(row["source"], row["target"]) for row in rows]


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def lines(pairs: list[tuple[str, ...]], delimiter: str = "\t") -> str:
    return "".join(delimiter.join(pair) + "\n" for pair in pairs)


def quoted(pairs: list[tuple[str, ...]], delimiter: str) -> str:
    return lines([tuple(f'"{text}"' for text in pair) for pair in pairs], delimiter)


TABLES: dict[str, tuple[str, str | bytes]] = {
    "tabs": ("a.tsv", lines(PAIRS)),
    "text file": ("a.txt", lines(PAIRS)),
    "no ending": ("pairs", lines(PAIRS)),
    "compressed": ("a.tsv.gz", gzip.compress(lines(PAIRS).encode())),
    "sixteen bits": ("a.tsv", lines(PAIRS).encode("utf-16")),
    "header": ("a.tsv", lines([("source", "target"), *PAIRS])),
    "languages": ("a.tsv", lines([("English", "German"), *PAIRS])),
    "words over sentences": ("a.tsv", lines([("eins", "zwei"), *PAIRS])),
    "commas": ("a.csv", quoted([("en", "de"), *PAIRS], ",")),
    "semicolons": ("a.csv", lines([("en", "de"), *PAIRS], ";")),
    "tabs called CSV": ("a.csv", lines([("en", "de"), *PAIRS])),
    "quoted tabs": ("a.tsv", quoted([("en", "de"), *PAIRS], "\t")),
    "commas called TSV": ("a.tsv", quoted([("en", "de"), *PAIRS], ",")),
    "target first": ("a.csv", quoted([("title", "abstract"), *((b, a) for a, b in PAIRS)], ",")),
    "index": ("a.csv", quoted([("", "en", "de"), *((str(n), *pair) for n, pair in enumerate(PAIRS))], ",")),
    "scores": ("a.tsv", lines([(a, b, f"0.{n + 1}") for n, (a, b) in enumerate(PAIRS)])),
    "numbers of rows": ("a.tsv", lines([(f"id{n}", a, b) for n, (a, b) in enumerate(PAIRS)])),
    "parts": ("a.tsv", lines([("train" if n % 3 else "dev", a, b) for n, (a, b) in enumerate(PAIRS)])),
    "objects": ("a.jsonl", "".join(json.dumps({"n": 1, "text": a, "summary": b}) + "\n" for a, b in PAIRS)),
    "nested": ("a.json", "".join(json.dumps({"id": "7", "translation": {"en": a, "de": b}}) + "\n" for a, b in PAIRS)),
    "array": ("a.json", json.dumps([{"output": b, "input": a} for a, b in PAIRS], indent=1)),
    "objects in a text file": ("a.txt", "".join(json.dumps({"x": a, "y": b}) + "\n" for a, b in PAIRS)),
}


@pytest.mark.parametrize("kind", TABLES)
def test_whatever_the_file_looks_like_its_pairs_are_found(kind: str, tmp_path: Path) -> None:
    name, content = TABLES[kind]
    found = recognized([write(tmp_path / name, content)])
    if kind == "no ending":
        assert found.corpus.format == "tsv"
    assert read(found.corpus, tmp_path) == PAIRS
    assert all(reason.endswith(".") for reason in found.reasons)
    assert found.special_tokens == ()


def test_a_parquet_table(tmp_path: Path) -> None:
    columns = {"en": [a for a, _ in PAIRS], "score": [0.5] * len(PAIRS), "de": [b for _, b in PAIRS]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    found = recognized([tmp_path / "a.parquet"])
    assert read(found.corpus, tmp_path) == PAIRS
    assert "Column “score” is left out: it holds numbers." in found.reasons


def test_two_files_of_lines(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"a.{n}", "".join(pair[n] + "\n" for pair in PAIRS)) for n in (0, 1)]
    assert read(recognized(paths).corpus, tmp_path) == PAIRS


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("values", [LANGUAGES, ("N;DEF;SG", "N;PL", "V;PST;1;SG")])
@pytest.mark.parametrize("has_header", [False, True])
def test_few_values_that_come_again_are_tags(
    place: int, values: tuple[str, ...], has_header: bool, tmp_path: Path
) -> None:
    rows = [[*pair[:place], values[n % 3], *pair[place:]] for n, pair in enumerate(PAIRS)]
    names = ["source", "target"]
    names.insert(place, "kind")
    table = lines([tuple(row) for row in ([names, *rows] if has_header else rows)])
    found = recognized([write(tmp_path / "a.tsv", table)])
    expected = [(f"<{values[n % 3]}> {a}", b) for n, (a, b) in enumerate(PAIRS)]
    assert read(found.corpus, tmp_path) == expected
    assert found.special_tokens == tuple(sorted(f"<{value}>" for value in values))


def test_spoken_numbers_stay_sources_beside_a_language(tmp_path: Path) -> None:
    rows = [(LANGUAGES[n % 3], str(n), f"{n} in words of {LANGUAGES[n % 3]}") for n in range(60)]
    found = recognized([write(tmp_path / "a.tsv", lines(rows))])
    assert read(found.corpus, tmp_path)[4] == ("<fr> 4", "4 in words of fr")


def test_tags_that_stand_in_front_already(tmp_path: Path) -> None:
    rows = [(f"<{LANGUAGES[n % 3]}> <formal> {a}", b) for n, (a, b) in enumerate(PAIRS)]
    found = recognized([write(tmp_path / "a.tsv", lines(rows))])
    assert found.special_tokens == ("<de>", "<es>", "<formal>", "<fr>")
    assert leading_tags([a for a, _ in PAIRS]) == ()
    assert leading_tags([f"<x{n}> text" for n in range(60)]) == ()  # each another: no tags


def test_a_sorted_file_shows_its_later_tags(tmp_path: Path) -> None:
    row = "a text that is long enough to fill a file of some size"
    table = "".join(f"{row} {n}\tein Text {n}\t{LANGUAGES[n // 30_000]}\n" for n in range(90_000))
    found = recognized([write(tmp_path / "a.tsv", table)])
    assert found.special_tokens == ("<de>", "<es>", "<fr>")


WRONG: dict[str, tuple[Any, str]] = {
    "one column": ("eins\nzwei\n", "one column, the first line of it “eins”; give each line a source"),
    "one column of JSON": ('{"text": "a"}\n', "two columns of texts are needed"),
    "no texts": ("1\t\n2\t\n", "two columns of texts are needed"),
    "empty": ("", "the file is empty"),
    "blank": ("\n\n", "the file is empty"),
    "binary": (b"\x7fELF\x00\x01\n", "a binary file, not text"),
    "spreadsheet": (b"PK\x03\x04\x00\x00\n", "a spreadsheet or a ZIP archive; save it as"),
    "Latin-1": ("ein Käse\tcheese\n".encode("latin-1"), "a.txt:1: not valid UTF-8"),
    "header alone": ("source\ttarget\n", "no rows but its header"),
    "numbers": ('{"text": "five", "n": 5}\n', "column “n” (numbers); write numbers as texts"),
    "an empty line": ('{"a": "b", "c": "d"}\n\n', "a.txt:2: the line is empty"),
    "old Mac": ("one\teins\rtwo\tzwei\r", "its lines end in carriage returns alone"),
    "bad JSON": ('{"a": "b"\n', "a.txt:1: not valid JSON"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_cannot_be_read_is_said_in_a_line(kind: str, tmp_path: Path) -> None:
    content, said = WRONG[kind]
    with pytest.raises(ValueError, match=r"a\.txt") as caught:
        recognized([write(tmp_path / "a.txt", content)])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_do_not_go_together(tmp_path: Path) -> None:
    long, short = (write(tmp_path / f"{n}.txt", "text\n" * n) for n in (3, 2))
    table = write(tmp_path / "a.tsv", lines(PAIRS))
    with pytest.raises(ValueError, match="has 3 lines, but .* has 2"):
        recognized([long, short])
    with pytest.raises(ValueError, match="are tables, each with both sides"):
        recognized([table, table])
    with pytest.raises(ValueError, match="there is no such file"):
        recognized([tmp_path / "none.tsv"])
    with pytest.raises(ValueError, match="3 files were named"):
        recognized([table, table, table])
    with pytest.raises(ValueError, match="a pipe can be read only once"):
        recognized(["-"])


def test_a_name_of_no_file_is_one_of_the_hub() -> None:
    assert recognized(["someone/pairs"]).corpus == CorpusOptions(path="someone/pairs", format="hub")


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("inflection_sigmorphon2021/ind.train.tsv", ("0", "1", "2")),
        ("scan/simple.train.tsv", ("0", "1", None)),
        ("arxiv_cl_title/train.tsv", ("0", "1", None)),
        ("csl_title/clge.train.tsv", ("0", "1", None)),
        *(
            (f"g2p_sigmorphon2020/{code}_train.tsv", ("0", "1", None))
            for code in ("fre", "hin", "hun", "ice", "kor", "vie")
        ),
    ],
)
def test_real_tables(name: str, columns: tuple[str, str, str | None]) -> None:
    corpus = recognized([shared_data(name)]).corpus
    assert (corpus.source_column, corpus.target_column, corpus.tag_column) == columns
    assert not corpus.header


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf", b"\xef\xbb\xbf\n", b"\xff\xfe", b"\n" * 5000])
@pytest.mark.parametrize("names", [("x.tsv",), ("x.csv",), ("x.txt",), ("x.en", "x.de")])
def test_a_file_of_a_byte_order_mark_or_of_blank_lines_is_empty(
    content: bytes, names: tuple[str, ...], tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{names[0]}: the file is empty\."):
        recognized([tmp_path / name for name in names])
