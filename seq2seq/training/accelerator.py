"""The `Accelerator` that the trainer expects: devices, processes and precision, but neither averaging nor accumulation.

The trainer sums micro-batches and divides once by the weight of the whole step, so accelerate's own division by
accumulation steps is switched off, also where its launcher asks for it through the environment.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState, GradientState, PartialState, is_initialized
from accelerate.utils import GradientAccumulationPlugin, GradScalerKwargs

# Sums over thousands of tokens, not means, are scaled for fp16, so the scale starts far below PyTorch's 65536, with
# which the first dozen steps would overflow; it doubles every 2000 good steps.
INITIAL_LOSS_SCALE = 16.0


def build_accelerator(
    precision: Literal["fp32", "bf16", "fp16"], *, find_unused_parameters: bool = False, cpu: bool = False
) -> Accelerator:
    """Return the accelerator for `Trainer`; then `model, optimizer = accelerator.prepare(model, optimizer)`.

    Args:
        precision: compute type; weights and optimizer stay in fp32.
        find_unused_parameters: needed on several processes when a step may leave parameters out.
        cpu: use the CPU even where there is something faster. Without an accelerator this is set in any case: several
            processes on CPUs otherwise do not find each other.

    Raises:
        ValueError: fp16 on a CPU, or FSDP in its first version.
    """
    # accelerate keeps the precision for the whole process, but runs that follow each other may differ in it.
    if is_initialized():
        vars(AcceleratorState()).clear()  # what all of its instances share
    accelerator = Accelerator(
        mixed_precision="no" if precision == "fp32" else precision,
        cpu=cpu or not torch.accelerator.is_available(),
        gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
        kwargs_handlers=[
            DistributedDataParallelKwargs(find_unused_parameters=find_unused_parameters),
            GradScalerKwargs(init_scale=INITIAL_LOSS_SCALE),
        ],
    )
    if precision == "fp16" and accelerator.device.type == "cpu":
        raise ValueError("`precision: fp16` needs a GPU; on a CPU use `bf16` or `fp32`.")
    if accelerator.distributed_type.value == "FSDP" and not accelerator.is_fsdp2:
        raise ValueError("FSDP needs its second version: set `fsdp_version: 2` in the configuration of accelerate.")
    return accelerator


@contextmanager
def state_put_back() -> Iterator[None]:
    """At the end of the block, let accelerate remember what it did before: its state is that of the whole process, and
    a program may have an `Accelerator` of its own. Several processes stay joined, since they cannot join twice."""
    kept = [getattr(kind, "_shared_state", {}) for kind in (PartialState, AcceleratorState, GradientState)]
    before = [dict(state) for state in kept]
    try:
        yield
    finally:
        if kept[0].get("num_processes", 1) == 1:
            for state, values in zip(kept, before, strict=True):
                state.clear()
                state.update(values)


def leave_processes() -> None:
    """End the process group, if there is one; nothing can be trained in this process afterwards on several."""
    PartialState().destroy_process_group()
