"""Whole tensors from sharded ones and back.

One file so that nothing else needs to know whether a model is plain, replicated (DDP) or fully sharded (FSDP, whose
parameters are `DTensor`).
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, Replicate, distribute_tensor


def whole(tensors: Mapping[str, Tensor], *, is_wanted: bool = True) -> dict[str, Tensor]:
    """Return whole tensors on the CPU, or nothing where they are not wanted.

    Every process must call it, in the same order, where they are sharded: then each takes part in making one whole at a
    time. Otherwise a process that does not want them has nothing to do.
    """
    found = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach()
        tensor = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        if is_wanted:
            found[name] = tensor.cpu().contiguous()
    return found


@torch.no_grad()
def fill(tensor: Tensor, values: Tensor) -> None:
    """Copy a whole tensor into a plain or sharded one of the same shape; every process has all the values."""
    tensor.copy_(laid_out_like(tensor, values))


def laid_out_like(tensor: Tensor, values: Tensor) -> Tensor:
    """Return whole `values` in the layout and on the device of `tensor`; replicated if their shapes differ."""
    if not isinstance(tensor, DTensor):
        return values
    placements = tensor.placements if tensor.shape == values.shape else [Replicate()] * tensor.device_mesh.ndim
    return distribute_tensor(values.to(tensor.device), tensor.device_mesh, placements, src_data_rank=None)
