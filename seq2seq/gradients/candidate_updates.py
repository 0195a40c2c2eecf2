"""The candidate updates of one step, of which nothing is kept but their seeds, and what each of them weighs.

Parameters whose `.grad` is the (clipped, mean) gradient g of the likelihood enter. Candidate k is -g + s n for the
guided component and s n for the other, s a scale for each tensor and n normal noise that is drawn anew, the same on
every process, whenever it is needed: to move the weights, to measure distances, and to average. Weights are made in
float64 from the same costs on every process, so that every process comes to the same ones, bit by bit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy
import torch
from torch import Tensor
from torch.nn import Parameter

from seq2seq.data.random_keys import random_key

Components = Literal["both", "zero", "mle"]
Density = Literal["none", "unit"]
AlphaMode = Literal["raw", "std"]
NoiseScale = Literal["tensor", "global", "constant"]

LOG_HALF = float(numpy.log(0.5))
"""Each component's share of the mixture."""


def is_guided(candidate: int, components: Components) -> bool:
    """Return whether a candidate is drawn around the likelihood's own update; the others are drawn around none.

    The components alternate, as in the authors' code, where the paper's mixture would throw a coin.
    """
    return components == "mle" or (components == "both" and candidate % 2 == 0)


def log_density(from_zero: numpy.ndarray, from_mle: numpy.ndarray) -> numpy.ndarray:
    """Return log(exp(-a / 2) / 2 + exp(-b / 2) / 2), float64 [K]: the mixture of variance 1, up to a constant.

    It is a mixture whatever the components are, as in the authors' code.

    Args:
        from_zero, from_mle: a and b, squared distances of the candidates to both centres, [K].
    """
    return numpy.logaddexp(LOG_HALF - 0.5 * from_zero, LOG_HALF - 0.5 * from_mle)


def candidate_weights(
    costs: numpy.ndarray, log_densities: numpy.ndarray, alpha: float, alpha_mode: AlphaMode
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


@dataclass(frozen=True)
class CandidateUpdates:
    """K updates, numbered from 0. A tied parameter stands here once, so it is moved once."""

    parameters: Sequence[Parameter]
    """Each with a `.grad`."""
    scales: Sequence[float]
    """Standard deviation of the noise of each."""
    seeds: tuple[int, ...]
    """What the noise depends on, beside the candidate and the place of the tensor."""
    components: Components = "both"

    @torch.no_grad()
    def move(self, candidate: int, masters: Sequence[Tensor]) -> None:
        """Set the parameters to the masters, updated by a candidate."""
        guided = is_guided(candidate, self.components)
        for parameter, master, scale, noise in zip(
            self.parameters, masters, self.scales, self._noise(candidate), strict=True
        ):
            parameter.copy_(master)
            if guided:
                parameter.sub_(_gradient(parameter))
            parameter.add_(noise, alpha=scale)

    @torch.no_grad()
    def squared_distances(self, candidate: int) -> tuple[float, float]:
        """Return a candidate's squared distances to 0 and to -g."""
        guided, totals = is_guided(candidate, self.components), torch.zeros(2, dtype=torch.float64)
        for parameter, scale, noise in zip(self.parameters, self.scales, self._noise(candidate), strict=True):
            gradient, noise = _gradient(parameter).double().cpu(), noise.double().cpu().mul_(scale)
            from_zero, from_mle = (noise - gradient, noise) if guided else (noise, noise + gradient)
            totals += torch.stack([from_zero.square().sum(), from_mle.square().sum()])
        zero, mle = totals.tolist()
        return zero, mle

    @torch.no_grad()
    def average_into_gradients(self, weights: numpy.ndarray) -> None:
        """Turn each `.grad` from g into minus the weighted mean of all candidates; there is no other buffer."""
        unguided = sum(float(w) for k, w in enumerate(weights) if not is_guided(k, self.components))
        for parameter in self.parameters:
            _gradient(parameter).mul_(1.0 - unguided)
        for candidate, weight in enumerate(weights):
            for parameter, scale, noise in zip(self.parameters, self.scales, self._noise(candidate), strict=True):
                _gradient(parameter).sub_(noise, alpha=float(weight) * scale)

    def _noise(self, candidate: int) -> Iterator[Tensor]:
        """Yield a candidate's standard normal noise, tensor by tensor."""
        generator = torch.Generator(self.parameters[0].device)
        for place, parameter in enumerate(self.parameters):
            generator.manual_seed(random_key(*self.seeds, candidate, place))
            yield torch.randn(parameter.shape, generator=generator, device=parameter.device, dtype=parameter.dtype)


def noise_scales(parameters: Sequence[Parameter], noise: float, noise_scale: NoiseScale) -> list[float]:
    """Return the standard deviation of each parameter's noise: `noise` times the mean size of a gradient's entries.

    Args:
        noise_scale: the mean is over the tensor (the authors' `uniform`) or over all (`uniform-global`); `constant`
            takes 1 in its place.
    """
    if noise_scale == "constant":
        return [noise] * len(parameters)
    sums = torch.stack([_gradient(parameter).abs().sum(dtype=torch.float32) for parameter in parameters])
    sizes = torch.tensor([float(parameter.numel()) for parameter in parameters], device=sums.device)
    means = sums / sizes if noise_scale == "tensor" else (sums.sum() / sizes.sum()).expand_as(sums)
    return [noise * mean for mean in means.tolist()]


def _gradient(parameter: Parameter) -> Tensor:
    assert parameter.grad is not None, "only parameters with a gradient are searched"
    return parameter.grad
