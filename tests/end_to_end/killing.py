"""Commands in processes of their own that are killed at a chosen moment; how they ended, and what they left.

A command is forked from this process, which has imported everything and computes nothing, so that it starts at once. It
dies at a time, or just before its n-th change to a file: audit hooks see those of Python, and `os.fsync` is counted
too.
"""

import mmap
import os
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.util import _exit_function
from pathlib import Path
from typing import Any

from tests.launching import loopback

LIMIT_S = 120.0
"""A command that takes longer hangs."""
LEAVING_S = 20.0
"""What the processes that a dead one has left are given, as launchers do."""
EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod", "shutil.rmtree"}
Main = Callable[[Sequence[str]], int]


@dataclass(frozen=True)
class Death:
    """How and when a process is killed.

    Args:
        signal_number: SIGKILL, SIGTERM or SIGINT.
        seconds: after its start; or
        event: before this change to a file, counted from 1.
        rank: of several processes, the one that dies; of SIGINT, as from a terminal, all get one.
        of_worker: whether a process dies that the command has forked.
    """

    signal_number: int
    seconds: float | None = None
    event: int | None = None
    rank: int = 0
    of_worker: bool = False

    def __str__(self) -> str:
        when = f"before change {self.event}" if self.seconds is None else f"after {self.seconds:.3f} s"
        who = "a worker" if self.of_worker else f"process {self.rank}"
        return f"{signal.Signals(self.signal_number).name} to {who} {when}"


@dataclass(frozen=True)
class Ended:
    """How the processes of a command ended.

    Args:
        codes: of each process, negative for a signal.
        errors: standard error of each.
        output: standard output of the first.
        num_events: changes to files of the process that was to die.
        seconds: until all had ended.
        was_hit: whether the signal was sent.
        problem: what must never be: a hang, or processes that outlive the command.
    """

    codes: list[int]
    errors: list[str]
    output: str
    num_events: int
    seconds: float
    was_hit: bool
    problem: str | None = None


def run_killed(
    main: Main, arguments: Sequence[str], folder: Path, death: Death | None = None, num_processes: int = 1
) -> Ended:
    """Run a command on so many processes, which find each other as those of a launcher do, and kill it.

    Args:
        folder: for what they print; changes to files count everywhere else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    counter, start = mmap.mmap(-1, 8), time.monotonic()
    environment: dict[str, str] = {}
    if num_processes > 1:
        environment = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "WORLD_SIZE": str(num_processes)}
        environment |= {"GLOO_SOCKET_IFNAME": loopback(), "ACCELERATE_USE_CPU": "true"}
    victim = 0 if death is None else death.rank
    children = []
    for rank in range(num_processes):
        own = environment and environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        watch = (counter, death) if rank == victim else None
        children.append(_forked(main, arguments, folder / str(rank), own, watch))
    codes, was_hit, hung = _watched(children, death, start)
    left = [child for child in children if _alive(child)]
    for child in children:
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
    num_events, hit_event = struct.unpack("ii", counter[:8])
    errors = [(folder / f"{rank}.err").read_text(errors="replace") for rank in range(num_processes)]
    problem = "hangs" if hung else "leaves processes behind" if left else None
    return Ended(
        codes,
        errors,
        (folder / "0.out").read_text(errors="replace"),
        num_events,
        time.monotonic() - start,
        was_hit or bool(hit_event),
        problem,
    )


def _watched(children: list[int], death: Death | None, start: float) -> tuple[list[int], bool, bool]:
    """Wait for all, and kill in between; return their codes, whether a signal was sent, and whether one hung."""
    codes: dict[int, int] = {}
    was_hit, hung, ask_at, force_at = False, False, start + LIMIT_S, start + LIMIT_S + LEAVING_S
    while len(codes) < len(children):
        for child in children:
            if child not in codes and (found := os.waitpid(child, os.WNOHANG))[0]:
                codes[child] = os.waitstatus_to_exitcode(found[1])
                if codes[child]:
                    ask_at = min(ask_at, time.monotonic() + LEAVING_S / 4)
        now, living = time.monotonic(), [child for child in children if child not in codes]
        if death is not None and not was_hit and death.seconds is not None and now > start + death.seconds:
            was_hit = _hit(living, children, death)
        if now > ask_at:
            force_at = min(force_at, now + LEAVING_S)
            ask_at = force_at + LIMIT_S
            for child in living:
                os.kill(child, signal.SIGTERM)
        if now > force_at:
            hung = True
            for child in living:
                os.kill(child, signal.SIGKILL)
        time.sleep(0.002)
    for _ in range(int(LEAVING_S / 0.05)):
        if not any(map(_alive, children)):
            break
        time.sleep(0.05)
    return [codes[child] for child in children], was_hit, hung


def _hit(living: list[int], children: list[int], death: Death) -> bool:
    """Send the signal; return whether there was somebody to get it."""
    targets = [children[death.rank]]
    if death.of_worker:
        targets = _forked_by(children[death.rank])[-1:]
    elif death.signal_number == signal.SIGINT:
        targets = [process for child in living for process in [child, *_forked_by(child)]]
    elif children[death.rank] not in living:
        targets = []
    for process in targets:
        with suppress(ProcessLookupError):
            os.kill(process, death.signal_number)
    return bool(targets)


def _forked(
    main: Main, arguments: Sequence[str], path: Path, environment: dict[str, str], watch: tuple[Any, Any] | None
) -> int:
    """Return the process that runs a command; what it prints goes to `path`.out and `path`.err."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell puts behind itself ignores it
        os.environ.update(environment)
        for descriptor, ending in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{path}.{ending}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND), descriptor)
        if watch is not None:
            _count_changes(*watch, path.parent)
        code = main(arguments)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            _exit_function()  # of what it has forked; those of `atexit` are of the process that forks
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _count_changes(counter: mmap.mmap, death: Death | None, own: Path) -> None:
    """Count changes to files in this process, and die before the one that is chosen."""
    process, flush = os.getpid(), os.fsync
    prefix = str(own)

    def change() -> None:
        number = struct.unpack("i", counter[:4])[0] + 1
        hits = death is not None and death.event == number
        counter[:8] = struct.pack("ii", number, int(hits or struct.unpack("i", counter[4:8])[0]))
        if death is not None and hits:
            os.kill(process, death.signal_number)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in EVENTS or os.getpid() != process or not isinstance(arguments[0], str | os.PathLike):
            return
        if str(arguments[0]).startswith(prefix):
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        change()

    def counted(descriptor: int) -> None:
        if os.getpid() == process:
            change()
        flush(descriptor)

    os.fsync = counted
    sys.addaudithook(hook)


def _forked_by(process: int) -> list[int]:
    """Return the children of a process."""
    try:
        return list(map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split()))
    except OSError:
        return []


def _alive(group: int) -> bool:
    """Return whether a process of this group lives on, whatever its parent."""
    return any(fields[2] == str(group) and fields[0] != "Z" for fields in _statuses())


def _statuses() -> Iterator[list[str]]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            yield path.read_text().rpartition(")")[2].split()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def environment_of(**variables: str) -> Iterator[None]:
    """Set variables of the environment for a `with` block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
