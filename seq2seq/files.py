"""Files and folders that appear whole or not at all; the only file that renames.

What is written stands under a hidden name of its own until it is whole and on disk, then takes the place of what was
there. Devices, pipes and standard streams are written to and never replaced, links are followed. Hidden names say which
process made them, so that what a kill has left is removed by the next to write there, and nothing else ever is.
"""

import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import stat
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

_UNFINISHED, _REPLACED = "unfinished", "replaced"
_LONGEST_NAME = 50
"""Characters of a name that its hidden names repeat: a file system allows 255 bytes."""
_DISK_PROBLEMS = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
_STANDARD = re.compile(r"/dev/(?:(stdout)|(stderr)|fd/(\d+))|/proc/self/fd/(\d+)")
_ATTEMPTS = 20
_LARGEST_OBJECT = 2**26
"""Bytes of a file of JSON that is read whole."""


def fingerprint(path: str | Path) -> dict[str, Any]:
    """Return a file's size in bytes and SHA-256."""
    with Path(path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"bytes": os.fstat(file.fileno()).st_size, "sha256": digest}


def read_object(path: str | Path) -> dict[str, Any]:
    """Return the JSON object that a file of our own holds.

    Raises:
        ValueError: it holds something else, or more than any such file; names the file.
    """
    if is_special(path):
        raise ValueError(f"{path}: a pipe or a device, where a file of JSON is expected.")
    if (size := Path(path).stat().st_size) > _LARGEST_OBJECT:
        raise ValueError(f"{path} has {size:,} bytes, which no such file has; it is damaged.")
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON ({error}); it is damaged.") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path}: expected a JSON object, but it holds {type(found).__name__}; it is damaged.")
    return found


def is_special(path: str | Path) -> bool:
    """Return whether a name stands for what can only be read or written once: a device, a pipe, a standard stream."""
    if _STANDARD.fullmatch(str(path)):
        return True
    found = _status(Path(path))
    return found is not None and not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode))


@contextmanager
def written(path: str | Path, mode: Literal["w", "wb"] = "w", *, may_be_stream: bool = False) -> Iterator[IO[Any]]:
    """Yield a file to write to (text is UTF-8 with line feeds); at the end of the `with` block it stands at `path`.

    If the block fails nothing of it stays, and what was there before is as it was. A new file has the rights that the
    umask leaves, a replaced one keeps its own.

    Args:
        may_be_stream: whether it is an output that a user names, for which a device or a pipe may stand.

    Raises:
        OSError: it cannot be written; names the file.
        ValueError: a device or a pipe stands where files of our own are; to write to a pipe may take for ever.
    """
    path = Path(path)
    if is_special(path):
        if not may_be_stream:
            raise ValueError(f"{path}: a pipe or a device, where a file is to be written; remove it.")
        with _opened(_descriptor_of(path), mode) as file:
            yield file
        return
    target, found = Path(os.path.realpath(path)), _status(path)
    if found is not None and stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    remove_leftovers(target.parent, target.name)
    unfinished = _beside(target, _UNFINISHED)
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        with _named(path), _opened(descriptor, mode) as file:
            _hold(descriptor)
            if found is not None:
                os.fchmod(descriptor, stat.S_IMODE(found.st_mode))
            yield file
            file.flush()
            os.fsync(descriptor)
        os.replace(unfinished, target)
        _flush_folder(target.parent)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def new_folder(folder: str | Path) -> Iterator[Path]:
    """Yield an empty folder to fill; at the end of the `with` block it stands in the place of `folder`.

    If the block fails nothing of it stays, and what was there before is as it was. All files are flushed to disk and
    have the rights that the umask leaves, whatever the library that wrote them thinks. What was there goes last; what
    of it cannot be removed stays under a hidden name, with a warning.
    """
    folder = Path(folder)
    target = Path(os.path.realpath(folder))
    found = _status(target)
    if found is not None and not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(target.parent, target.name)
    with _unfinished_folder(target, folder) as (unfinished, rights):
        yield unfinished
        _settle(unfinished, rights)
        replaced = _stand_in(unfinished, target)
        _flush_folder(target.parent)
    if replaced is not None:
        _remove_replaced(replaced)


