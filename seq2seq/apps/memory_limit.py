"""A command under `ulimit -v`: a process of its own, whose end is told by one that waits for it.

Libraries in C that get no memory do not always say so: they write where nothing is, abort, or leave with an exit code
of their own, and take the process with them. Where the memory of a process is limited, and only there, the verb runs in
a child; what ends that is a line and exit code 2.
"""

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

from seq2seq.want import allowed

PASSED_ON = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}
"""Signals to this process that are meant for the one that works."""
SENT_BY_PROCESS = 0
"""`si_code` of a signal that a process has sent; a terminal's goes to both by itself."""
END_WITH_PARENT = 1
"""Option of `prctl`: the signal that a process gets when its parent ends."""
LEAST = {"train": 1100 * 2**20, "prepare": 1100 * 2**20}
"""Bytes without which these verbs cannot begin. OpenBLAS, which comes with SciPy, would look for them for minutes."""


def within_memory_limit(verb: str, work: Callable[[], int], say: Callable[[str], None]) -> int:
    """Return what `work` returns, from a child if the memory of this process is limited.

    Args:
        say: is told what there was too little of if the child could not do so.
    """
    limit = allowed(resource.RLIMIT_AS)
    if limit is None or "torch" in sys.modules or not sys.platform.startswith("linux"):
        return work()  # with torch there, this is part of a program that makes its own choices
    if limit < LEAST.get(verb, 0):
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
        try:
            return work()
        finally:
            os.write(done, b".")
    os.close(done)
    status = _awaited(child)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    code = os.waitstatus_to_exitcode(status)
    if code >= 0 and os.read(is_done, 1):
        return code
    if code < 0 and -code in PASSED_ON:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    say(f"there is not enough memory within the {limit // 2**20:,} MiB that `ulimit -v` allows (a library's {how})")
    return 2


def _awaited(child: int) -> int:
    """Return the status of a child when it has ended; signals from other processes go to it meanwhile."""
    while True:
        found = signal.sigwaitinfo(PASSED_ON | {signal.SIGCHLD})
        if found.si_signo != signal.SIGCHLD:
            if found.si_code <= SENT_BY_PROCESS:
                os.kill(child, found.si_signo)
            continue
        process, status = os.waitpid(child, os.WNOHANG)
        if process:
            return status


def _abort_without_words() -> None:
    """Let C++ end a process whose exception nobody catches without two lines about `std::bad_alloc`."""
    with suppress(OSError, AttributeError):
        abort = ctypes.cast(ctypes.CDLL(None).abort, ctypes.c_void_p)
        ctypes.CDLL("libstdc++.so.6")._ZSt13set_terminatePFvvE(abort)
