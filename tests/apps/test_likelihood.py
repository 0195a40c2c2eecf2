"""`seq2seq likelihood`: tables with a score added, filters, and rows that fail in their place."""

import csv
import io
import json
import math
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

import seq2seq
from seq2seq.apps import likelihood
from seq2seq.apps.command import main

PAIRS = [("abc", "abc"), ("jab", "jba"), ("cab", "cab"), ("hgf", "aaa")]


@pytest.fixture
def command(copy_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(likelihood, "POOL_PAIRS", 3)
    (tmp_path / "pairs.tsv").write_text("".join(f"{source}\t{target}\n" for source, target in PAIRS))
    return ["likelihood", "--model", str(copy_task / "run"), "--device", "cpu", "--processes", "1"]


@pytest.fixture
def scores(copy_task: Path) -> list[float]:
    generator = seq2seq.load(copy_task / "run", device="cpu")
    found = generator.score_targets(*map(list, zip(*PAIRS, strict=True)))
    return [hypothesis.score / len(hypothesis.tokens) for hypothesis in found]


def test_a_table_gets_a_column(
    command: list[str], tmp_path: Path, scores: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "scored.tsv"
    assert main([*command, "--input", str(tmp_path / "pairs.tsv"), "--output", str(output)]) == 0
    rows = [line.split("\t") for line in output.read_text().splitlines()]
    assert [tuple(row[:2]) for row in rows] == PAIRS
    assert [float(row[2]) for row in rows] == pytest.approx(scores, abs=1e-5)
    assert capsys.readouterr().out.startswith("4 pairs, 16 target tokens, perplexity ")


def test_two_files_and_json_with_everything(
    command: list[str], tmp_path: Path, scores: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    for place, name in enumerate(("source", "target")):
        (tmp_path / name).write_text("".join(f"{pair[place]}\n" for pair in PAIRS))
    files = ["--source", str(tmp_path / "source"), "--target", str(tmp_path / "target")]
    assert main([*command, *files, "--format", "jsonl", "--alignment", "tokens"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(record["source"], record["target"]) for record in records] == PAIRS
    assert [record["score"] for record in records] == pytest.approx(scores, abs=1e-5)
    for record in records:
        assert record["num_tokens"] == len(record["tokens"]) == len(record["token_log_probs"]) == 4
        assert record["log_prob"] == pytest.approx(math.fsum(record["token_log_probs"]))
        assert record["perplexity"] == pytest.approx(math.exp(-record["log_prob"] / 4))
    assert records[0]["alignment"] == "0-0 1-1 2-2"


def test_names_of_columns_and_csv(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "x.csv").write_text('id,from,to\n7,"a\tbc",abc\n8,abc\n')
    chosen = ["--input", str(tmp_path / "x.csv"), "--header", "--source-column", "from", "--target-column", "to"]
    columns = ["--columns", "num_tokens", "perplexity", "error"]
    assert main([*command, *chosen, *columns]) == 1
    printed = capsys.readouterr()
    header, first, second = csv.reader(io.StringIO(printed.out))
    assert header == ["id", "from", "to", "num_tokens", "perplexity", "error"]
    assert first[:4] == ["7", "a\tbc", "abc", "4"]
    assert second == ["8", "abc", "", "", "", "the row has 2 fields, not 3"]
    assert "Row 3 has no score: the row has 2 fields, not 3" in caplog.text
    assert "2 pairs, 4 target tokens, perplexity" in printed.err
    assert main([*command, *chosen, "--format", "tsv"]) == 1
    assert capsys.readouterr().out.splitlines()[1].startswith("7\ta bc\tabc\t-"), "a tab would be a border"


@pytest.mark.parametrize(("kind", "mark"), [("tsv", "\t"), ("csv", ",")])
def test_no_row_and_no_field_is_lost(
    command: list[str], tmp_path: Path, kind: str, mark: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["source,target,note", "bad", "abc,abc", "jab,jba,precious", "cab,cab,too,much"]
    (tmp_path / f"x.{kind}").write_text("".join(row.replace(",", mark) + "\n" for row in rows))
    given = ["--input", str(tmp_path / f"x.{kind}"), "--header", "--columns", "num_tokens"]
    assert main([*command, *given]) == 1
    found = [line.split(mark) for line in capsys.readouterr().out.splitlines()]
    assert found == [
        ["source", "target", "note", "num_tokens"],
        ["bad", "", "", ""],
        ["abc", "abc", "", "4"],
        ["jab", "jba", "precious", "4"],
        ["cab", "cab", "too", "", "much"],
    ]
    assert main([*command, *given, "--format", "jsonl"]) == 1
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    last.pop("error")
    assert last == {"source": "cab", "target": "cab", "note": "too", "3": "much"}


def test_a_table_without_names_has_the_score_in_one_column(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.tsv").write_text("abc\tabc\njab\tjba\tnote\ncab\tcab\tnote\n")
    assert main([*command, "--input", str(tmp_path / "x.tsv"), "--columns", "num_tokens"]) == 0
    found = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert found == [["abc", "abc", "", "4"], ["jab", "jba", "note", "4"], ["cab", "cab", "note", "4"]]


def test_a_table_of_names_alone_stays_one(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.tsv").write_text("source\ttarget\n")
    assert main([*command, "--input", str(tmp_path / "x.tsv"), "--header"]) == 0
    assert capsys.readouterr().out == "source\ttarget\tscore\n"


def test_what_json_has_more_of_later_is_kept_or_an_error(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = [{"source": "abc", "target": "abc"}, {"source": "jab", "target": "jba", "note": "precious"}]
    (tmp_path / "x.jsonl").write_text("7\n" + "".join(json.dumps(pair) + "\n" for pair in pairs))
    given = ["--input", str(tmp_path / "x.jsonl"), "--output"]
    assert main([*command, *given, str(tmp_path / "y.tsv")]) == 2
    assert "Row 3: it has 'note', for which the table has no column" in capsys.readouterr().err
    assert not (tmp_path / "y.tsv").exists()
    assert main([*command, *given, str(tmp_path / "y.jsonl")]) == 1
    assert json.loads((tmp_path / "y.jsonl").read_text().splitlines()[2])["note"] == "precious"


def test_parquet_becomes_json(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pyarrow.table({"source": ["abc", "x"], "target": ["abc", None], "n": [1.25, None]})
    pyarrow.parquet.write_table(table, tmp_path / "x.parquet")
    assert main([*command, "--input", str(tmp_path / "x.parquet")]) == 1
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["n"], first["num_tokens"]) == (1.25, 4)
    assert second == {
        "source": "x",
        "target": None,
        "n": None,
        "error": "column 'target' holds None, which is not text",
    }
    assert main([*command, "--input", str(tmp_path / "x.parquet"), "--format", "tsv"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "source\ttarget\tn\tscore"
    assert lines[2] == "x\t\t\t"


@pytest.mark.parametrize(("share", "kept"), [("1", [0, 1, 2, 3]), ("0.5", [0, 2]), ("0.1", [])])
def test_the_best_share_is_kept_in_order(
    command: list[str], tmp_path: Path, share: str, kept: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--input", str(tmp_path / "pairs.tsv"), "--keep", share]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [tuple(line.split("\t")[:2]) for line in lines] == [PAIRS[place] for place in kept]


def test_what_is_below_a_score_is_left_out(
    command: list[str], tmp_path: Path, scores: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    least = str(min(scores[0], scores[2]) - 1e-4)
    assert main([*command, "--input", str(tmp_path / "pairs.tsv"), f"--at-least={least}", "--format", "text"]) == 0
    printed = capsys.readouterr()
    assert [float(line) for line in printed.out.splitlines()] == pytest.approx([scores[0], scores[2]], abs=1e-5)
    assert printed.err.startswith("4 pairs"), "what is said is of all of them"


def test_both_directions(command: list[str], copy_task: Path, tmp_path: Path, scores: list[float]) -> None:
    output = tmp_path / "scored.tsv"
    both = ["--reverse-model", str(copy_task / "run"), "--columns", "score", "reverse_log_prob"]
    assert main([*command, "--input", str(tmp_path / "pairs.tsv"), "--output", str(output), *both]) == 0
    rows = [line.split("\t") for line in output.read_text().splitlines()]
    assert float(rows[0][2]) == pytest.approx(scores[0], abs=1e-4), "a copy is its own reverse"
    back = float(rows[3][3]) / 4
    assert float(rows[3][2]) == pytest.approx(-abs(scores[3] - back) + (scores[3] + back) / 2, abs=1e-4)


def test_a_column_that_is_there_already_is_not_lost(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.jsonl").write_text('{"source": "a", "target": "a", "score": 1}\n')
    assert main([*command, "--input", str(tmp_path / "x.jsonl"), "--output", str(tmp_path / "y.jsonl")]) == 2
    assert "has a column `score` already" in capsys.readouterr().err
    assert not (tmp_path / "y.jsonl").exists()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--source", "x"], "`--source` and `--target` go together"),
        (["--source", "x", "--target", "y", "--input", "z", "--header"], "leave out --header and --input"),
        (["--keep", "0"], "a share above 0"),
        (["--keep", "0.5", "--at-least", "-1"], "give one"),
        (["--columns", "alignment"], "add `--alignment`"),
        (["--columns", "reverse_log_prob"], "`--reverse-model`"),
        (["--alignment-layer", "1"], "belongs to `--alignment`"),
        (["--batch-tokens", "0"], "at least 1"),
        (["--threads", "-1"], "`--threads` is between 0"),
        (["--max-source-tokens", "1"], "at least 2"),
        (["--input", "nowhere.tsv"], "nowhere.tsv: there is no such file"),
        (["--normalize", "none", "--reverse-model", "RUN"], "cannot be `none`"),
        (["--alignment", "--alignment-layer", "9", "--input", "TABLE"], "between 1 and 1"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    command: list[str],
    copy_task: Path,
    tmp_path: Path,
    options: list[str],
    error: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = {"RUN": str(copy_task / "run"), "TABLE": str(tmp_path / "pairs.tsv")}
    assert main([*command, *(places.get(option, option) for option in options)]) == 2
    printed = capsys.readouterr().err
    assert error in printed
    assert printed.count("\n") == 1