@contextmanager
def added_files(folder: str | Path) -> Iterator[Path]:
    """Yield an empty folder; at the end of the `with` block its files go into `folder`, each whole, beside others."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder, "files")
    with _unfinished_folder(folder / "files", folder) as (unfinished, rights):
        yield unfinished
        _settle(unfinished, rights)
        for file in unfinished.iterdir():
            os.replace(file, folder / file.name)
        _flush_folder(folder)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a further name, so that it takes no place twice; where links cannot be, copy it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def remove_folder(folder: Path) -> None:
    """Remove a folder; a kill leaves it whole, or without its name."""
    replaced = _beside(folder, _REPLACED)
    os.rename(folder, replaced)
    _remove_replaced(replaced)


def rename_folder(folder: Path, new: Path) -> None:
    """Give a folder another name; what had that name before is removed."""
    replaced = _stand_in(folder, new)
    if replaced is not None:
        _remove_replaced(replaced)


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove what processes of this machine that live no more were writing in a folder, or only to one name in it.

    What was replaced by something that never took its place stays.
    """
    own = r".+" if name is None else re.escape(name[:_LONGEST_NAME])
    pattern = re.compile(rf"\.(?P<name>{own})\.{_machine()}-(?P<process>\d+)-[0-9a-f]{{8}}\.(?P<kind>\w+)")
    try:
        names = os.listdir(folder)
    except OSError:
        return
    present = {other[:_LONGEST_NAME] for other in names}
    for found in filter(None, map(pattern.fullmatch, names)):
        path = folder / found[0]
        is_needed = found["kind"] == _REPLACED and found["name"] not in present
        if found["kind"] not in (_UNFINISHED, _REPLACED) or is_needed or _lives(int(found["process"])):
            continue
        if not _is_held(path):
            _remove(path)


# ---- hidden names ----------------------------------------------------------------------------------------------------


def _machine() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _beside(path: Path, kind: str) -> Path:
    name = path.name[:_LONGEST_NAME]
    return path.with_name(f".{name}.{_machine()}-{os.getpid()}-{secrets.token_hex(4)}.{kind}")


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def _hold(descriptor: int) -> None:
    """Keep others from removing what is being written; what has no locks is known by its process alone."""
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)


def _is_held(path: Path) -> bool:
    """Return whether somebody writes there: a process of another container may have the number of a dead one here."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    finally:
        os.close(descriptor)
    return False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


# ---- writing ---------------------------------------------------------------------------------------------------------


def _status(path: Path) -> os.stat_result | None:
    """Return what is known of the file that a name leads to, if there is one."""
    try:
        return path.stat()
    except OSError:
        return None


def _descriptor_of(path: Path) -> int:
    """Return a descriptor to write to a device, pipe or standard stream; of a stream it is a copy, which keeps what
    was written to it before."""
    found = _STANDARD.fullmatch(str(path))
    if found is None:
        return os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return os.dup(1 if found[1] else 2 if found[2] else int(found[3] or found[4]))


def _opened(descriptor: int, mode: str) -> IO[Any]:
    return os.fdopen(descriptor, mode) if "b" in mode else os.fdopen(descriptor, mode, encoding="utf-8", newline="\n")


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Give an error of a full disk the name of what was written."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in _DISK_PROBLEMS:
            error.filename = str(path)
        raise


@contextmanager
def _unfinished_folder(target: Path, folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield an empty folder beside `target`, which is gone at the end if it still has its name; and its rights."""
    unfinished = _beside(target, _UNFINISHED)
    try:
        unfinished.mkdir()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from None
    descriptor = os.open(unfinished, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _hold(descriptor)
        with _named(folder):
            yield unfinished, stat.S_IMODE(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)
        shutil.rmtree(unfinished, ignore_errors=True)


def _settle(folder: Path, rights: int) -> None:
    """Give all that is in a folder the rights that the umask leaves, and flush it to disk."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if path.is_symlink() or not path.is_file():
                continue
            path.chmod(rights & 0o666)
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        Path(parent).chmod(rights)
        _flush_folder(Path(parent))


def _flush_folder(folder: Path) -> None:
    with suppress(OSError):  # some file systems have nothing to flush there
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _stand_in(folder: Path, target: Path) -> Path | None:
    """Rename a folder; return the hidden name of what stood there, if anything did."""
    replaced = None
    for _ in range(_ATTEMPTS):
        aside = _beside(target, _REPLACED)
        with suppress(FileNotFoundError):
            os.rename(target, aside)
            if replaced is not None:
                _remove_replaced(replaced)
            replaced = aside
        try:
            os.rename(folder, target)
            return replaced
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):  # another process was faster
                continue
            if replaced is not None:
                os.rename(replaced, target)
            raise
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(target))


def _remove_replaced(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        warnings.warn(f"{path} holds what was replaced and could not be removed; remove it yourself.", stacklevel=1)
