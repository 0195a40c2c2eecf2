"""How candidate updates are proposed and weighed: the mathematics of MLE-guided parameter search, without a model.

Costs and distances of K candidates enter, float64 [K]; their weights leave. All of it is made in float64 from the same
numbers on every process, so that every process comes to the same weights, bit by bit.
"""

from typing import Literal, get_args

import numpy

Components = Literal["both", "zero", "mle"]
Density = Literal["none", "unit", "exact"]
AlphaMode = Literal["raw", "std"]
NoiseScale = Literal["tensor", "global", "constant"]

LOG_HALF = float(numpy.log(0.5))
"""Each component's share of the mixture."""


def is_guided(candidate: int, components: Components) -> bool:
    """Return whether a candidate is drawn around the likelihood's own update; the others are drawn around none.

    The components alternate, as in the authors' code, where the paper's mixture would throw a coin.
    """
    return components == "mle" or (components == "both" and candidate % 2 == 0)


def log_mixture(from_zero: numpy.ndarray, from_mle: numpy.ndarray) -> numpy.ndarray:
    """Return log(exp(-a / 2) / 2 + exp(-b / 2) / 2), the mixture's log-density up to a constant, float64 [K].

    Args:
        from_zero, from_mle: a and b, squared distances of the candidates to both centres in standard deviations, [K].
    """
    return numpy.logaddexp(LOG_HALF - 0.5 * from_zero, LOG_HALF - 0.5 * from_mle)


def log_density(
    from_zero: numpy.ndarray, from_mle: numpy.ndarray, density: Density, components: Components
) -> numpy.ndarray:
    """Return what a candidate's log-weight is diminished by, float64 [K].

    `none` is 0. `unit` is the mixture, whatever the components are: that is what the authors' code has. `exact` is the
    density that the candidates are drawn from.
    """
    if density == "none":
        return numpy.zeros(len(from_zero))
    if density == "unit" or components == "both":
        return log_mixture(from_zero, from_mle)
    return -0.5 * (from_zero if components == "zero" else from_mle)


def candidate_weights(
    costs: numpy.ndarray, log_densities: numpy.ndarray, alpha: float, alpha_mode: AlphaMode = "raw"
) -> numpy.ndarray:
    """Return softmax(-alpha * C - log q), float64 [K], of sum 1: self-normalised importance weights.

    The cost of the current weights, which the paper subtracts, is the same for all candidates and cancels.

    Args:
        costs: C, [K].
        log_densities: log q, [K].
        alpha_mode: `std` divides the costs by their standard deviation over the candidates, which makes alpha free of
            the cost's unit; candidates that all cost the same weigh the same.
    """
    relative = costs - costs.min()
    if alpha_mode == "std":
        relative = relative / (costs.std() or 1.0)
    log_weights = -alpha * relative - log_densities
    weights = numpy.exp(log_weights - log_weights.max())
    return weights / weights.sum()


def effective_sample_size(weights: numpy.ndarray) -> float:
    """Return 1 / sum(w^2): K where all weigh the same, 1 where a single candidate has all."""
    return float(1.0 / numpy.square(weights).sum())


def check_names(density: str, alpha_mode: str, components: str, noise_scale: str) -> None:
    """Raise ValueError for a name that is none of an option's."""
    options = {
        "density": (density, Density),
        "alpha_mode": (alpha_mode, AlphaMode),
        "components": (components, Components),
        "noise_scale": (noise_scale, NoiseScale),
    }
    for name, (value, kind) in options.items():
        if value not in get_args(kind):
            raise ValueError(f"`{name}` must be one of {', '.join(get_args(kind))}, but is {value!r}.")
