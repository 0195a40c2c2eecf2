"""What the exposure gap of one or several models comes to, in a sentence for each and one for each comparison.

Own prefixes cost any model something, as another good output moves away from the reference too. Exposure bias would
show as a cost that grows along the sequence, so that is what decides, and only where its interval leaves out 0.
"""

from collections.abc import Mapping

from seq2seq.diagnosis.gap import Estimate
from seq2seq.diagnosis.report import Diagnosis


def conclusions(models: Mapping[str, Diagnosis], *, comparable: bool) -> list[str]:
    """Return the sentences, those of single models first.

    Args:
        comparable: whether the models have one tokenizer, so that shares of tokens mean the same.
    """
    found = [f"{name}: {conclusion(model)}" for name, model in models.items()]
    (first, its), *others = models.items()
    if comparable:
        found += [comparison(first, its, name, model) for name, model in others]
    return found


def conclusion(model: Diagnosis) -> str:
    """Return what the model's gap shows, with 95 % intervals, in one sentence."""
    drop, growth = model.gap.accuracy_drop, model.gap.accuracy_drop_growth
    if drop.low <= 0 <= drop.high:
        cost = (
            f"behind its own prefixes it says about as much of the references as behind gold ones: {_points(drop)} less"
        )
    else:
        cost = f"its own prefixes {'cost' if drop.value > 0 else 'gain'} it {_points(drop, sign=False)} of accuracy"
    if growth is None:
        return f"{cost}; the sequences are too short to show whether that grows, so nothing is said of exposure bias."
    grows = f"from the first quarter of the sequences to the last this {_change(growth)}"
    if growth.low > 0:
        return f"{cost}; {grows}, as it does under exposure bias: it is visible here."
    chance = ", which may be chance" if growth.low < 0 <= growth.high else ""
    return f"{cost}; {grows}{chance}: exposure bias is not visible on these {model.num_pairs} pairs."


def comparison(first: str, its: Diagnosis, name: str, model: Diagnosis) -> str:
    """Return which of two models loses less by its own prefixes, if their intervals tell them apart."""
    one, other = its.gap.accuracy_drop, model.gap.accuracy_drop
    if one.low > other.high or other.low > one.high:
        less, more = (name, first) if other.value < one.value else (first, name)
        return f"{less} loses less by its own prefixes than {more}: the intervals of their drops lie apart."
    return f"{first} and {name}: the intervals of their drops overlap, so neither is shown to lose less in this way."


def _points(estimate: Estimate, *, sign: bool = True) -> str:
    """Return an estimate of a share in points, of either sign or as its magnitude."""
    value, low, high = (100 * number for number in (estimate.value, estimate.low, estimate.high))
    if not sign and value < 0:
        value, low, high = -value, -high, -low
    return f"{value:.1f} points ({low:.1f} to {high:.1f})".replace("-0.0", "0.0")


def _change(growth: Estimate) -> str:
    if growth.low == growth.high == 0:
        return "does not change"
    return f"{'grows' if growth.value >= 0 else 'falls'} by {_points(growth, sign=False)}"
