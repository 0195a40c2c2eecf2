"""Standard streams as a command finds them: closed ones, and an output that nobody reads or that cannot be written.

A stream that is closed gets something in its place that says so when it is used. Otherwise Python has None there, and
the next file that is opened gets the stream's number, and with it whatever a library prints.
"""

import errno
import io
import os
import select
import sys
from typing import Any


class ClosedStream(io.RawIOBase):
    """A stream that can only say that it is closed."""

    def __init__(self, number: int, name: str) -> None:
        self._number = number
        self._name = name
        self.is_given_up = False
        """Whether what is written goes to nowhere: Python writes once more what is left when it drops a stream."""

    def fileno(self) -> int:
        return self._number

    def readable(self) -> bool:
        return self._number == 0

    def writable(self) -> bool:
        return self._number > 0

    def readinto(self, buffer: object) -> int:
        raise OSError(errno.EBADF, "it is closed", self._name)

    def write(self, data: Any) -> int:
        if self.is_given_up:
            return len(data)
        raise OSError(errno.EBADF, "it is closed", self._name)


def replace_closed_streams() -> None:
    """Put something in the place of standard streams that are closed; errors that nobody can read go nowhere."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    for number, stream in enumerate(streams):
        if stream is None and not _is_open(number):  # what would read or write by the number alone cannot
            os.dup2(os.open(os.devnull, os.O_RDONLY if number == 1 else os.O_WRONLY), number)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(ClosedStream(0, "standard input")))
    if sys.stdout is None:
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(ClosedStream(1, "standard output")), encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def reader_has_gone() -> bool:
    """Return whether nobody reads standard output any more, as behind `head`."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)  # asks for nothing but errors
        return bool(poll.poll(0))
    except (AttributeError, OSError, ValueError):  # a system without polls, or no file
        return False


def give_up_output() -> None:
    """Send to nowhere what standard output still holds, lest Python tries once more at its end and complains."""
    if isinstance(raw := getattr(sys.stdout.buffer, "raw", None), ClosedStream):
        raw.is_given_up = True
    else:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def give_up_output_that_fails() -> None:
    """Do so if nothing can be written to it."""
    try:
        sys.stdout.flush()
    except OSError:
        give_up_output()
