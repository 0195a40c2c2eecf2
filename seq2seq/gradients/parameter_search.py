"""MLE-guided parameter search (Welleck & Cho 2021): an update that lowers a cost of what the model generates.

The objective's gradient proposes; K candidate updates, noise around that gradient's step and around none, are each
tried by decoding the batch greedily with the weights so moved; their mean, weighted by exp(-alpha * cost), becomes the
update. The cost need not be differentiable. One scalar per candidate is all that the batch tells, and all, beside the
ordinary gradient, that processes tell each other.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from torch import Tensor, nn
from torch.distributed import ReduceOp
from torch.nn import Parameter

from seq2seq.config.declaring import part
from seq2seq.data.batch import Batch
from seq2seq.gradients.base import Backward
from seq2seq.gradients.candidate_updates import (
    AlphaMode,
    CandidateUpdates,
    Components,
    Density,
    NoiseScale,
    candidate_weights,
    check_names,
    effective_sample_size,
    log_density,
    noise_scales,
)
from seq2seq.gradients.greedy_cost import BatchCost
from seq2seq.gradients.transforms import clip, scale_gradients
from seq2seq.models.transformer.side_by_side import SideBySide
from seq2seq.objectives.base import LossSum, Objective

LENGTH_FACTOR = 1.3
"""Longest hypothesis in terms of the longest reference of all processes, as in the authors' code: a candidate that
never ends must not hold the step up."""


@dataclass(frozen=True)
class ParameterSearch:
    """The gradient whose descent is the search's mean update; it replaces `.grad`, so nothing may be accumulated.

    Differences to the paper's mixture and density are those of the authors' code and are options: the components
    alternate, and the density of the proposal is left out (`none`) or taken with variance 1 (`unit`). The true one of D
    parameters has a standard deviation of sqrt(D / 2) nats over the luck of the noise alone, so that one candidate
    would have all weight whatever the candidates cost. The cost of the current weights cancels and is measured for the
    log alone.

    Each process measures all candidates on pairs of its own.

    Args:
        batch_cost: what is to become small.
        num_processes: those that add up what they measure.
        seed: of the noise, which depends on nothing but this, the step, the candidate and the place of the tensor.
        cost: metric to improve, any that `validation.metrics` knows, or a distance as in `objective.minimum_risk.cost`.
        pooled: whether the cost of a batch is one corpus score of its summed statistics, or the mean of its sentences'
            costs.
        num_candidates: candidate updates K, each a greedy decoding of the batch.
        alpha: how much a lower cost counts: a candidate weighs exp(-alpha * cost). Costs are 0 to 1 for most metrics.
        alpha_mode: `std` divides the costs by their standard deviation over the candidates; an `alpha` of about 1 suits
            it.
        noise: standard deviation of the noise, in mean absolute gradients.
        noise_scale: what the mean is over: each tensor, or all weights; with `constant`, `noise` is in the weights' own
            unit.
        density: the proposal's density that weights are divided by: left out, or taken with variance 1 as in the
            authors' code.
        components: candidates lie, in turns, around the gradient's step and around the current weights; or all around
            one of them: `zero` is random search, `mle` noisy descent.
        clip_norm: norm that the guiding gradient is clipped to, and so the distance of candidates; 0 switches it off.
        candidates_at_once: candidates that are decoded in one batch, each by a copy of the weights beside the one that
            there is in any case.
        measure_current: log the cost of the current weights as well, at one more decoding.

    Raises:
        ValueError: an option is out of range.
    """

    batch_cost: BatchCost = part(None)
    num_processes: int = part(1)
    seed: int = part(1)
    cost: str = "bleu"
    pooled: bool = False
    num_candidates: int = 4
    alpha: float = 100.0
    alpha_mode: AlphaMode = "raw"
    noise: float = 1.0
    noise_scale: NoiseScale = "tensor"
    density: Density = "none"
    components: Components = "both"
    clip_norm: float = 1.0
    candidates_at_once: int = 1
    measure_current: bool = False

    def __post_init__(self) -> None:
        check_names(self.density, self.alpha_mode, self.components, self.noise_scale)
        if self.num_candidates < 2 or (self.components == "both" and self.num_candidates % 2):
            raise ValueError(
                "`num_candidates` must be even, as the two components take turns, and at least 2, but "
                f"is {self.num_candidates}."
            )
        if self.candidates_at_once < 1:
            raise ValueError(f"`candidates_at_once` must be at least 1, but is {self.candidates_at_once}.")
        if min(self.alpha, self.noise, self.clip_norm) < 0:
            raise ValueError("`alpha`, `noise` and `clip_norm` must not be negative.")

    def __call__(self, objective: Objective, model: nn.Module, batch: Batch, step: int, backward: Backward) -> LossSum:
        """Return the mean loss of all processes, of weight 1: `.grad` is finished and is not divided any more.

        Its logs are those of the objective as means, what the candidates cost (`cost_mean`, `cost_min`, `cost_max`,
        `cost_current`), `effective_sample_size`, `largest_weight`, and `target_tokens` of the pairs.

        Raises:
            ValueError: the weights are not in float32.
        """
        self._check([parameter for parameter in model.parameters() if parameter.requires_grad])
        loss = objective(model, batch, step)
        backward(loss.loss_sum)
        parameters = [parameter for parameter in model.parameters() if parameter.grad is not None]
        total = self._total(loss.detach())
        scale_gradients(parameters, self.num_processes / total.weight)  # of which DDP has made a mean
        norm = clip(parameters, self.clip_norm)
        logs = {name: value / total.weight for name, value in total.logs.items()}
        if bool(norm.isfinite()):  # otherwise the trainer says what is wrong
            logs |= self._search(parameters, model, batch, step)
        logs["target_tokens"] = loss.weight.new_tensor(float(batch.num_target_tokens))
        return LossSum(total.loss_sum / total.weight, torch.ones_like(total.weight), logs)

    def _check(self, parameters: list[Parameter]) -> None:
        is_fresh = all(parameter.grad is None for parameter in parameters)
        assert is_fresh, "parameter search replaces `.grad`, so that nothing can be accumulated"
        if narrow := {str(p.dtype) for p in parameters if p.dtype not in (torch.float32, torch.float64)}:
            raise ValueError(
                f"Parameter search moves weights by less than {narrow.pop()} can hold; keep weights in float32."
            )

    def _total(self, loss: LossSum) -> LossSum:
        """Return the loss of all processes."""
        names = sorted(loss.logs)
        packed = torch.stack([loss.loss_sum, loss.weight, *(loss.logs[name] for name in names)])
        loss_sum, weight, *logs = self._over_processes(packed, ReduceOp.SUM)
        return LossSum(loss_sum, weight, dict(zip(names, logs, strict=True)))

    def _search(self, parameters: list[Parameter], model: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        """Turn the gradients into those of the search; return what is logged of it."""
        scales = noise_scales(parameters, self.noise, self.noise_scale)
        candidates = CandidateUpdates(parameters, scales, (self.seed, step), self.components)
        costs = self._costs(candidates, model, batch)
        current, costs = costs[self.num_candidates :], costs[: self.num_candidates]
        weights = candidate_weights(costs, self._log_densities(candidates), self.alpha, self.alpha_mode)
        candidates.average_into_gradients(weights)
        values = {
            "cost_mean": costs.mean(),
            "cost_min": costs.min(),
            "cost_max": costs.max(),
            "effective_sample_size": effective_sample_size(weights),
            "largest_weight": weights.max(),
        }
        if self.measure_current:
            values["cost_current"] = current.item()
        return {name: torch.tensor(float(value), device=batch.labels.device) for name, value in values.items()}

    def _costs(self, candidates: CandidateUpdates, model: nn.Module, batch: Batch) -> numpy.ndarray:
        """Return the cost of each candidate, and if asked for of the current weights behind them, over all pairs."""
        num_measured = self.num_candidates + self.measure_current
        own_longest = torch.tensor(batch.labels.shape[1], device=batch.labels.device)
        longest = self._over_processes(own_longest, ReduceOp.MAX)
        max_length = max(1, int(LENGTH_FACTOR * int(longest)))
        numbers, found = range(num_measured), []
        with searching(model) as bare_model, kept(candidates.parameters) as masters:
            for start in range(0, num_measured, self.candidates_at_once):
                some = numbers[start : start + self.candidates_at_once]
                found += self._statistics(some, candidates, masters, bare_model, batch, max_length)
        device = batch.labels.device if self.num_processes > 1 else "cpu"
        sums = torch.from_numpy(numpy.array(found, dtype=numpy.float64)).to(device)
        summed = self._over_processes(sums, ReduceOp.SUM).cpu().numpy()
        return numpy.array([self.batch_cost.value(row) for row in summed])

    def _statistics(
        self,
        numbers: Sequence[int],
        candidates: CandidateUpdates,
        masters: Sequence[Tensor],
        model: Any,
        batch: Batch,
        max_length: int,
    ) -> list[numpy.ndarray]:
        """Return the statistics of some candidates, decoded at once; behind the last stand the current weights."""
        models = SideBySide(model, len(numbers)) if len(numbers) > 1 else None
        for place, number in enumerate(numbers):
            if number < self.num_candidates:
                candidates.move(number, masters)
            else:
                copy_into(candidates.parameters, masters)
            if models is not None:
                models.take(place, model)
        if models is None:
            return [self.batch_cost.statistics(model, batch, max_length)]
        return list(self.batch_cost.statistics_of_all(models, batch, max_length))

    def _log_densities(self, candidates: CandidateUpdates) -> numpy.ndarray:
        if self.density == "none":
            return numpy.zeros(self.num_candidates)
        from_zero, from_mle = numpy.array([candidates.squared_distances(k) for k in range(self.num_candidates)]).T
        return log_density(from_zero, from_mle)

    def _over_processes(self, values: Tensor, operation: ReduceOp.RedOpType) -> Tensor:
        """Return the sum or the largest over all processes, on each of them."""
        if self.num_processes == 1:
            return values
        reduced = values.clone()
        torch.distributed.all_reduce(reduced, operation)
        return reduced


@contextmanager
def searching(model: nn.Module) -> Iterator[Any]:
    """Hold a model, out of what several processes wrap it in, ready for search: no dropout, full precision."""
    bare_model: nn.Module = getattr(model, "module", model)
    was_training, device = bare_model.training, next(bare_model.parameters()).device
    bare_model.eval()
    try:
        with torch.autocast(device.type, enabled=False):
            yield bare_model
    finally:
        bare_model.train(was_training)


@contextmanager
def kept(parameters: Sequence[Parameter]) -> Iterator[list[Tensor]]:
    """Yield copies of the parameters; put them back at the end, bit by bit, since differences would not."""
    masters = [parameter.detach().clone() for parameter in parameters]
    try:
        yield masters
    finally:
        copy_into(parameters, masters)


@torch.no_grad()
def copy_into(parameters: Sequence[Parameter], values: Sequence[Tensor]) -> None:
    for parameter, value in zip(parameters, values, strict=True):
        parameter.copy_(value)
