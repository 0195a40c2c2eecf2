"""Is one system better than another, or was it luck? Paired tests over additive statistics, for every metric.

What enters are the statistics of two systems on the same segments; what leaves is the difference of their scores with
a confidence interval and a two-sided p-value. Both tests are exactly symmetric: exchanging the systems changes the
sign of the difference and nothing else. They draw the same resamples for every metric, given the same seed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy

from seq2seq.metrics.base import Metric, Score

NUM_SAMPLES = 1000
SEED = 1
BLOCK_CELLS = 4_000_000
"""Resamples times segments handled at once: 32 MB of float64."""
TIE = 1e-9
"""Differences of scores (in percent) that only rounding tells apart. Ties speak for the null hypothesis."""


@dataclass(frozen=True)
class Comparison:
    """A system against a baseline."""

    system: Score
    baseline: Score
    higher_is_better: bool
    interval: tuple[float, float] | None = None
    """95% bootstrap confidence interval (percentiles) of the difference; None where no test was made."""
    p_value: float | None = None
    """Two-sided: how often a difference this large, of either sign, would arise between equal systems."""
    test: str = ""
    """What is needed to repeat the test, such as `bootstrap:1000|seed:1`."""

    @property
    def difference(self) -> float:
        return self.system.value - self.baseline.value

    @property
    def verdict(self) -> str:
        """The system is `better` or `worse` than the baseline, or `equal`; chance is not considered."""
        if abs(self.difference) < TIE:
            return "equal"
        return "better" if (self.difference > 0) == self.higher_is_better else "worse"


def paired_bootstrap(
    metric: Metric,
    statistics: numpy.ndarray,
    baseline_statistics: numpy.ndarray,
    num_samples: int = NUM_SAMPLES,
    seed: int = SEED,
) -> Comparison:
    """Return the comparison by paired bootstrap resampling (Koehn 2004).

    The null distribution is the bootstrap distribution of the difference, shifted to mean zero; p is its share at least
    as far from zero as the observed difference, by (k + 1) / (n + 1). Where we differ: Koehn counts how often the
    sign flips, which is one-sided; sacreBLEU takes absolute values before it centres, which about halves p.

    Args:
        statistics: [segments, statistics], as `metric.statistics` returns them.
        baseline_statistics: the same of the other system on the same segments.

    Raises:
        ValueError: the two do not have the same shape, or `num_samples` is below 1.
    """
    _check(statistics, baseline_statistics, num_samples)
    differences = bootstrap_differences(metric, statistics, baseline_statistics, num_samples, seed)
    observed = _scores(metric, statistics, baseline_statistics)
    p_value = _p_value(differences - differences.mean(), observed)
    test = f"bootstrap:{num_samples}|seed:{seed}"
    return Comparison(*observed, metric.higher_is_better, _interval(differences), p_value, test)


def paired_randomization(
    metric: Metric,
    statistics: numpy.ndarray,
    baseline_statistics: numpy.ndarray,
    num_samples: int = NUM_SAMPLES,
    seed: int = SEED,
) -> Comparison:
    """Return the comparison by paired approximate randomisation (Riezler and Maxwell 2005).

    If the systems were equal, exchanging their outputs on any segments would be without effect; p is the share of
    random exchanges that lead to a difference at least as large as the observed one, by (k + 1) / (n + 1). The
    confidence interval is a bootstrap's. Arguments and errors are those of `paired_bootstrap`.
    """
    _check(statistics, baseline_statistics, num_samples)
    differences = randomized_differences(metric, statistics, baseline_statistics, num_samples, seed)
    observed = _scores(metric, statistics, baseline_statistics)
    interval = _interval(bootstrap_differences(metric, statistics, baseline_statistics, num_samples, seed))
    test = f"randomization:{num_samples}|seed:{seed}"
    return Comparison(*observed, metric.higher_is_better, interval, _p_value(differences, observed), test)


def untested_difference(
    metric: Metric,
    statistics: numpy.ndarray,
    baseline_statistics: numpy.ndarray,
    num_samples: int = 1,
    seed: int = SEED,
) -> Comparison:
    """Return the two scores without interval and p-value; `num_samples` and `seed` are not used."""
    _check(statistics, baseline_statistics, num_samples)
    return Comparison(*_scores(metric, statistics, baseline_statistics), metric.higher_is_better)


TESTS: dict[str, Callable[..., Comparison]] = {
    "bootstrap": paired_bootstrap,
    "randomization": paired_randomization,
    "none": untested_difference,
}


def bootstrap_differences(
    metric: Metric, statistics: numpy.ndarray, baseline_statistics: numpy.ndarray, num_samples: int, seed: int
) -> numpy.ndarray:
    """Return system minus baseline on corpora drawn with replacement, the same for both, [num_samples]."""
    pieces = [
        _values(metric, counts @ statistics) - _values(metric, counts @ baseline_statistics)
        for counts in _resamples(len(statistics), num_samples, seed)
    ]
    return numpy.concatenate(pieces)


def bootstrap_interval(
    metric: Metric, statistics: numpy.ndarray, num_samples: int = NUM_SAMPLES, seed: int = SEED
) -> tuple[float, float]:
    """Return the 95% bootstrap confidence interval (percentiles) of one system's score."""
    resamples = _resamples(len(statistics), num_samples, seed)
    return _interval(numpy.concatenate([_values(metric, counts @ statistics) for counts in resamples]))


