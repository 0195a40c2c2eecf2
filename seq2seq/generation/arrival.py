"""Lines of a file, of standard input, or of a pipe: what has come is decoded, also if a pipe stays open and is silent.

Enters the name of what is read; leave its lines, and Nones where it would wait for more. A thread reads pipes ahead, so
that who writes quickly fills whole pools, which are what makes decoding fast.
"""

import os
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from queue import Empty, Queue
from threading import Thread

from seq2seq.lines import STANDARD, lines, name_of

SECONDS_OF_SILENCE = 0.05
"""How long the next line may take before those that have come are decoded."""

SECONDS_OF_PATIENCE = 1.0
"""How long a line waits at most for others, if they come one by one without such a silence."""

LINES_AHEAD = 4000
"""Lines that are read while others are decoded: two pools."""

END = object()


def input_lines(name: str) -> Iterator[str | None]:
    """Return the lines of an input, among which there is a None wherever none has come for a while.

    Raises:
        ValueError: a line cannot be read; names it.
    """
    if is_pipe(name):
        return as_they_come(_pipe(name))
    return lines(name)


def is_pipe(name: str) -> bool:
    """Return whether an input may stay open while nothing comes: a pipe or socket, by its name or as standard input."""
    try:
        mode = (os.fstat(sys.stdin.fileno()) if name == STANDARD else os.stat(name)).st_mode
    except OSError:  # a file that is not there, or something that stands for standard input and is none
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def is_typed(name: str) -> bool:
    """Return whether lines come one by one from a person who waits for each."""
    return name == STANDARD and sys.stdin.isatty()


def _pipe(name: str) -> Iterator[str]:
    """Yield the lines of a pipe, for a thread that this process may leave behind in the midst of a read.

    Python's own object of standard input would then end the process in a crash, since it is closed at the end.
    """
    if name == STANDARD:
        yield from lines(open(sys.stdin.fileno(), "rb", closefd=False), name=name_of(name))  # noqa: SIM115
    else:
        yield from lines(name)


def as_they_come(texts: Iterable[str]) -> Iterator[str | None]:
    """Yield the lines, and a None wherever none has come for a while: what has been read should be decoded then.

    What reading raises is raised here, in its place.
    """
    arrived: Queue[object] = Queue(LINES_AHEAD)
    # A daemon, since nothing can wake it from a read; whoever exits need not wait for its end.
    Thread(target=_read, args=(texts, arrived), daemon=True).start()
    while True:
        line = arrived.get()
        deadline = time.monotonic() + SECONDS_OF_PATIENCE
        while line is not None:
            if line is END:
                return
            if isinstance(line, BaseException):
                raise line
            assert isinstance(line, str), "lines are texts"
            yield line
            try:
                line = arrived.get(timeout=max(0.0, min(SECONDS_OF_SILENCE, deadline - time.monotonic())))
            except Empty:
                line = None
        yield None


def _read(texts: Iterable[str], arrived: "Queue[object]") -> None:
    try:
        for line in texts:
            arrived.put(line)
        arrived.put(END)
    except BaseException as error:
        arrived.put(error)
