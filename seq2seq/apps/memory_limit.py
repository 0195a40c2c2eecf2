"""A command under `ulimit -v`: a process of its own, whose end is told by one that waits for it.

Libraries in C that get no memory do not always say so: they write where nothing is, abort, or leave with an exit code
of their own, and take the process with them. Where the memory of a process is limited, and only there, the verb runs in
a child; what ends that is a line and exit code 2.
"""

import ctypes
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from seq2seq.want import allowed

PASSED_ON = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}
"""Signals to this process that are meant for the one that works."""
SENT_BY_PROCESS = 0
"""`si_code` of a signal that a process has sent; a terminal's goes to both by itself."""
SECONDS_TO_END = 10.0
"""What a child is given to end in once its work is done: threads that got no memory may keep it for ever."""
END_WITH_PARENT = 1
"""Option of `prctl`: the signal that a process gets when its parent ends."""
LEAST = {
    **dict.fromkeys(("train", "prepare", "report"), 1100 * 2**20),
    **dict.fromkeys(("decode", "diagnose", "average", "export", "serve"), 640 * 2**20),
}
"""Bytes without which these verbs cannot begin: their libraries take more. OpenBLAS, which comes with SciPy, would look
for memory for minutes, and then leave with words of its own."""
LEAST_OF_ALL = 192 * 2**20
"""The same for any other verb. `score` needs 166 MiB; below that, Python itself ends in other ways at each MiB."""


def within_memory_limit(verb: str, work: Callable[[], int], say: Callable[[str], None]) -> int:
    """Return what `work` returns, from a child if the memory of this process is limited.

    Args:
        say: is told what there was too little of if the child could not do so.
    """
    limit = allowed(resource.RLIMIT_AS)
    if limit is None or "torch" in sys.modules or not sys.platform.startswith("linux"):
        return work()  # with torch there, this is part of a program that makes its own choices
    if limit < LEAST.get(verb, LEAST_OF_ALL):
        say(f"there is not enough memory: `ulimit -v` allows {limit // 2**20:,} MiB, but libraries alone take more")
        return 2
    is_done, done = os.pipe()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON | {signal.SIGCHLD})
    child = os.fork()
    if child == 0:
        os.close(is_done)
        ctypes.CDLL(None).prctl(END_WITH_PARENT, signal.SIGKILL)
        _abort_without_words()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        code = 2
        try:
            code = work()
            return code
        finally:
            os.write(done, bytes([code]))
    os.close(done)
    code = os.waitstatus_to_exitcode(_awaited(child, is_done))
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if found := os.read(is_done, 1):
        return code if code >= 0 else found[0]
    if code < 0 and -code in PASSED_ON:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    say(f"there is not enough memory within the {limit // 2**20:,} MiB that `ulimit -v` allows (a library's {how})")
    return 2


def _awaited(child: int, is_done: int) -> int:
    """Return the status of a child when it has ended; signals from other processes go to it meanwhile."""
    deadline = None
    while True:
        found = signal.sigtimedwait(PASSED_ON | {signal.SIGCHLD}, 1.0)
        if found is not None and found.si_signo != signal.SIGCHLD and found.si_code <= SENT_BY_PROCESS:
            os.kill(child, found.si_signo)
        process, status = os.waitpid(child, os.WNOHANG)
        if process:
            return status
        if deadline is None and select.select([is_done], [], [], 0)[0]:
            deadline = time.monotonic() + SECONDS_TO_END
        if deadline is not None and time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)


def _abort_without_words() -> None:
    """Let C++ end a process whose exception nobody catches without two lines about `std::bad_alloc`."""
    with suppress(OSError, AttributeError):
        abort = ctypes.cast(ctypes.CDLL(None).abort, ctypes.c_void_p)
        ctypes.CDLL("libstdc++.so.6")._ZSt13set_terminatePFvvE(abort)
