"""A penalty on the loss's gradient with respect to the token vectors.

An objective, a model and a micro-batch enter; gradients are added to `.grad`, as by `gradients.adversarial`, whose
first pass it shares.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal, Self

import torch
from torch import nn

from seq2seq.config.declaring import part
from seq2seq.data.batch import Batch
from seq2seq.gradients.adversarial import Where, check_where, input_gradients, unsynchronized
from seq2seq.gradients.base import Backprop, Backward
from seq2seq.objectives.base import LossSum, Objective
from seq2seq.objectives.randomness import forked_randomness

Precision = Literal["fp32", "bf16", "fp16"]

RELATIVE_STEPS: dict[Precision, float] = {
    "fp32": torch.finfo(torch.float32).eps ** (1 / 3),
    "bf16": torch.finfo(torch.bfloat16).eps ** (1 / 3),
    "fp16": torch.finfo(torch.float16).eps ** (1 / 3),
}
"""Half the distance of a central difference, relative to the length of a token vector, at which its errors balance:
rounding, of eps / step, and the third derivative's, of step ** 2. 0.005, 0.2 and 0.1, so that the difference has about
four digits, one digit and two digits. Losses are float32 inside, also those of float64 models."""


@dataclass(frozen=True)
class GradientPenalty:
    """The gradient of L + weight / 2 * |g|^2, with g that of the loss with respect to the token vectors.

    This is the first-order form of adversarial training (Su Jianlin 2020, kexue.fm/archives/7234), with sums in place
    of means: over N tokens, mean loss + weight / 2 * N * |g of the mean loss|^2. It does not depend on how a step is
    split; the published code penalises |g of the mean loss|^2, which is N times less.

    Its gradient needs the derivative of grad L along g, which is had without differentiating twice, from
    (grad L(e + h g) - grad L(e - h g)) / 2h, whatever the objective and the attention kernels; and grad L(e) is their
    mean, up to h^2. The step h moves the token vector with the largest gradient by `RELATIVE_STEPS` of its length, and
    kinks (relu) that lie in between count as curvature. In a tiny model of random weights that changed grad L by 0.4 %
    in fp32 (0.003 % with gelu) and 5 % in bf16, where the penalty's gradient is rough too. It costs between two and
    three times plain training: of three passes, one is without gradients of the weights.

    Args:
        where: whose token vectors count.
        penalty_weight: weight w of w/2 times the squared gradient of the summed loss, per target token; 0 is plain
            training.
        precision: what the model computes in.

    Raises:
        ValueError: an option is out of range.
    """

    where: Where = "both"
    penalty_weight: float = 1.0
    precision: Precision = part("fp32")

    def __post_init__(self) -> None:
        check_where(self.where)
        if self.penalty_weight < 0:
            raise ValueError(f"`penalty_weight` must be at least 0, but is {self.penalty_weight}.")

    def for_precision(self, precision: Precision) -> Self:
        """See `gradients.base.ForPrecision`."""
        return replace(self, precision=precision)

    def __call__(self, objective: Objective, model: nn.Module, batch: Batch, step: int, backward: Backward) -> LossSum:
        if self.penalty_weight == 0:
            return Backprop()(objective, model, batch, step, backward)
        loss, gradients = input_gradients(objective, model, batch, step, self.where)
        largest = torch.stack([part.norm(dim=-1).max() for part in gradients.values()]).max()
        width = next(iter(gradients.values())).shape[-1]
        per_step = largest / (RELATIVE_STEPS[self.precision] * math.sqrt(width))  # 1 / h
        moves = {name: part / per_step.clamp(min=1e-30) for name, part in gradients.items()}

        with unsynchronized(model), forked_randomness(batch.labels.device):
            ahead = objective(model, replace(batch, **moves), step)
            backward(ahead.loss_sum * ((1 + self.penalty_weight * per_step) / 2))
        behind = objective(model, replace(batch, **{name: -move for name, move in moves.items()}), step)
        backward(behind.loss_sum * ((1 - self.penalty_weight * per_step) / 2))

        penalty = torch.stack([part.square().sum() for part in gradients.values()]).sum() * (self.penalty_weight / 2)
        return LossSum(loss.loss_sum + penalty, loss.weight, loss.logs | {"gradient_penalty": penalty}).detach()
