"""The exposure gap: what a model loses by standing on its own words, in three numbers with 95 % intervals.

Exposure bias would show as a loss that grows while the model moves away from what it was trained behind. So two of
the numbers are differences of differences, the last quarter of sequences against the first, own against gold prefixes:
what makes late tokens easy or hard behind any prefix is taken out. None of them is 0 for a model without fault, as
another good translation moves away from the reference too; they are for comparing models on one set of pairs.
"""

from dataclasses import dataclass

import numpy

from seq2seq.decoding.parts.teacher_forcing import ForcedTokens
from seq2seq.diagnosis.positions import position_quarters

NUM_SAMPLES = 1000


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % bootstrap interval (percentiles) over pairs."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ExposureGap:
    """Own prefixes against gold ones; a growth is None where no sequence has four tokens."""

    gold_accuracy: float
    """Share of reference tokens that the model finds likeliest behind gold prefixes."""
    own_accuracy: float
    """Share of reference tokens that the greedy hypothesis says, aligned by edit distance."""
    accuracy_drop: Estimate
    """The first less the second."""
    accuracy_drop_growth: Estimate | None
    """This difference in the last quarter less that in the first."""
    entropy_growth: Estimate | None
    """Rise of entropy from first to last quarter behind own prefixes, less the rise behind gold ones; nats. Below 0
    the model becomes surer on its own: of a loop, it may be."""


def exposure_gap(gold: ForcedTokens, own: ForcedTokens, is_said: numpy.ndarray, seed: int) -> ExposureGap:
    """Return the gap; arguments as in `positions.means_by_position`, `seed` that of the resamples."""
    measures = ((gold, gold.is_best), (gold, is_said), (gold, gold.entropies), (own, own.entropies))
    sums, counts = (
        numpy.stack(part, axis=1) for part in zip(*(_by_pair(*measure) for measure in measures), strict=True)
    )
    num_pairs = len(gold.lengths)
    drawn = numpy.random.default_rng(seed).multinomial(num_pairs, [1 / num_pairs] * num_pairs, NUM_SAMPLES)
    weights = numpy.vstack([numpy.ones(num_pairs), drawn])  # what was observed comes first
    sums, counts = (numpy.tensordot(weights, part, axes=1) for part in (sums, counts))
    with numpy.errstate(invalid="ignore"):  # 0 / 0 where a resample has no token in a quarter
        accuracy, said, entropy, own_entropy = numpy.moveaxis(sums / counts, 1, 0)
    whole = sums[:, :2].sum(-1) / counts[:, :2].sum(-1)
    drops = accuracy - said
    return ExposureGap(
        gold_accuracy=float(whole[0, 0]),
        own_accuracy=float(whole[0, 1]),
        accuracy_drop=_required(_estimate(whole[:, 0] - whole[:, 1])),
        accuracy_drop_growth=_estimate(_growth(drops)),
        entropy_growth=_estimate(_growth(own_entropy) - _growth(entropy)),
    )


def _by_pair(tokens: ForcedTokens, values: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Return sum and number of the values of each pair's quarters, both float64 [N, 4]."""
    cells, num_cells = 4 * tokens.rows + position_quarters(tokens), 4 * len(tokens.lengths)
    parts = (numpy.bincount(cells, weights, num_cells).reshape(-1, 4) for weights in (values, numpy.ones(len(cells))))
    return next(parts), next(parts)


def _growth(means: numpy.ndarray) -> numpy.ndarray:
    """Return the last quarter less the first, [R], of means [R, 4]."""
    return means[:, 3] - means[:, 0]


def _estimate(values: numpy.ndarray) -> Estimate | None:
    """Return the first value with the interval of all others; None if it is no number."""
    if numpy.isnan(values[0]):
        return None
    low, high = numpy.nanpercentile(values[1:], [2.5, 97.5])
    return Estimate(float(values[0]), float(low), float(high))


def _required(estimate: Estimate | None) -> Estimate:
    assert estimate is not None, "every reference has a token"
    return estimate
