"""What a process of the command line sets once, before it computes: threads, kept memory, bounded kernel caches, the
kernels of attention; and which of several processes it is.

None of it changes a result by more than rounding. A program that uses this package as a library makes its own choices.
"""

import ctypes
import os
import sys
from dataclasses import dataclass
from typing import Any, Protocol

import torch

KERNEL_CACHE_VARIABLE = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
KERNEL_CACHE_ENTRIES = 128
"""oneDNN keeps 1,024 kernels by default, one for each shape of each product, of about a megabyte each and up to four
in bf16: a training of varied shapes grew to several gigabytes. With 128 it is as fast and stays below two."""

TRIM_THRESHOLD, MAX_MAPPINGS = -1, -4
"""Options of `mallopt`."""


def prepare_process(num_threads: int = 0) -> None:
    """Set the number of torch's threads (0: leave it), the bound of kernel caches, and attention on GPUs not by cuDNN.

    That takes 16-bit attention with a mask by itself, and builds a plan for each new shape, which here nearly every
    batch has: on an H200 the first steps of a training took 285 ms in bf16 and 29 ms in fp32, which it does not take.
    """
    os.environ.setdefault(KERNEL_CACHE_VARIABLE, str(KERNEL_CACHE_ENTRIES))
    torch.backends.cuda.enable_cudnn_sdp(False)
    if num_threads:
        torch.set_num_threads(num_threads)


def keep_freed_memory() -> None:
    """Let glibc keep what is freed instead of giving it back to the system.

    Tensors of many megabytes are otherwise mapped anew, page by page, at every step: in fp32 24,000 page faults a step,
    a tenth of the time. The most that is in use from now on stays with the process, so this comes after loading.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # other C libraries have none
        mallopt(MAX_MAPPINGS, 0)
        mallopt(TRIM_THRESHOLD, 2**31 - 1)


def num_cores() -> int:
    """Return how many cores this process may compute on."""
    return min(torch.get_num_threads(), len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else 1


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


SIZE_VARIABLES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
"""Where launchers say how many processes they have started."""


def launched_processes(device: str) -> Processes:
    """Return the processes that a launcher has started; accelerate is imported only for several."""
    if not any(int(os.environ.get(name, 1)) > 1 for name in SIZE_VARIABLES):
        return OneProcess(device)
    from accelerate import PartialState

    return PartialState(cpu=device == "cpu" or not torch.accelerator.is_available())
