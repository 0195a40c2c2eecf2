"""The candidate updates of one step, of which nothing is kept but their seeds.

Parameters whose `.grad` is the (clipped, mean) gradient g of the likelihood enter. Candidate k is -g + s n for the
guided component and s n for the other, s a scale for each tensor and n normal noise that is drawn anew, the same on
every process, whenever it is needed: to move the weights, to measure distances, and to average.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor
from torch.nn import Parameter

from seq2seq.data.random_keys import random_key
from seq2seq.gradients.proposal import Components, NoiseScale, is_guided


@dataclass(frozen=True)
class Candidates:
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
    def squared_distances(self, candidate: int, *, in_deviations: bool) -> tuple[float, float]:
        """Return a candidate's squared distances to 0 and to -g.

        Args:
            in_deviations: in standard deviations of the noise; parameters without noise are left out.
        """
        guided, totals = is_guided(candidate, self.components), torch.zeros(2, dtype=torch.float64)
        for parameter, scale, noise in zip(self.parameters, self.scales, self._noise(candidate), strict=True):
            if in_deviations and scale == 0.0:
                continue
            gradient, noise = _gradient(parameter).double().cpu(), noise.double().cpu().mul_(scale)
            distances = torch.stack([(noise - gradient if guided else noise).square().sum(),
                                     (noise if guided else noise + gradient).square().sum()])  # fmt: skip
            totals += distances / scale**2 if in_deviations else distances
        from_zero, from_mle = totals.tolist()
        return from_zero, from_mle

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
