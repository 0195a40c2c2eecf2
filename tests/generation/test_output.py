import json
import math
from dataclasses import replace

import pytest

from seq2seq.decoding import Hypothesis
from seq2seq.generation.output import (
    EMPTY_HYPOTHESIS,
    NBest,
    TextHypothesis,
    best_texts,
    from_json,
    read_nbest,
    to_json,
    write_lines,
    write_nbest,
)
from tests.fakes import CharTokenizer

TOKENIZER = CharTokenizer()
BEST = TextHypothesis.create(Hypothesis((4, 5, 2), (-0.25, -0.5, -0.125), -0.875, -0.875 / 3, True), TOKENIZER)
SECOND = replace(BEST, text="line\nfeed\u2028\r", score=-2.0, normalized_score=-0.5, finished=False)
NBESTS = [NBest(0, 'ein\u2028 "Satz"', (BEST, SECOND)), NBest(1, "", (BEST,), reference="a ||| b")]


def test_text_hypothesis():
    assert BEST.text == "ab"
    assert BEST.tokens == ("a", "b", "</s>")


def test_hypotheses_print_as_their_text():
    assert (str(BEST), f"{BEST}", f"{BEST:>4}") == ("ab", "ab", "  ab")
    assert (str(NBESTS[0]), f"{NBESTS[0]:<3}") == ("ab", "ab ")
    assert repr(BEST) == "TextHypothesis('ab', normalized_score=-0.2917)"
    assert repr(SECOND) == r"TextHypothesis('line\nfeed\u2028\r', normalized_score=-0.5000, finished=False)"
    assert repr(replace(BEST, direction="r2l")).endswith("direction='r2l')")
    assert repr(replace(BEST, error="no memory")) == "TextHypothesis(error='no memory')"


@pytest.mark.parametrize("nbest", NBESTS)
def test_json_round_trip(nbest):
    assert "\n" not in to_json(nbest)
    assert from_json(to_json(nbest)) == nbest
    assert ("reference" in to_json(nbest)) == (nbest.reference is not None)


def test_jsonl_file_round_trip(tmp_path):
    write_nbest(tmp_path / "n-best.jsonl", NBESTS)
    assert list(read_nbest(tmp_path / "n-best.jsonl")) == NBESTS
    assert [path.name for path in tmp_path.iterdir()] == ["n-best.jsonl"]


def test_moses_lines(tmp_path):
    write_nbest(tmp_path / "n-best", NBESTS, "moses")
    lines = (tmp_path / "n-best").read_bytes().decode().split("\n")
    assert lines == [
        "0 ||| ab ||| LogProb= -0.875000 ||| -0.291667",
        "0 ||| line feed\u2028  ||| LogProb= -2.000000 ||| -0.500000",
        "1 ||| ab ||| LogProb= -0.875000 ||| -0.291667",
        "",
    ]


def test_plain_text_has_one_line_per_source(tmp_path):
    write_nbest(tmp_path / "text", [replace(NBESTS[0], hypotheses=(SECOND,)), NBESTS[1]], "text")
    assert (tmp_path / "text").read_bytes().decode() == "line feed\u2028 \nab\n"


def test_nothing_half_written(tmp_path):
    def failing():
        yield "first"
        raise OSError("disk full")

    (tmp_path / "output").write_text("before")
    with pytest.raises(OSError, match="disk full"):
        write_lines(tmp_path / "output", failing())
    assert (tmp_path / "output").read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("output_format", ["text", "jsonl", "moses"])
def test_best_texts(tmp_path, output_format):
    empty = NBest(2, "", (EMPTY_HYPOTHESIS,))
    bars = NBest(3, "", (replace(BEST, text="a ||| b"),))
    write_nbest(tmp_path / "output", [*NBESTS, empty, bars], output_format)
    assert list(best_texts(tmp_path / "output", output_format)) == ["ab", "ab", "", "a ||| b"]


def error_of(folder, line):
    """Return what is said of a file whose second line is this one."""
    (folder / "bad.jsonl").write_text(to_json(NBESTS[0]) + "\n" + line + "\n")
    with pytest.raises(ValueError, match="bad.jsonl:2") as error:
        list(read_nbest(folder / "bad.jsonl"))
    return str(error.value)


@pytest.mark.parametrize("hypotheses", ["", ', "hypotheses": []', ', "hypotheses": [1]'])
def test_a_list_without_hypotheses_is_named(tmp_path, hypotheses):
    assert "bad.jsonl:2: not an n-best list" in error_of(tmp_path, f'{{"id": 0, "source": "a"{hypotheses}}}')


@pytest.mark.parametrize(
    ("name", "value"),
    [("text", {}), ("tokens", ["a", 1]), ("token_log_probs", [None]), ("score", "1"), ("finished", 1), ("error", [])],
)
def test_a_field_of_another_type_is_named(tmp_path, name, value):
    record = json.loads(to_json(NBESTS[0]))
    record["hypotheses"][0][name] = value
    assert f"`{name}`" in error_of(tmp_path, json.dumps(record))
    record = json.loads(to_json(NBESTS[0])) | {"source": [name]}
    assert "`source`" in error_of(tmp_path, json.dumps(record))


@pytest.mark.parametrize("line", ["{", "[]"])
def test_bad_lines_are_named(tmp_path, line):
    assert "bad.jsonl:2: not an n-best list" in error_of(tmp_path, line)


def test_an_error_is_written_where_there_is_one(tmp_path):
    failed = TextHypothesis.create(
        Hypothesis((4, 5), (math.nan, -1.0), math.nan, math.nan, True, error="why"), TOKENIZER
    )
    assert failed == TextHypothesis("", (), (), 0.0, 0.0, False, error="why")
    results = [NBest(0, "ab", (failed,)), NBest(1, "b", (BEST,))]
    assert [result.failed for result in results] == [True, False]
    write_nbest(tmp_path / "n-best.jsonl", results)
    first, second = (tmp_path / "n-best.jsonl").read_text().splitlines()
    assert json.loads(first)["hypotheses"][0]["error"] == "why"
    assert "error" not in json.loads(second)["hypotheses"][0]
    assert list(read_nbest(tmp_path / "n-best.jsonl")) == results
    write_nbest(tmp_path / "n-best", results, "text")
    assert (tmp_path / "n-best").read_text() == "\nab\n"
