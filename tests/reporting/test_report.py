"""What is written of runs: where they saw the pairs, and lines that are JSON."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest

from seq2seq.reporting import report as module
from seq2seq.reporting.given import TestPairs
from seq2seq.reporting.page.details import how_section
from seq2seq.reporting.report import write_report
from seq2seq.reporting.results import Answers, Report
from tests.reporting.runs import data, run, task
from tests.tiny_run import distinct_texts

HELD_OUT = "They were held out: neither the training nor the choice of the checkpoint saw them."


def how(facts: dict[str, Any] | None = None, *more: Any, **changes: Any) -> str:
    runs = (run(**changes), *more)
    pairs = TestPairs(("a",), (("b",),), "test", "test.jsonl")
    verdict = Answers("works", (), (), ())
    of_all = Report((), verdict, task(), data(**(facts or {})), runs, (), {}, "now", Path("page"), pairs)
    return str(how_section(of_all))


def test_held_out_is_said_of_pairs_that_training_does_not_have() -> None:
    assert HELD_OUT in how()
    assert "None of the sources is in the training data." in how()
    some = how(num_seen=20)
    assert "held out" not in some
    assert "20 of the 200 sources (10 %) are in the training data too." in some
    unknown = how(num_seen=None)
    assert "held out" not in unknown
    assert "Whether sources are in the training data too is not known." in unknown
    sampled = how({"num_training": 500_000, "num_looked_at": 200_000}, num_sampled=200_000)
    assert "held out" not in sampled
    assert "None of the sources is in the part of the training data that was looked at (200,000 pairs)." in sampled
    assert "in none of the 200,000 training sources that were looked at" in sampled


def test_validation_pairs_are_not_said_to_be_unknown_to_training() -> None:
    found = how({"origin": "validation"}, num_seen=1)
    assert "They chose the checkpoint, so" in found
    assert "1 of the 200 sources (0.5 %) is in the training data too." in found
    assert "not in the training data" not in found


def test_held_out_of_one_run_is_not_said_of_another() -> None:
    found = how(None, run(name="other", num_seen=180))
    assert "They were held out from mine: neither the training of it nor" in found
    assert "None of the sources is in the training data of mine." in found
    assert "180 of the 200 sources (90 %) are in the training data of other too." in found


def test_a_score_that_is_no_number_is_null() -> None:
    mine = replace(run(outputs=["c"]), row_scores={"bleu": numpy.array([numpy.nan])})
    row = module._row(TestPairs(("a",), (("b",),), "files", "files"), mine, 0)
    assert json.loads(row, parse_constant=pytest.fail)["scores"] == {"bleu": None}


def test_each_run_is_asked_what_it_was_trained_on(copy_task: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for path in (copy_task / "run").iterdir():
        if path.name != "config.yaml":
            other.mkdir(exist_ok=True)
            (other / path.name).symlink_to(path)
    (tmp_path / "train.tsv").write_text("".join(f"{text}\t{text}\n" for text in distinct_texts()))
    config = (copy_task / "run" / "config.yaml").read_text()
    (other / "config.yaml").write_text(config.replace(str(copy_task / "train.tsv"), str(tmp_path / "train.tsv")))
    runs = [copy_task / "run", other, copy_task / "run" / "model"]
    texts = copy_task / "test.txt"
    found = write_report(runs, tmp_path / "report", files=(texts, texts), progress=False)
    assert [own.num_seen for own in found.runs] == [0, 53, None]
    assert [own.num_sampled for own in found.runs] == [None, None, None]
    assert "is a model without its run" in found.runs[2].notes[-1]
    assert any("But the training data of other has 53 of these sources" in text for text in found.verdict)
    assert any("But what model was trained on is not known" in text for text in found.verdict)
    page = found.page.read_text(encoding="utf-8")
    row = page[page.index("sources that its own training has") :].partition("</tr>")[0]
    assert re.findall(r"\b53\b|\b0\b|not known", row) == ["0", "53", "not known"]
