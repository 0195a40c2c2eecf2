"""What is done to finished gradients: scaled, flooded, clipped, checked.

Parameters enter and their `.grad` is changed in place; parameters without a gradient are passed over. Gradients may be
sharded (`DTensor`): factors act on each process's own shard, norms are of the whole. Factors are tensors, so nothing
here waits for an accelerator except `require_finite`.
"""

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.nn import Parameter


def scale_gradients(parameters: Iterable[Parameter], factor: Tensor | float) -> None:
    """Multiply all gradients by one factor."""
    gradients = [local_shard(parameter.grad) for parameter in parameters if parameter.grad is not None]
    if gradients:
        _multiply_all(gradients, factor)


def _multiply_all(tensors: list[Tensor], factor: Tensor | float) -> None:
    """Multiply each tensor in place; by one call for all, where torch has it."""
    try:
        torch._foreach_mul_(tensors, factor)
    except AttributeError:
        for tensor in tensors:
            tensor.mul_(factor)


def flood(parameters: Iterable[Parameter], mean_loss: Tensor, level: float) -> None:
    """Turn the gradient of L into that of |L - b| + b, by the sign of L - b (Ishida et al. 2020, equation 4).

    The paper floods each mini-batch's loss. Here one sign is put on the finished gradient of the whole step, so the
    result is the same for any split of the step into micro-batches and processes.

    Args:
        mean_loss: L, a scalar, nats per token, over all micro-batches of the step.
        level: b, nats per token.
    """
    scale_gradients(parameters, torch.sign(mean_loss - level))


def clip(parameters: Sequence[Parameter], clip_norm: float) -> Tensor:
    """Scale the gradients by min(1, c / |g|) (Pascanu et al. 2013, without an epsilon); return |g| from before.

    Args:
        clip_norm: c; 0 changes nothing.
    """
    norm = total_norm(parameters)
    if clip_norm > 0:
        scale_gradients(parameters, (clip_norm / norm).clamp(max=1.0))
    return norm


def total_norm(parameters: Iterable[Parameter]) -> Tensor:
    """Return the Euclidean norm of all gradients as one vector, a plain scalar also where they are sharded."""
    norm = torch.nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


def require_finite(loss_sum: float, gradient_norm: float, describe: Callable[[], str]) -> None:
    """Check loss and gradient before they reach the weights.

    Args:
        describe: names the step and the rows; only called when something is wrong.

    Raises:
        FloatingPointError: either is infinite or not a number.
    """
    if math.isfinite(loss_sum) and math.isfinite(gradient_norm):
        return
    what = "gradient" if math.isfinite(loss_sum) else "loss"
    value = gradient_norm if what == "gradient" else loss_sum
    raise FloatingPointError(
        f"The {what} became {value} at {describe()}. The weights were not updated. Look at these rows, lower "
        "`optimizer.learning_rate`, raise `optimizer.warmup_steps`, or set `training.precision: fp32`."
    )


def local_shard(tensor: Tensor) -> Tensor:
    """Return the part of a tensor that this process holds; a plain tensor itself. It shares memory with the whole."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
