"""Muon: matrices move by their momentum made orthogonal, everything else by AdamW.

Gradients of a matrix are large in a few directions and small in the others. A momentum whose singular values have all
become about 1 moves along all of them (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/), and fewer steps
teach as much. Its steps get the size of AdamW's, so that rates of learning which suit the one suit the other (Liu et
al. 2025, arXiv 2502.16982, section 2.2).

Three things are done otherwise here, for CPUs (docs/results/muon.md). Rows are taken `BLOCK_ROWS` at a time, which
costs a third of what 256 at once do and keeps queries, keys and values apart, which are one matrix here. There are
`TURNS` where the authors have five. And all turns are of X X^T, [R, R], and X itself, [R, C], is multiplied once at the
end, which wants fp32: `torch.optim.Muon` has X in each turn, in bf16, fifty times slower on a processor without such
instructions.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW

BLOCK_ROWS = 128
DECAY_OF_MOMENTUM = 0.95
"""Of the authors."""
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of x, x^3 and x^5: the authors' polynomial."""
TURNS = 3
"""They bring singular values between 0.02 and 1 to between 0.68 and 1.21."""
SIZE_OF_ADAMW = 0.2
"""Root mean square of AdamW's steps in parts of the learning rate (Liu et al. 2025)."""
MOMENTUM = "momentum"
"""Key of what is remembered of a matrix."""
MATRICES = "are_matrices"
"""Key of a parameter group: whether it holds matrices that move by Muon."""


class Muon(AdamW):
    """AdamW, but for the groups that say `MATRICES`.

    Args:
        groups: parameter groups; those of `MATRICES` hold whole matrices, such as no process has under FSDP.
    """

    def __init__(self, groups: list[dict], **options: Any) -> None:
        super().__init__([{MATRICES: False} | group for group in groups], **options)
        self._step_supports_amp_scaling = False  # else GradScaler would leave it to AdamW's kernel to leave a step out

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take a state in; AdamW looks for what it remembers itself in the groups that it sees."""
        super().__setstate__(state | {"param_groups": _of_adamw(state["param_groups"])})
        self.param_groups = state["param_groups"]

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Return what `closure` does, as all optimizers."""
        groups = self.param_groups
        self.param_groups = _of_adamw(groups)
        try:
            loss = super().step(closure)
        finally:
            self.param_groups = groups
        for group in groups:
            if group[MATRICES]:
                self._move(group)
        return loss

    def _move(self, group: dict) -> None:
        blocks: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for matrix in group["params"]:
            if matrix.grad is not None:
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                ahead = self._momentum(matrix, matrix.grad)
                for rows, direction in zip(matrix.split(BLOCK_ROWS), ahead.split(BLOCK_ROWS), strict=True):
                    blocks[rows.shape].append((rows, direction))
        for shape, alike in blocks.items():
            rate = group["lr"] * SIZE_OF_ADAMW * max(shape) ** 0.5
            for (rows, _), step in zip(alike, orthogonal(direction for _, direction in alike), strict=True):
                rows.sub_(step, alpha=rate)

    def _momentum(self, matrix: Tensor, gradient: Tensor) -> Tensor:
        """Return the momentum as it will be, seen from this step (Nesterov), and remember it."""
        state = self.state[matrix]
        if not state:
            state[MOMENTUM] = torch.zeros_like(matrix)
        state[MOMENTUM].lerp_(gradient, 1 - DECAY_OF_MOMENTUM)
        return gradient.lerp(state[MOMENTUM], DECAY_OF_MOMENTUM)


def _of_adamw(groups: list[dict]) -> list[dict]:
    return [group for group in groups if not group[MATRICES]]


def orthogonal(matrices: Iterable[Tensor]) -> Tensor:
    """Return matrices of one shape [R, C] with the same singular vectors, but singular values that are all about 1,
    [N, R, C]; a matrix of nothing stays one."""
    stacked = torch.stack(list(matrices)).float()
    is_tall = stacked.shape[1] > stacked.shape[2]
    wide = stacked.transpose(1, 2) if is_tall else stacked
    wide = wide / wide.norm(dim=(1, 2), keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
    wide = _turns(wide @ wide.transpose(1, 2)) @ wide
    return wide.transpose(1, 2) if is_tall else wide


def _turns(gram: Tensor) -> Tensor:
    """Return the product of the turns' polynomials of X X^T, which commute; [N, R, R] like it."""
    last = product = _polynomial(gram)
    for _ in range(TURNS - 1):
        gram = last @ gram @ last
        last = _polynomial(gram)
        product = last @ product
    return product


def _polynomial(gram: Tensor) -> Tensor:
    """Return what a turn multiplies X with."""
    linear, cubic, quintic = COEFFICIENTS
    without_linear = torch.baddbmm(gram, gram, gram, beta=cubic, alpha=quintic)
    without_linear.diagonal(dim1=1, dim2=2).add_(linear)
    return without_linear
