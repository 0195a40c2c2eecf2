"""What a process of the command line sets once, before it computes: threads, kept memory, bounded kernel caches, the
kernels of attention; and which of several processes it is.

None of it changes a result by more than rounding. A program that uses this package as a library makes its own choices.
"""

import ctypes
import os
import random
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy
import torch

from seq2seq.processes import OneProcess, Processes, allowed_cores

KERNEL_CACHE_VARIABLE = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
KERNEL_CACHE_ENTRIES = 128
"""oneDNN keeps 1,024 kernels by default, one for each shape of each product, of about a megabyte each and up to four
in bf16: a training of varied shapes grew to several gigabytes. With 128 it is as fast and stays below two."""

TRIM_THRESHOLD, MAX_MAPPINGS = -1, -4
"""Options of `mallopt`."""
DEFAULT_TRIM_THRESHOLD, DEFAULT_MAPPINGS = 128 * 1024, 65536
"""What they are in a new process."""


def prepare_process(num_threads: int = 0) -> None:
    """Set the number of torch's threads (0: leave it), the bound of kernel caches, and attention on GPUs not by cuDNN.

    That takes 16-bit attention with a mask by itself, and builds a plan for each new shape, which here nearly every
    batch has: on an H200 the first steps of a training took 285 ms in bf16 and 29 ms in fp32, which it does not take.

    Raises:
        ValueError: the number is negative.
    """
    os.environ.setdefault(KERNEL_CACHE_VARIABLE, str(KERNEL_CACHE_ENTRIES))
    torch.backends.cuda.enable_cudnn_sdp(False)
    if num_threads < 0:
        raise ValueError(f"`threads` must be 0 (torch chooses) or more, but is {num_threads}.")
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


def give_back_freed_memory() -> None:
    """Let glibc give memory back to the system again, and what is free by now at once."""
    library = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    if library is not None and hasattr(library, "mallopt"):
        library.mallopt(MAX_MAPPINGS, DEFAULT_MAPPINGS)
        library.mallopt(TRIM_THRESHOLD, DEFAULT_TRIM_THRESHOLD)
        library.malloc_trim(0)


@contextmanager
def process_put_back() -> Iterator[None]:
    """At the end of the block, put back what a training sets in a process, for a program that goes on: threads, random
    states, the environment, kernels of attention, and how freed memory is kept."""
    environment, num_threads = dict(os.environ), torch.get_num_threads()
    uses_cudnn = torch.backends.cuda.cudnn_sdp_enabled()
    states = random.getstate(), numpy.random.get_state(), torch.get_rng_state()
    of_gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    try:
        yield
    finally:
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)
        if torch.get_num_threads() != num_threads:
            torch.set_num_threads(num_threads)
        torch.backends.cuda.enable_cudnn_sdp(uses_cudnn)
        random.setstate(states[0])
        numpy.random.set_state(states[1])
        torch.set_rng_state(states[2])
        if of_gpus:
            torch.cuda.set_rng_state_all(of_gpus)
        give_back_freed_memory()


def num_cores() -> int:
    """Return how many cores this process may compute on, a container's share of them rounded up."""
    return max(1, min(torch.get_num_threads(), allowed_cores()))


SIZE_VARIABLES = {
    "WORLD_SIZE": {"RANK", "MASTER_ADDR"},
    "PMI_SIZE": {"PMI_RANK"},
    "OMPI_COMM_WORLD_SIZE": {"OMPI_COMM_WORLD_RANK"},
    "MV2_COMM_WORLD_SIZE": {"MV2_COMM_WORLD_RANK"},
}
"""Where launchers say how many processes they have started, and what else they then say."""


def launched_processes(device: str) -> Processes:
    """Return the processes that a launcher has started; accelerate is imported only for several."""
    if not several_are_launched():
        return OneProcess(device)
    from accelerate import PartialState

    return PartialState(cpu=device == "cpu" or not torch.accelerator.is_available())


def several_are_launched() -> bool:
    """Return whether a launcher has started several processes.

    A number of processes without what else a launcher says, as schedulers export it, is taken out of the environment
    with a warning: who waits for the others, as accelerate would, waits for ever.
    """
    sizes = {name: os.environ[name].strip() for name in SIZE_VARIABLES if name in os.environ}
    several = [name for name, size in sizes.items() if size not in ("", "0", "1")]
    if any(sizes[name].isdigit() and SIZE_VARIABLES[name] <= os.environ.keys() for name in several):
        return True
    for name in several:
        warnings.warn(
            f"`{name}` is {sizes[name]} in the environment, but {' and '.join(sorted(SIZE_VARIABLES[name]))} of a "
            "launcher is not: this is taken for the only process.",
            stacklevel=2,
        )
        del os.environ[name]
    return False
