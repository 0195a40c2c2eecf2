"""Whole tensors from sharded ones and back.

One file so that nothing else needs to know whether a model is plain, replicated (DDP) or fully sharded (FSDP, whose
parameters are `DTensor`).
"""

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, Replicate, distribute_tensor


def whole(tensor: Tensor) -> Tensor:
    """Return the whole tensor on the CPU; every process must call it, in the same order, where it is sharded."""
    tensor = tensor.detach()
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).cpu().contiguous()


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
