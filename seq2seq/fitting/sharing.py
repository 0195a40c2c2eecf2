"""Among how many processes the steps of a training are shared out, so that each step stays what its recipe says.

A recipe was measured with steps of so many tokens. N processes take a step together, each a micro-batch of an N-th of
them. Any sharing of the micro-batches of a step among processes and accumulation is the same step, so that a run goes
on with fewer processes, or with more, as long as each takes as many of them as the others.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from seq2seq.assembly.configuration import RunConfig

SMALLEST_SHARE = 512
"""Tokens of a micro-batch below which a GPU waits for the other ones more than it computes: by default none has
fewer."""
SHARED = ("data.batch_tokens", "data.max_batch_rows")
"""What is said of a step, of which each process has its share."""


@dataclass(frozen=True)
class Sharing:
    """Among how many processes a step is shared out."""

    asked: int | None
    """By `--processes`; None: by as many as there are GPUs."""
    devices: int
    """GPUs there are; 0 where a CPU computes."""
    used: int

    @property
    def leaves_some(self) -> bool:
        """Whether GPUs are left alone that nobody has said to leave alone."""
        return self.asked is None and self.used < self.devices


def num_devices() -> int:
    """Return how many GPUs this process may use; none of their memory is taken by asking."""
    return torch.accelerator.device_count() if torch.accelerator.is_available() else 0


def check_processes(asked: int | None) -> None:
    """Raise ValueError for a number of processes that cannot train on this machine."""
    devices = num_devices()
    if asked is not None and asked < 1:
        raise ValueError(f"`--processes` must be at least 1, but is {asked}.")
    if asked is not None and 0 < devices < asked:
        raise ValueError(
            f"`--processes {asked}`: each trains on a GPU of its own, and this machine has {devices} (or "
            f"`CUDA_VISIBLE_DEVICES` shows no more); give at most {devices}."
        )


def sharing_of(config: RunConfig, asked: int | None) -> Sharing:
    """Return how the steps of a configuration for one process are shared out.

    By default no share is smaller than the longest pairs, which would make the steps larger than they are for one.
    """
    devices = num_devices()
    longest = config.data.max_source_tokens + config.data.max_target_tokens
    fed = max(1, config.data.batch_tokens // max(SMALLEST_SHARE, longest))
    return Sharing(asked, devices, asked if asked is not None else max(1, min(devices, fed)))


def of_one_process(config: RunConfig, num_processes: int) -> RunConfig:
    """Return the configuration that each of the processes has, with its share of every micro-batch.

    Raises:
        ValueError: the share is less than a token.
    """
    if num_processes == 1:
        return config
    tokens, rows = (getattr(config.data, name.removeprefix("data.")) for name in SHARED)
    if tokens < num_processes:
        raise ValueError(
            f"`--processes {num_processes}` cannot share {tokens} tokens of a micro-batch; give fewer, or raise "
            "`data.batch_tokens` by `--set`."
        )
    data = dataclasses.replace(
        config.data, batch_tokens=tokens // num_processes, max_batch_rows=-(-rows // num_processes)
    )
    return dataclasses.replace(config, data=data)


def check_shares(num_processes: int, batch_tokens: int, num_batches: int, num_oversized: int) -> None:
    """Raise ValueError where single pairs are more than the share of a process, so that steps would be larger.

    Args:
        num_batches: of an epoch.
        num_oversized: those of a single pair that is more than `batch_tokens`.
    """
    if num_processes > 1 and num_oversized > 0.05 * num_batches:
        raise ValueError(
            f"`--processes {num_processes}` leaves each {batch_tokens} tokens of a step, and {num_oversized:,} pairs "
            "are longer than that; give fewer, or raise `data.batch_tokens` by `--set`."
        )


def record_of(sharing: Sharing, config: RunConfig) -> dict[str, Any]:
    """Return what `fit.json` keeps, from which a run goes on.

    Args:
        config: the one that each of the processes has.
    """
    micro_batches = sharing.used * config.training.gradient_accumulation
    return dataclasses.asdict(sharing) | {"micro_batches_of_step": micro_batches}


def shares_of_run(record: Mapping[str, Any] | None, asked: int | None) -> tuple[int, int | None]:
    """Return on how many processes a run trains here, and the micro-batches of a step that each has.

    As many as it was planned for, or fewer where there are fewer GPUs, unless it is asked for others. The second is
    None where the run's configuration says it: the run was planned for one process and still trains in one.

    Args:
        record: from `record_of`; None for a plan of an older version, which is for one process.

    Raises:
        ValueError: it was asked for a number that cannot share its steps evenly, so that they would be others.
    """
    if record is None:
        record = {"asked": None, "used": 1, "micro_batches_of_step": 1}
    planned, whole = record["used"], record["micro_batches_of_step"]
    even = [number for number in range(1, whole + 1) if whole % number == 0]
    if asked is not None and asked not in even:
        raise ValueError(
            f"The run has {whole} micro-batches a step, which `--processes {asked}` cannot share evenly, so that its "
            f"steps would be others; give {' or '.join(map(str, even))}, or another `--output` for a new plan."
        )
    used = asked or max(number for number in even if number <= max(1, min(planned, num_devices())))
    return used, None if used == planned == 1 else whole // used
