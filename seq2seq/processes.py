"""Which of a command's processes this one is, and how many cores it may use."""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from seq2seq.lines import lines


class Processes(Protocol):
    """Which process this is, among how many; what accelerate's `PartialState` says of them."""

    @property
    def process_index(self) -> int: ...
    @property
    def num_processes(self) -> int: ...
    @property
    def is_main_process(self) -> bool: ...
    @property
    def device(self) -> Any: ...
    def wait_for_everyone(self) -> None: ...


@dataclass(frozen=True)
class OneProcess:
    """The only process."""

    device: str
    process_index: int = 0
    num_processes: int = 1
    is_main_process: bool = True

    def wait_for_everyone(self) -> None:
        """Return at once."""


def allowed_cores() -> int:
    """Return how many cores this process may compute on, a container's share of them rounded up; 1 if none says."""
    if not hasattr(os, "sched_getaffinity"):
        return 1
    quota, cores = cpu_quota(), len(os.sched_getaffinity(0))
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def cpu_quota(groups: Path = Path("/proc/self/cgroup"), mounted: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Return how many cores the control groups of this process let it use at a time; None without a limit.

    Args:
        groups: the file that names its groups, each as `number:controllers:/path`.
        mounted: where the groups of version 2 are, and in `cpu` those of version 1.
    """
    folders = set()
    for line in lines(groups) if os.access(groups, os.R_OK) else ():
        _, controllers, path = line.split(":", 2)
        if controllers == "" or "cpu" in controllers.split(","):
            root = mounted / "cpu" if controllers else mounted
            own = root / path.lstrip("/")  # in a container this may be a path of the host, and the root its own group
            folders |= {root, own, *(parent for parent in own.parents if parent.is_relative_to(root))}
    return min((quota for folder in folders if (quota := _quota_of(folder))), default=None)


def _quota_of(folder: Path) -> float | None:
    """Return the cores of one control group, of version 2 by `cpu.max`, of version 1 by two files; None for all."""
    words = _text_of(folder / "cpu.max").split()
    for name in () if words else ("cpu.cfs_quota_us", "cpu.cfs_period_us"):
        words += _text_of(folder / name).split()
    numbers = [int(word) for word in words if word.isdigit()]  # neither `max` nor -1
    return numbers[0] / numbers[1] if len(numbers) == 2 and all(numbers) else None


def _text_of(path: Path) -> str:
    """Return a file's text, none where it cannot be read."""
    try:
        return path.read_text()
    except OSError:
        return ""
