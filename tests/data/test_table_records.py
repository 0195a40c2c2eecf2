"""Tables read whole: every row in its place, one without texts with an error."""

from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from seq2seq.data.table_records import Record, aligned_records, table_kind, table_records


def test_a_table_without_names(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text("a b\tc\t7\nlonely\n\td\t\n1\t2\t3\t4\n")
    found = list(table_records(str(tmp_path / "x.tsv"), "tsv"))
    assert found[0] == Record(1, "a b", "c", {"0": "a b", "1": "c", "2": "7"})
    assert [(record.source, record.target, record.error) for record in found[1:]] == [
        ("", "", "the row has 1 field, not 3"),
        ("", "d", None),
        ("", "", "the row has 4 fields, not 3"),
    ]


def test_columns_by_name_or_number(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('id,en,de\n1,"a, b",c\n2,d\n')
    for columns in [("en", "de"), ("1", "2")]:
        first, second = table_records(str(path), "csv", columns, has_names=True)
        assert (first.number, first.source, first.target) == (2, "a, b", "c")
        assert first.values == {"id": "1", "en": "a, b", "de": "c"}
        assert second.error == "the row has 2 fields, not 3"
    with pytest.raises(ValueError, match="there is no column 'source'.*'en'"):
        list(table_records(str(path), "csv", has_names=True))
    with pytest.raises(ValueError, match="without a header"):
        list(table_records(str(path), "csv", ("en", "de")))


@pytest.mark.parametrize(("kind", "mark"), [("tsv", "\t"), ("csv", ",")])
def test_rows_have_the_columns_of_the_header_and_keep_what_is_too_much(tmp_path: Path, kind: str, mark: str) -> None:
    path = tmp_path / f"x.{kind}"
    path.write_text("source,target,note\na,b\nbad\nc,d,e,f,g\n".replace(",", mark))
    table = table_records(str(path), kind, has_names=True)
    assert table.names == ("source", "target", "note")
    short, bad, long = table
    assert short == Record(2, "a", "b", {"source": "a", "target": "b", "note": ""})
    assert (bad.values, bad.error) == ({"source": "bad", "target": "", "note": ""}, "the row has 1 field, not 3")
    assert (long.values, long.surplus) == ({"source": "c", "target": "d", "note": "e"}, ("f", "g"))


def test_without_names_most_rows_say_how_many_columns_there_are(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text("bad\na\tb\tc\nd\te\nf\tg\th\n")
    found = list(table_records(str(tmp_path / "x.tsv"), "tsv"))
    assert [[*record.values.values()] for record in found] == [
        ["bad", "", ""],
        ["a", "b", "c"],
        ["d", "e", ""],
        ["f", "g", "h"],
    ]
    assert [record.error for record in found] == ["the row has 1 field, not 3", None, None, None]


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("source,target,note,note\na,b,c,d\n")
    with pytest.raises(ValueError, match=r"x.csv:1: 2 columns have the name 'note'; give each its own"):
        table_records(str(path), "csv", has_names=True)
    twice = pyarrow.Table.from_arrays([pyarrow.array(["a"])] * 2, names=["source", "source"])
    pyarrow.parquet.write_table(twice, tmp_path / "x.parquet")
    with pytest.raises(ValueError, match=r"x.parquet: 2 columns have the name 'source'"):
        table_records(str(tmp_path / "x.parquet"), "parquet", ("0", "1"))


def test_json_keeps_what_else_there_is(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"t": {"en": "a", "de": "b"}, "n": 1}\n{"t": {"en": "a"}}\n{"t": {"en": 1, "de": "b"}}\n[]\n')
    first, *others = table_records(str(path), "jsonl", ("t.en", "t.de"))
    assert first == Record(1, "a", "b", {"t": {"en": "a", "de": "b"}, "n": 1})
    errors = [record.error or "" for record in others]
    assert errors[0].startswith("there is no column 't.de'")
    assert errors[1:] == ["column 't.en' holds 1, which is not text", "the line holds no JSON object"]
    path.write_text('{"source": "\\ud800", "target": "b"}\n')
    [record] = table_records(str(path), "jsonl")
    assert record.error == "column 'source' holds half a surrogate pair: no character"
    with pytest.raises(ValueError, match=r"x.jsonl:1: there is no column 'sorce'.*Did you mean 'source'"):
        list(table_records(str(path), "jsonl", ("sorce", "target")))


def test_parquet(tmp_path: Path) -> None:
    path = str(tmp_path / "x.parquet")
    pyarrow.parquet.write_table(pyarrow.table({"source": ["a", None], "target": ["b", "c"], "n": [1, 2]}), path)
    first, second = table_records(path, "parquet")
    assert first == Record(1, "a", "b", {"source": "a", "target": "b", "n": 1})
    assert second.error == "column 'source' holds None, which is not text"
    (tmp_path / "y.parquet").write_bytes(b"PAR1, or is it?")
    with pytest.raises(ValueError, match="not a readable Parquet file"):
        list(table_records(str(tmp_path / "y.parquet"), "parquet"))
    with pytest.raises(ValueError, match="a stream does not have"):
        list(table_records("-", "parquet"))


def test_two_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x\ny\n")
    (tmp_path / "b").write_text("1\n2\n")
    found = list(aligned_records(str(tmp_path / "a"), str(tmp_path / "b")))
    assert found == [Record(1, "x", "1", {"source": "x", "target": "1"}), Record(2, "y", "2", found[1].values)]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("-", "tsv"), ("x.csv.gz", "csv"), ("x.json", "jsonl"), ("x.parquet", "parquet"), ("x.txt", "tsv")],
)
def test_the_ending_tells_the_format(name: str, kind: str) -> None:
    assert table_kind(name) == kind


def test_a_file_that_is_not_there_or_is_empty(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no such file"):
        list(table_records(str(tmp_path / "x.tsv"), "tsv"))
    (tmp_path / "x.tsv").touch()
    with pytest.raises(ValueError, match="the file is empty"):
        list(table_records(str(tmp_path / "x.tsv"), "tsv"))
