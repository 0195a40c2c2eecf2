"""Types of numbers by the names that options give them, and which of them this machine computes in fast: `auto`."""

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from seq2seq.models.transformer.packing import can_halve

if TYPE_CHECKING:  # decoding needs no configuration, whose components take time to import
    from seq2seq.assembly.configuration import RunConfig

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "int8": torch.int8}
"""Compute types by name; int8 is for decoding on CPUs alone."""
PRECISION_NAMES = ("auto", *PRECISIONS)
"""What can be asked for where a trained model decodes."""

CPU_ABILITIES = ("avx512_bf16", "amx_bf16", "bf16")
"""Names of bfloat16 products: two of x86, one of ARM."""


def computes_bf16(device: str | None = None) -> bool:
    """Return whether a device, by default what trainings here run on, has instructions for bfloat16.

    A CPU without them computes in software: on an AMD EPYC with AVX2, a training step in bf16 took 14 times as long as
    one in fp32.
    """
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is not None and device != "cpu":
        return accelerator.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    abilities = torch.cpu.get_capabilities()
    return torch.backends.mkldnn.is_available() and any(abilities.get(name, False) for name in CPU_ABILITIES)


def decoding_type(precision: str, device: str) -> torch.dtype:
    """Return the compute type that a name stands for on a device.

    `auto` is bf16 where it is fast; on other CPUs fp16, which is of weights alone there, where it can be, or fp32.

    Raises:
        ValueError: there is no such name.
    """
    if precision not in PRECISION_NAMES:
        raise ValueError(f"`precision` must be one of {', '.join(PRECISION_NAMES)}, but is {precision!r}.")
    if precision == "auto":
        if computes_bf16(device):
            return torch.bfloat16
        return torch.float16 if can_halve(device) else torch.float32
    return PRECISIONS[precision]


def with_precision(config: "RunConfig") -> "RunConfig":
    """Return the configuration with the precision that `auto` is on this machine: bf16 where it is fast, or fp32.

    Warns of bf16 where it is slow.
    """
    wanted = config.training.precision
    if wanted == "auto":
        return replace(config, training=replace(config.training, precision="bf16" if computes_bf16() else "fp32"))
    if wanted == "bf16" and not computes_bf16():
        warnings.warn(
            "`training.precision: bf16` is computed in software on this machine, which has no instructions for it, and "
            "may take ten times as long as fp32; `auto` takes the faster one.",
            stacklevel=2,
        )
    return config
