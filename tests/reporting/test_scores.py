"""Intervals, differences, and energy counters."""

from pathlib import Path

from seq2seq.assembly.scoring import score
from seq2seq.reporting.energy import Meter
from seq2seq.reporting.scores import Judge, known_metrics

REFERENCES = [["a b c d"], ["e f g h"]] * 20
OUTPUTS = ["a b c d", "e f x h"] * 20


def test_scores_are_those_of_the_verb() -> None:
    judge = Judge(["bleu", "exact_match"], REFERENCES, seed=1, tokenize="none")
    found = judge.measured(OUTPUTS)
    assert [own.value for own in found] == [
        *score(OUTPUTS, [text for [text] in REFERENCES], ["bleu"], tokenize="none").values.values(),
        50.0,
    ]
    exact = found[1]
    assert exact.low is not None
    assert exact.high is not None
    assert 30 < exact.low < 50 < exact.high < 70


def test_parts_and_few_pairs() -> None:
    judge = Judge(["exact_match"], REFERENCES, seed=1)
    import numpy

    [right] = judge.measured(OUTPUTS, numpy.arange(0, 40, 2))
    assert (right.value, right.low, right.high) == (100.0, 100.0, 100.0)
    [few] = judge.measured(OUTPUTS, numpy.arange(3))
    assert (few.low, few.high) == (None, None)


def test_differences() -> None:
    judge = Judge(["exact_match", "character_error_rate"], REFERENCES, seed=1)
    better = judge.differences(OUTPUTS, ["x"] * 40)
    assert [own.word for own in better] == ["better", "better"]
    assert [own.word for own in judge.differences(["x"] * 40, OUTPUTS)] == ["worse", "worse"]
    [same, _] = judge.differences(OUTPUTS, list(OUTPUTS))
    assert (same.word, same.difference) == ("no different", 0.0)
    few = Judge(["exact_match"], REFERENCES[:2], seed=1).differences(OUTPUTS[:2], ["x", "x"])
    assert (few[0].word, few[0].p_bootstrap) == ("no different", None)


def test_names_that_are_no_metrics_of_text_are_left_out() -> None:
    assert known_metrics(["bleu", "loss", "bleu", "chrf"]) == ["bleu", "chrf"]


def test_energy(tmp_path: Path) -> None:
    def write(name: str, count: int) -> None:
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "energy_uj").write_text(f"{count}\n")
        (tmp_path / name / "max_energy_range_uj").write_text("10000000\n")

    assert Meter(tmp_path).joules() is None
    write("intel-rapl:0", 9_000_000)
    write("intel-rapl:1", 1_000_000)
    write("intel-rapl:0:0", 0)
    meter = Meter(tmp_path)
    write("intel-rapl:0", 2_000_000)  # it began anew
    write("intel-rapl:1", 1_500_000)
    write("intel-rapl:0:0", 5_000_000)  # a part of a package, which is counted already
    assert meter.joules() == 3.5
