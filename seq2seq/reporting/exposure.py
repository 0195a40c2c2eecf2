"""Whether a model's own mistakes lead it astray, in one picture and one sentence.

A model is trained to say the next word behind the right ones, and when it is used it stands behind its own. What
`diagnosis` measures of that on some hundred pairs enters; what a person needs to know of it leaves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from seq2seq.assembly.generator import TextGenerator
from seq2seq.diagnosis.gap import Estimate, ExposureGap, exposure_gap
from seq2seq.diagnosis.positions import PositionMeans, means_by_position
from seq2seq.diagnosis.report import behind_both
from seq2seq.diagnosis.subject import Subject

MOST_PAIRS = 300


@dataclass(frozen=True)
class Exposure:
    """How a model does behind its own words against behind the reference's."""

    num_pairs: int
    gap: ExposureGap
    by_quarter: tuple[PositionMeans, ...]
    sentence: str


def exposure_of(
    generator: TextGenerator, sources: Sequence[str], references: Sequence[Sequence[str]], seed: int
) -> Exposure:
    """Return what can be said on the first pairs.

    Args:
        sources: with all that the model reads before them.

    Raises:
        ValueError: the model generates from both ends by turns, or a text is too long for it.
    """
    most = slice(MOST_PAIRS)
    subject = Subject.create(generator, sources[most], [texts[0] for texts in references[most]])
    gold, own, is_said, _ = behind_both(subject)
    gap = exposure_gap(gold, own, is_said, seed)
    quarters = tuple(means_by_position(gold, own, is_said, relative=True))
    return Exposure(len(subject), gap, quarters, sentence_of(gap))


def sentence_of(gap: ExposureGap) -> str:
    """Return what the gap means, in plain words."""
    drop, growth = gap.accuracy_drop, gap.accuracy_drop_growth
    cost = (
        f"Behind the right beginning of a text, the model gives {_share(gap.gold_accuracy)} of the pieces of words "
        f"that come next; on its own, its outputs have {_share(gap.own_accuracy)} of them."
    )
    if growth is None:
        return f"{cost} The texts are too short to tell whether its mistakes lead it further astray."
    if growth.low > 0:
        return (
            f"{cost} The loss grows towards the end of the texts, by {_points(growth)}: its own mistakes lead it "
            "further astray (this is called exposure bias)."
        )
    if drop.low <= 0:
        return f"{cost} So its own mistakes do not lead it astray."
    return (
        f"{cost} The loss does not grow towards the end of the texts: its own mistakes do not lead it further astray."
    )


def _share(share: float) -> str:
    return f"{100 * share:.0f} %"


def _points(estimate: Estimate) -> str:
    return f"{100 * estimate.value:.0f} points of a hundred"
