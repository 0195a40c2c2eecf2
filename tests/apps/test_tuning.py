"""The choice of a rescoring weight, from the best hypotheses by each of them."""

import pytest

from seq2seq.apps.command import main
from seq2seq.apps.tuning.rescoring_weight import WEIGHTS, format_curve, tuned
from seq2seq.generation.output import EMPTY_HYPOTHESIS, NBest, TextHypothesis


def result(number: int, *texts: str) -> NBest:
    """Return what a search by every weight makes of a source."""
    return NBest(number, "x", tuple(TextHypothesis(text, (), (), 0.0, 0.0, True) for text in texts))


REFERENCES = [["a b"], ["c d"], [""]]
RESULTS = [
    result(0, *["a z"] * 3, *["a b"] * 8),  # right from 0.3 on
    result(1, *["c d"] * 8, *["c z"] * 3),  # right up to 0.7
    NBest(2, "", (EMPTY_HYPOTHESIS,)),
]


@pytest.mark.parametrize(
    ("metric", "at_ends", "in_the_middle"), [("exact_match", 200 / 3, 100.0), ("word_error_rate", 25.0, 0.0)]
)
def test_the_best_weight_is_in_the_middle_of_the_best(metric: str, at_ends: float, in_the_middle: float) -> None:
    """Both strings are right from 0.3 to 0.7, of which 0.5 is nearest to itself."""
    chosen, scores, weight = tuned(iter(RESULTS), REFERENCES, metric)
    assert weight == 0.5
    assert scores == pytest.approx([*[at_ends] * 3, *[in_the_middle] * 5, *[at_ends] * 3])
    assert [[h.text for h in nbest.hypotheses] for nbest in chosen] == [["a b"], ["c d"], [""]]


def test_the_best_weight_may_be_at_an_end() -> None:
    chosen, scores, weight = tuned([result(0, *["z"] * 10, "a b")], [["q", "a b"]], "exact_match")
    assert (weight, scores[-1], chosen[0].text) == (1.0, 100.0, "a b")
    table = format_curve("exact_match", scores, weight).splitlines()
    assert len(table) == len(WEIGHTS) + 2
    assert table[-2].split() == ["1.0", "100.00", "best"]
    assert table[-1] == "Decode with `--rescoring-weight 1.0`."


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="3 lines were decoded, but the references have 2"):
        tuned(RESULTS, REFERENCES[:2], "bleu")
    with pytest.raises(ValueError, match="did you mean 'bleu'"):
        tuned(RESULTS, REFERENCES, "blue")


def test_only_what_is_exported_is_tuned(capsys: pytest.CaptureFixture[str]) -> None:
    files = ["--tune-source", "dev.en", "--tune-reference", "dev.de"]
    assert main(["decode", "--model", "runs/x", "--checkpoint", "last", "--tune-metric", "bleu", *files]) == 2
    assert "leave out `--checkpoint`" in capsys.readouterr().err