def _resamples(num_segments: int, num_samples: int, seed: int) -> Iterator[numpy.ndarray]:
    """Yield how often each segment is in each corpus that is drawn with replacement, [some samples, segments]."""
    generator = numpy.random.default_rng(seed)
    for size in _block_sizes(num_samples, num_segments):
        draws = generator.integers(num_segments, size=(size, num_segments))
        draws += numpy.arange(size)[:, None] * num_segments
        yield numpy.bincount(draws.ravel(), minlength=draws.size).reshape(draws.shape).astype(numpy.float64)


def randomized_differences(
    metric: Metric, statistics: numpy.ndarray, baseline_statistics: numpy.ndarray, num_samples: int, seed: int
) -> numpy.ndarray:
    """Return the difference of two corpora, each segment's outputs exchanged with probability 1/2, [num_samples]."""
    generator = numpy.random.default_rng(seed)
    gain = statistics - baseline_statistics
    pieces = []
    for size in _block_sizes(num_samples, len(statistics)):
        exchanged = generator.integers(2, size=(size, len(statistics)), dtype=numpy.int8).astype(numpy.float64) @ gain
        first, second = statistics.sum(axis=0) - exchanged, baseline_statistics.sum(axis=0) + exchanged
        pieces.append(_values(metric, first) - _values(metric, second))
    return numpy.concatenate(pieces)


def _block_sizes(num_samples: int, num_segments: int) -> Iterator[int]:
    """Yield how many resamples to handle at a time."""
    block = max(1, BLOCK_CELLS // num_segments)
    for start in range(0, num_samples, block):
        yield min(block, num_samples - start)


def _values(metric: Metric, sums: numpy.ndarray) -> numpy.ndarray:
    return numpy.array([metric.score(row).value for row in sums])


def _scores(metric: Metric, *statistics: numpy.ndarray) -> tuple[Score, Score]:
    system, baseline = (metric.score(rows.sum(axis=0)) for rows in statistics)
    return system, baseline


def _p_value(null_differences: numpy.ndarray, observed: tuple[Score, Score]) -> float:
    """Return the share of null differences at least as large as the observed; +1 counts the observed one itself."""
    threshold = abs(observed[0].value - observed[1].value) - TIE
    return float((numpy.abs(null_differences) >= threshold).sum() + 1) / (len(null_differences) + 1)


def _interval(differences: numpy.ndarray) -> tuple[float, float]:
    low, high = numpy.percentile(differences, [2.5, 97.5])
    return float(low), float(high)


def _check(statistics: numpy.ndarray, baseline_statistics: numpy.ndarray, num_samples: int) -> None:
    if statistics.shape != baseline_statistics.shape or not len(statistics):
        raise ValueError(
            "Paired tests need the statistics of two systems on the same segments, "
            f"but these are {statistics.shape} and {baseline_statistics.shape} (segments, statistics)."
        )
    if num_samples < 1:
        raise ValueError(f"`num_samples` must be at least 1, but is {num_samples}.")
