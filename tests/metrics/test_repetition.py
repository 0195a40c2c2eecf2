"""Repeated n-grams, counted by hand."""

from typing import Any

import pytest

from seq2seq.metrics import make_metric, sentence_scores


@pytest.mark.parametrize(
    ("hypotheses", "options", "details", "value"),
    [
        (["a b c d e"], {}, "0/2", 0.0),
        (["a b c a b c a b c"], {}, "3/6", 50.0),  # abca bcab cabc | abca bcab cabc
        (["a a a a a a"], {}, "2/3", 200 / 3),
        (["a b c", "x x x x x"], {}, "1/2", 50.0),  # the short segment has no 4-gram and says nothing
        (["a b c"], {}, "0/0", 0.0),
        (["a b a b"], {"order": 2}, "1/3", 100 / 3),
        (["abab"], {"order": 2, "unit": "character"}, "1/3", 100 / 3),
        (["a b", "a b"], {"order": 2}, "0/2", 0.0),  # other segments' n-grams do not count
    ],
)
def test_repetition_by_hand(hypotheses: list[str], options: dict[str, Any], details: str, value: float) -> None:
    metric = make_metric("repetition", **options)
    score = metric.score(metric.statistics(hypotheses, [["r"]] * len(hypotheses)).sum(0))
    assert (score.details, score.value) == (details, pytest.approx(value))
    assert not metric.higher_is_better


def test_references_do_not_matter() -> None:
    metric, texts = make_metric("repetition"), ["a a a a a", "b c d e f"]
    assert sentence_scores(metric, texts, [["x"], ["y"]]).tolist() == [50.0, 0.0]
    assert sentence_scores(metric, texts, [[text] for text in texts]).tolist() == [50.0, 0.0]


def test_an_order_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="`order` must be at least 1, but is 0"):
        make_metric("repetition", order=0)
