"""Of what there is too little: memory, processes, open files, or the other processes of a run. Known by an error, and
said in one line.

Enters what any library raised; leaves which want it is, if it is one, and a sentence that says what to lower. Nothing
is imported here but what Python has loaded already, since what is wanting may be memory.
"""

import errno
import re
import resource
from typing import Literal

Want = Literal["memory", "processes", "files", "peers"]

_BY_NUMBER: dict[int | None, Want] = {
    errno.ENOMEM: "memory",
    errno.EAGAIN: "processes",
    errno.EMFILE: "files",
    errno.ENFILE: "files",
}
"""What the system calls a want. EAGAIN is also what a stream says that would have to wait, but never in these words."""
_WAITING = "could not complete without blocking"

_BY_WORDS: dict[Want, re.Pattern[str]] = {
    "memory": re.compile(
        r"out of memory|(can't|cannot|can not|failed to|unable to) allocate|not enough memory|bad_alloc|ALLOC_FAILED"
        r"|could not (create|execute) a primitive|could not create a memory|failed to map segment"
        r"|memory allocation of \d+ bytes failed|abruptly died|\(os error 12\)",
        re.IGNORECASE,
    ),
    "processes": re.compile(r"can't start new thread|resource temporarily unavailable|\(os error 11\)", re.IGNORECASE),
    "files": re.compile(r"too many open files|\(os error 2[34]\)", re.IGNORECASE),
    "peers": re.compile(r"connection (closed|reset) by peer|waiting for clients|timed out waiting", re.IGNORECASE),
}
"""What torch, the libraries below it, those written in Rust, and Python itself say. Of a pool of processes one that
`abruptly died` was ended by the system, which has no other reason."""

_OF_PEERS = {"DistBackendError", "DistNetworkError", "DistStoreError"}
"""Errors of `torch.distributed`, by their names since it need not be loaded."""


def wanting(error: BaseException) -> Want | None:
    """Return what there was too little of; None for any other error.

    An error that want of memory stands behind is that: a file is not damaged if memory ended while it was read.
    """
    found, behind, seen = _of_itself(error), error.__cause__ or error.__context__, {id(error)}
    while found is None and behind is not None and id(behind) not in seen:
        if _of_itself(behind) == "memory":
            return "memory"
        seen.add(id(behind))
        behind = behind.__cause__ or behind.__context__
    return found


def _of_itself(error: BaseException) -> Want | None:
    if isinstance(error, MemoryError):
        return "memory"
    if isinstance(error, OSError):
        return None if _WAITING in str(error) else _BY_NUMBER.get(error.errno)
    if isinstance(error, ValueError) or not isinstance(error, Exception):  # whose words may be a user's own
        return None
    if isinstance(error, SystemError) and allowed(resource.RLIMIT_AS) is not None:
        return "memory"  # an import of Python that got none returns an error without an exception
    if type(error).__name__ in _OF_PEERS:
        return "peers"
    found = next((want for want, words in _BY_WORDS.items() if words.search(str(error))), None)
    if found == "processes" and allowed(resource.RLIMIT_AS) is not None:
        return "memory"  # a thread wants some for its stack
    return found


def sentence(error: BaseException, want: Want, cure: str) -> str:
    """Return what to say of a want in one line.

    Args:
        cure: what to lower, as in "lower `--processes`".
    """
    if want == "memory":
        reason = str(error).strip().partition("\n")[0].strip() or type(error).__name__
        limit = allowed(resource.RLIMIT_AS)
        within = "" if limit is None else f" within the {limit // 2**20:,} MiB that `ulimit -v` allows"
        return f"there is not enough memory ({reason}){within}; {cure}."
    if want == "peers":
        reason = " ".join(str(error).split())
        return f"another process of this run has gone, or has never come ({reason[:200]}); {cure}."
    if want == "files":
        return f"too many files are open: `ulimit -n` allows {allowed(resource.RLIMIT_NOFILE)}; raise it, or {cure}."
    return f"the system starts no further process or thread (see `ulimit -u`, and a container's limit); {cure}."


def allowed(kind: int) -> int | None:
    """Return how much of a resource this process may have, None without a limit."""
    soft, _ = resource.getrlimit(kind)
    return None if soft == resource.RLIM_INFINITY else soft
