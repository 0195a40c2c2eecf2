"""Outputs and beam widths of a model that is written out."""

import math

import pytest

from seq2seq.assembly.generation_config import TargetRules
from seq2seq.diagnosis.outputs import beam_curve, outputs
from seq2seq.metrics import make_metric
from tests.diagnosis.subjects import END, A, B, F, row, subject_of
from tests.fakes import TableModel

GARDEN_PATH = {
    # Greedy search says `a`, 0.5 * 0.4; two hypotheses find `b`, 0.4 * 0.9.
    (): row(a=0.5, b=0.4, end=0.1),
    (A,): row(a=0.25, b=0.35, end=0.4),
    (B,): row(a=0.1, end=0.9),
}
EXACT = {"exact_match": make_metric("exact_match")}


@pytest.mark.parametrize("metric", ["exact_match", "word_error_rate"])
def test_a_search_error_that_was_lucky(metric: str) -> None:
    subject = subject_of(TableModel({A: GARDEN_PATH}, END), ["a", "aa"], ["a", "b"], length_penalty=0.0)
    greedy = subject.greedy()
    narrow, wide, wider = beam_curve(subject, ["a", "b"], greedy, {metric: make_metric(metric)}, [1, 2, 3])
    assert (narrow.higher_score, narrow.higher_but_worse) == (None, None)
    assert (wide.higher_score, wide.higher_but_worse) == (1, 0.5), (
        "both have a likelier hypothesis, for one it is wrong"
    )
    assert (wider.higher_score, wider.higher_but_worse) == (0, 0)
    assert narrow.model_score == pytest.approx(math.log(0.2))
    assert wide.model_score == pytest.approx(math.log(0.36))
    assert narrow.scores == wide.scores == {metric: 50}


def test_width_one_is_the_greedy_hypothesis_that_is_given() -> None:
    subject = subject_of(TableModel({A: GARDEN_PATH}, END), ["a"], ["b"])
    [point] = beam_curve(subject, ["b"], subject.greedy(prefixes=[[B]]), EXACT, [1])
    assert point.scores == {"exact_match": 100}


def test_outputs_by_hand() -> None:
    subject = subject_of(TableModel({A: GARDEN_PATH}, END), ["a", "a", "a"], ["aabb", "ba", ""])
    found = outputs(subject, [(A, A, A, A, A, A), (END,), (B, END)])
    assert found.length_ratio == pytest.approx(7 / 6)
    assert (found.empty, found.unfinished) == pytest.approx((1 / 3, 1 / 3))
    assert found.repeated_token_4grams == pytest.approx(2 / 3)
    assert found.adjacent_tokens == 1
    assert (found.repeated_word_4grams, found.adjacent_words) == (0, 0)


def test_another_end_ends_a_text_and_is_no_word_of_it() -> None:
    model = TableModel({A: GARDEN_PATH}, END)
    subject = subject_of(model, ["a", "a", "a"], ["a", "b", "a"], rules=TargetRules(other_ends=(F,)))
    found = outputs(subject, [(A, F), (B, END), (B,)])
    assert found.unfinished == pytest.approx(1 / 3)
    assert found.length_ratio == 1
