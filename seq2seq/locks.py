"""A lock on a run directory or an output that names its holder: one process writes in a place at a time.

It is `flock`'s: the system lets go when the holder dies, so no lock is ever stale. The package `filelock` would leave a
file beside each output, and before 4.2 empties it when it opens it, where the holder's name stands (decision 19).
"""

import fcntl
import json
import os
import shlex
import socket
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from seq2seq.files import is_special

_LONGEST_COMMAND = 200
_lock_descriptors: set[int] = set()


@contextmanager
def locked(path: str | Path) -> Iterator[None]:
    """Hold a folder, or a file to be written, for a `with` block; the system lets go when the process dies.

    Nothing but this function knows of it: it keeps those who ask from each other. Where the file system has no locks it
    warns and goes on; a device or pipe belongs to nobody.

    Raises:
        ValueError: another process, or another block of this one, holds it; names the process.
    """
    path = Path(path)
    if is_special(path):
        yield
        return
    target = Path(os.path.realpath(path))
    file = target / ".lock" if target.is_dir() else target.with_name(f".{target.name}.lock")
    descriptor = _acquired(file, path)
    if descriptor is None:
        yield
        return
    process = os.getpid()
    _lock_descriptors.add(descriptor)
    try:
        with suppress(OSError):  # of a full disk: that it is held counts, not what it says
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, _holder().encode(), 0)
        yield
    finally:
        if os.getpid() == process:
            if _is_named(descriptor, file):  # one of another holder may stand in a folder that was replaced
                file.unlink(missing_ok=True)  # while it is held: `_acquired` notices a file that has lost its name
            _lock_descriptors.discard(descriptor)
            os.close(descriptor)


def _acquired(file: Path, path: Path) -> int | None:
    """Return the descriptor of a lock that is held, or None where the file system has none."""
    while True:
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_named(descriptor, file):
                return descriptor
        except BlockingIOError:
            holder = os.pread(descriptor, 4096, 0).decode("utf-8", "replace")
            os.close(descriptor)
            raise ValueError(_occupied(path, holder)) from None
        except OSError as error:
            os.close(descriptor)
            file.unlink(missing_ok=True)
            warnings.warn(
                f"{path} cannot be locked ({error.strerror}); let no other process write there.", stacklevel=1
            )
            return None
        os.close(descriptor)  # its holder removed it between the two calls


def _is_named(descriptor: int, file: Path) -> bool:
    """Return whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False


def _holder() -> str:
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])[:_LONGEST_COMMAND]
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return json.dumps({"process": os.getpid(), "machine": socket.gethostname(), "since": since, "command": command})


def _occupied(path: Path, holder: str) -> str:
    cure = "Wait until it ends, end it, or give another place."
    try:
        facts = json.loads(holder)
        who = f"process {facts['process']} on {facts['machine']} since {facts['since']} (`{facts['command']}`)"
    except (ValueError, LookupError, TypeError):  # it has not said yet
        who = "another process"
    return f"{path} is in use by {who}. {cure}"


def _let_go() -> None:
    """Close a child's copies: a lock lasts until all are closed, and a child may outlive its parent."""
    for descriptor in _lock_descriptors:
        with suppress(OSError):
            os.close(descriptor)
    _lock_descriptors.clear()


os.register_at_fork(after_in_child=_let_go)
