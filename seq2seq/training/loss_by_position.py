"""Where in the targets the loss is what. Batches enter, the mean loss of each quarter of the targets leaves.

A loss that falls where one direction meets the other, in the second half, is the sign of a leak.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from seq2seq.data.batch import IGNORED_LABEL, Batch

POSITION_PARTS = 4


@torch.no_grad()
def loss_by_position(
    model: torch.nn.Module, batches: Iterable[Batch], total: Callable[[Tensor], Any] = lambda sums: sums
) -> dict[str, float]:
    """Return the mean negative log-likelihood in each quarter of the targets, `nll_1` to `nll_4`, in nats.

    Args:
        total: from the sums of one process to those of all.
    """
    device = next(model.parameters()).device
    sums, counts = torch.zeros(2, POSITION_PARTS, device=device)
    for batch in batches:
        here = batch.to(device)
        logits = model(**here.model_inputs()).logits.float()
        nll = functional.cross_entropy(
            logits.transpose(1, 2), here.labels, reduction="none", ignore_index=IGNORED_LABEL
        )
        is_scored = here.labels != IGNORED_LABEL
        lengths = is_scored.sum(1, keepdim=True).clamp(min=1)
        part = (torch.arange(here.labels.shape[1], device=device) * POSITION_PARTS // lengths)[is_scored]
        sums.index_add_(0, part, nll[is_scored])
        counts.index_add_(0, part, torch.ones_like(nll[is_scored]))
    all_sums, all_counts = total(torch.stack([sums, counts]))
    return {f"nll_{i + 1}": float(all_sums[i] / all_counts[i].clamp(min=1)) for i in range(POSITION_PARTS)}
