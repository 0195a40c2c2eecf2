"""A diagnosis written out, as that of a model of which only some things are of interest."""

from seq2seq.diagnosis.damage import BehindPrefix, Damage
from seq2seq.diagnosis.gap import Estimate, ExposureGap
from seq2seq.diagnosis.outputs import BeamPoint, Outputs
from seq2seq.diagnosis.positions import PositionMeans, Survival
from seq2seq.diagnosis.report import Diagnosis

NO_CHANGE = Estimate(0.0, 0.0, 0.0)


def diagnosis_of(
    drop: Estimate = NO_CHANGE,
    growth: Estimate | None = NO_CHANGE,
    accuracies: tuple[float, ...] = (0.9, 0.8, 0.7),
    score: float = 30.0,
    num_pairs: int = 101,
) -> Diagnosis:
    """Return a diagnosis with these accuracies by position, and this score by any beam width and of any text."""
    labels = ("1", "2", "3-4", "5-8", "9-16", "17-32", "33-64")
    means = [
        PositionMeans(label, 40, accuracy, 1 - accuracy, -0.1, 40, accuracy, 1 - accuracy, -0.1)
        for label, accuracy in zip(labels, accuracies, strict=False)
    ]
    texts = Outputs(1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    return Diagnosis(
        num_pairs=num_pairs,
        generation_order="l2r",
        gap=ExposureGap(accuracies[0], accuracies[0] - drop.value, drop, growth, NO_CHANGE),
        by_position=means,
        by_quarter=means[:4],
        survival=Survival([1.0, 0.9, 0.5], [100, 90], [0.9, 0.55]),
        damages=[
            Damage(kind, place, 40, [0.5, 0.1, 0.0], [40, 40, 39], 0.0, 0.6, {"bleu": BehindPrefix(score, score, 0.0)})
            for place in (0.25, 0.5, 0.75)
            for kind in ("likely", "random")
        ],
        greedy=texts,
        references=texts,
        beams=[BeamPoint(width, {"bleu": score}, -0.5, texts) for width in (1, 2, 5, 10)],
    )
