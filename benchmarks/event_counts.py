"""How much a processor does for a piece of work: instructions and cycles in user mode, of the calling thread.

Seconds of two equal pieces of work differ by several percent with whatever else the machine does; the instructions of
one thread hardly do, and its cycles less than seconds, since those of other processes are not among them. Linux alone
has these counters, and virtual machines not always.
"""

import ctypes
import os
import platform
import struct
from collections.abc import Callable
from typing import NamedTuple

SYSTEM_CALLS = {"x86_64": 298, "aarch64": 241}
"""The number of `perf_event_open`."""
CYCLES, INSTRUCTIONS = 0, 1
ATTRIBUTES_SIZE = 128
EXCLUDE_KERNEL_AND_HYPERVISOR = 0b1100000


class Counts(NamedTuple):
    """What some work took."""

    instructions: int
    cycles: int


class Counter:
    """One event of the calling thread, counted from now on.

    Raises:
        ValueError: this machine does not count it.
    """

    def __init__(self, event: int) -> None:
        fields = struct.pack("=IIQQQQQ", 0, ATTRIBUTES_SIZE, event, 0, 0, 0, EXCLUDE_KERNEL_AND_HYPERVISOR)
        attributes = ctypes.create_string_buffer(fields, ATTRIBUTES_SIZE)
        number = SYSTEM_CALLS.get(platform.machine(), -1)
        self._file = ctypes.CDLL(None, use_errno=True).syscall(number, attributes, 0, -1, -1, 0)
        if self._file < 0:
            reason = os.strerror(ctypes.get_errno())
            raise ValueError(f"Events of the processor cannot be counted here ({reason}); leave out `--count`.")

    def read(self) -> int:
        return int.from_bytes(os.read(self._file, 8), "little")

    def close(self) -> None:
        os.close(self._file)


def counts_of(work: Callable[[], object]) -> Counts:
    """Return what a call takes."""
    counters = [Counter(INSTRUCTIONS), Counter(CYCLES)]
    before = [counter.read() for counter in counters]
    work()
    after = [counter.read() for counter in counters]
    for counter in counters:
        counter.close()
    return Counts(*(b - a for a, b in zip(before, after, strict=True)))
