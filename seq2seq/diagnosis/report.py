"""A model and pairs of texts enter, everything that shows exposure bias leaves: `diagnose`.

Exposure bias is what a model suffers that was trained behind the reference's words only and then stands on its own.
`positions` says how it does behind either, `damage` how far one wrong token throws it, `outputs` whether it loops, ends
too soon or never, and whether a wider search helps, and `gap` puts the first of these in numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy

from seq2seq.decoding.parts.teacher_forcing import ForcedTokens
from seq2seq.diagnosis.damage import Damage, damages
from seq2seq.diagnosis.gap import ExposureGap, exposure_gap
from seq2seq.diagnosis.outputs import BeamPoint, Outputs, beam_curve, outputs
from seq2seq.diagnosis.positions import PositionMeans, Survival, means_by_position, survival_curve
from seq2seq.diagnosis.subject import Subject
from seq2seq.generation.hypothesis import Hypothesis
from seq2seq.metrics import Metric
from seq2seq.metrics.alignment import matched_units


@dataclass(frozen=True)
class Diagnosis:
    """What is known of one model on N pairs."""

    num_pairs: int
    generation_order: str
    gap: ExposureGap
    by_position: list[PositionMeans]
    by_quarter: list[PositionMeans]
    survival: Survival
    damages: list[Damage]
    greedy: Outputs
    references: Outputs
    beams: list[BeamPoint]


def diagnose(
    subject: Subject,
    references: Sequence[str],
    metrics: dict[str, Metric],
    beam_widths: Sequence[int],
    seed: int,
) -> Diagnosis:
    """Return the diagnosis.

    Args:
        references: texts of the subject's references.
        metrics: by name, one at least; the first one judges single sentences.
        beam_widths: rising.
        seed: of random tokens and of resamples.
    """
    gold, own, is_said, greedy = behind_both(subject)
    said = [h.tokens for h in greedy]
    return Diagnosis(
        num_pairs=len(subject),
        generation_order=subject.model.generation_order,
        gap=exposure_gap(gold, own, is_said, seed),
        by_position=means_by_position(gold, own, is_said, relative=False),
        by_quarter=means_by_position(gold, own, is_said, relative=True),
        survival=survival_curve(said, subject.references),
        damages=damages(subject, gold, metrics, seed),
        greedy=outputs(subject, said),
        references=outputs(subject, subject.references),
        beams=beam_curve(subject, references, greedy, metrics, beam_widths),
    )


class BehindBoth(NamedTuple):
    """A model behind the words of the references, and behind its own."""

    gold: ForcedTokens
    own: ForcedTokens
    is_said: numpy.ndarray
    """Which tokens of the references the model says, bool [n]."""
    greedy: list[Hypothesis]
    """What it says by itself."""


def behind_both(subject: Subject) -> BehindBoth:
    """Return what a model says behind either."""
    rows = range(len(subject))
    gold = subject.forced(rows, subject.references)
    greedy = subject.greedy()
    said = [h.tokens for h in greedy]
    own = subject.forced(rows, said)
    pairs = zip(said, subject.references, strict=True)
    return BehindBoth(gold, own, numpy.concatenate([matched_units(*pair) for pair in pairs]), greedy)
