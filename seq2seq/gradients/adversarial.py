"""Gradient rules that look at the loss around the token vectors, and not only at them.

An objective, a model and a micro-batch enter; gradients are added to `.grad`. Both rules first take the gradient with
respect to perturbations of the token vectors (`Batch.source_perturbation`, `target_perturbation`), which is not that of
the embedding matrices: a tied output layer stays as it is, and each position has its own. This first pass leaves
`.grad` alone and is not shared between processes. All passes of a micro-batch begin at the same random state, so they
have the same dropout and the same draws, and torch's generators end where those of plain training do.

The token vectors are those behind the scaling by the square root of D, with entries around 1: sizes and weights mean
something else than for vectors of pretrained models, which papers perturb before any scaling.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from seq2seq.data.batch import Batch
from seq2seq.gradients.base import Backprop, Backward
from seq2seq.objectives.base import LossSum, Objective
from seq2seq.objectives.randomness import forked_randomness

Where = Literal["source", "target", "both"]
NormOver = Literal["batch", "row"]


@dataclass(frozen=True)
class AdversarialTraining:
    """The gradient at token vectors that are moved against the model, by FGM (Miyato et al. 2017).

    The loss is L(e + delta) with delta = size * g / (|g| + 1e-8) and g the gradient at e, as in bert4keras. Miyato et
    al. add L(e) to it; to first order, the mean of both is this at half the size. It costs about two times plain
    training.

    Args:
        where: whose token vectors are moved.
        perturbation_size: length of delta; 0 = plain training.
        norm_over: what has that length: the whole micro-batch, source and target together, as where the norm is that
            of the gradient of the embedding matrix; or each source with its target rows, as in Miyato et al., which
            does not depend on how many there are in a micro-batch.

    Raises:
        ValueError: an option is out of range.
    """

    where: Where = "both"
    perturbation_size: float = 0.5
    norm_over: NormOver = "batch"

    def __post_init__(self) -> None:
        check_where(self.where)
        if self.perturbation_size < 0:
            raise ValueError(f"`perturbation_size` must be at least 0, but is {self.perturbation_size}.")
        if self.norm_over not in get_args(NormOver):
            raise ValueError(f"`norm_over` must be batch or row, but is {self.norm_over!r}.")

    def __call__(self, objective: Objective, model: nn.Module, batch: Batch, step: int, backward: Backward) -> LossSum:
        if self.perturbation_size == 0:
            return Backprop()(objective, model, batch, step, backward)
        clean, gradients = input_gradients(objective, model, batch, step, self.where)
        loss = objective(model, replace(batch, **self._moves(gradients, len(batch))), step)
        backward(loss.loss_sum)
        return LossSum(loss.loss_sum, loss.weight, loss.logs | {"clean_loss": clean.loss_sum}).detach()

    def _moves(self, gradients: dict[str, Tensor], num_sources: int) -> dict[str, Any]:
        """Return delta by the names of perturbations, from gradients of B sources or G rows for each."""
        squares = torch.stack([part.reshape(num_sources, -1).square().sum(1) for part in gradients.values()]).sum(0)
        norms = squares.sqrt() if self.norm_over == "row" else squares.sum().sqrt().expand(num_sources)
        factors = self.perturbation_size / (norms + 1e-8)
        return {
            name: part * factors.repeat_interleave(len(part) // num_sources)[:, None, None]
            for name, part in gradients.items()
        }


def input_gradients(
    objective: Objective, model: nn.Module, batch: Batch, step: int, where: Where
) -> tuple[LossSum, dict[str, Tensor]]:
    """Return the loss without a graph, and the gradients of its sum by the names of perturbations.

    The module inside a data-parallel wrapper is called, so that the wrapper never waits for gradients that do not come.

    Raises:
        ValueError: the objective does not look at these token vectors.
    """
    assert batch.source_perturbation is None, "batches come without perturbations"
    assert batch.target_perturbation is None, "batches come without perturbations"
    bare: Any = getattr(model, "module", model)
    vectors = bare.get_input_embeddings().weight
    options: dict[str, Any] = {"dtype": vectors.dtype, "device": batch.labels.device, "requires_grad": True}
    ids = {"source": batch.input_ids, "target": batch.decoder_input_ids}
    zeros: dict[str, Any] = {
        f"{side}_perturbation": torch.zeros(*ids[side].shape, vectors.shape[-1], **options)
        for side in (("source", "target") if where == "both" else (where,))
    }
    with forked_randomness(batch.labels.device):
        loss = objective(bare, replace(batch, **zeros), step)
    found = torch.autograd.grad(loss.loss_sum, list(zeros.values()), allow_unused=True)
    gradients = {name: part for name, part in zip(zeros, found, strict=True) if part is not None}
    if not gradients:
        raise ValueError(f"The objective does not look at the token vectors of `where: {where}`.")
    return loss.detach(), gradients


def unsynchronized(model: nn.Module) -> AbstractContextManager[Any]:
    """Return a context in which a data-parallel model keeps its gradients for itself until a later backward."""
    context: AbstractContextManager[Any] = model.no_sync() if hasattr(model, "no_sync") else nullcontext()  # type: ignore[operator]
    return context


def check_where(where: str) -> None:
    if where not in get_args(Where):
        raise ValueError(f"`where` must be source, target or both, but is {where!r}.")
