"""The training of a plan, on as many processes of this machine as it was made for.

A run directory enters; a trained run is left in it. One process is this one. Several are started here, in sessions of
their own, so that what a terminal sends reaches them once, through this one. As they end so does this: by the same exit
code, or by the error that the first of them has met, in the words of a training in one process.

The launchers of accelerate and torch would not do: after Ctrl-C they kill what has not ended in 30 seconds, and a
validation may take minutes; they end in a traceback, whatever was said; and they read a file of the user's.
"""

import gc
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

POLL_SECONDS = 0.2
"""Between looks at whether somebody has asked to stop."""
LEAVING_SECONDS = 20.0
"""What the others are given to end in when one has failed: on GPUs they would wait for it for ever."""
LONGEST_TRACE = 10_000
"""Characters of a traceback that are told, which a pipe takes without a reader."""


class Said(NamedTuple):
    """What a process says of the error that has ended it."""

    message: str | None
    """For people; None for a fault of our own."""
    trace: str
    is_of_peers: bool
    """Whether it is only that another has gone."""


@dataclass(frozen=True)
class Member:
    """One of the processes that train together, as it is told."""

    rank: int
    size: int
    port: int
    uses_cpu: bool
    threads: int
    folder: str
    accumulation: int
    own: tuple[str, ...]
    """What the user has set, as OPTION=VALUE."""

    def environment(self) -> dict[str, str]:
        """Return the variables by which launchers let processes find each other, here by this machine's own address:
        the name of the machine may be one that a name server is asked for in vain, for minutes."""
        ours = {"RANK": self.rank, "LOCAL_RANK": self.rank, "WORLD_SIZE": self.size, "LOCAL_WORLD_SIZE": self.size}
        found = {name: str(number) for name, number in ours.items()}
        found |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(self.port)}
        if self.uses_cpu:
            found |= {"ACCELERATE_USE_CPU": "true", "GLOO_SOCKET_IFNAME": "lo0" if sys.platform == "darwin" else "lo"}
        return found


@dataclass(frozen=True)
class Started:
    """A process as the one that has started it sees it."""

    member: Member
    process: Any
    ear: Connection

    def said(self) -> Said | None:
        """Return what it has said; nothing where it ended without."""
        with suppress(EOFError):
            return Said(*self.ear.recv()) if self.ear.poll() else None
        return None


def train_plan(folder: Path, asked: int | None, own: Sequence[str]) -> None:
    """Train what a run directory has the plan of, or go on with it.

    Args:
        asked: processes that a user wants; None: those of the plan, or fewer where there are fewer GPUs.
        own: what the user has set, as OPTION=VALUE.

    Raises:
        ValueError: as a training does; or a process of several has ended without a word.
        SystemExit: it was stopped by a signal, and saved.
    """
    from seq2seq.assembly.model_folder import PLAN_FILE
    from seq2seq.assembly.process import prepare_process
    from seq2seq.files import read_object
    from seq2seq.fitting.sharing import shares_of_run

    number, accumulation = shares_of_run(read_object(folder / PLAN_FILE).get("processes"), asked)
    if number == 1:
        _train(folder, accumulation)
        return
    assert accumulation is not None, "a plan for several says how many micro-batches each has"
    give_back_memory_of_gpu()
    train_on_processes(folder, number, accumulation, own)
    prepare_process()  # for what comes next, as a training in this one would have done


def _train(folder: Path, accumulation: int | None) -> None:
    from seq2seq.assembly.run_directory import config_of_run
    from seq2seq.assembly.training import train_in_stages

    config = config_of_run(folder)
    if accumulation is not None:
        config = replace(config, training=replace(config.training, gradient_accumulation=accumulation))
    train_in_stages(config, is_planned=True)


def give_back_memory_of_gpu() -> None:
    """Give back what timing has left of the first GPU's memory, which its process needs for hours.

    Its context, some hundred MiB, stays until this process ends; who goes on with a plan that was there has none.
    """
    import torch

    gc.collect()
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def train_on_processes(folder: Path, number: int, accumulation: int, own: Sequence[str]) -> None:
    """Train on so many processes; see `train_plan`."""
    import torch

    from seq2seq.processes import allowed_cores
    from seq2seq.training.interruption import stop_signals

    first = Member(
        rank=0,
        size=number,
        port=_free_port(),
        uses_cpu=not torch.accelerator.is_available(),
        threads=max(1, allowed_cores() // number),
        folder=str(folder),
        accumulation=accumulation,
        own=tuple(own),
    )
    started: list[Started] = []
    with stop_signals() as request:
        try:
            with _signals_kept_back():
                for rank in range(number):
                    started.append(_started(replace(first, rank=rank)))
            ended = _awaited(started, request)
        finally:
            for child in started:
                child.process.kill()
                child.process.join()
    _end_as(ended, request.signal_number)


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@contextmanager
def _signals_kept_back() -> Iterator[None]:
    """Keep back the signals that stop a training, also in processes that are started meanwhile, until these are ready
    for them: Python would end with a traceback."""
    from seq2seq.training.interruption import STOP_SIGNALS

    resource_tracker.ensure_running()  # which lets signals through when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _started(member: Member) -> Started:
    context = multiprocessing.get_context("spawn")  # the state of a GPU does not survive a fork
    ear, mouth = context.Pipe(duplex=False)
    process = context.Process(target=train_as_member, args=(member, mouth))
    process.start()
    mouth.close()
    return Started(member, process, ear)


def _awaited(started: Sequence[Started], request: Any) -> list[Started]:
    """Wait for all processes, and let them know of a signal that asks this one to stop; return them as they ended."""
    ended: list[Started] = []
    was_told, deadline = False, float("inf")
    while len(ended) < len(started):
        running = [child for child in started if child not in ended]
        wait([child.process.sentinel for child in running], timeout=POLL_SECONDS)
        ended += [child for child in running if not child.process.is_alive()]
        running = [child for child in running if child not in ended]
        if request.signal_number and not was_told:
            was_told = True
            for child in running:
                os.kill(child.process.pid, request.signal_number)
        if deadline == float("inf") and any(_has_failed(child) for child in ended):
            deadline = time.monotonic() + LEAVING_SECONDS
        if time.monotonic() > deadline:
            for child in running:
                child.process.kill()
    return ended


def _has_failed(child: Started) -> bool:
    """Return whether a process has ended otherwise than at its end, or saved after a signal."""
    return child.process.exitcode != 0 and child.process.exitcode <= 128


def _end_as(ended: Sequence[Started], signal_number: int | None) -> None:
    """Return if all processes have reached their end; otherwise end as they did.

    Args:
        ended: in the order in which they did, so that the first of those that failed is the reason.
        signal_number: of the signal that asked this process to stop, if one did.
    """
    words = [said for child in ended if (said := child.said()) is not None]
    for said in words:
        if not said.is_of_peers:
            _say(said)
    codes = [child.process.exitcode for child in ended]
    if signal_number is not None and max(codes) <= 128:  # it came too early to save anything, or too late
        signal.raise_signal(signal_number)
    if any(code > 128 for code in codes):
        raise SystemExit(max(codes))
    for child, code in zip(ended, codes, strict=True):
        if code < 0 or (code and not words):
            raise ValueError(_died(child.member, code))
    for said in words:
        _say(said)


def _say(said: Said) -> None:
    """Raise what a process has said as an error of this one; a fault of our own with its traceback."""
    if said.message is not None:
        raise ValueError(said.message)
    sys.stderr.write(said.trace)
    raise SystemExit(1)


def _died(member: Member, code: int) -> str:
    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    why = ", by which the system ends one where memory is short" if code == -signal.SIGKILL else ""
    return (
        f"process {member.rank + 1} of the {member.size} that train in {member.folder} ended {how}{why}, without a "
        "word of its own; the same command goes on from the last checkpoint."
    )


# ---- in each of the processes ----------------------------------------------------------------------------------------


def train_as_member(member: Member, mouth: Connection) -> None:
    """Be one of the processes that train together."""
    os.setsid()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(member.environment())
    os.environ.setdefault("OMP_NUM_THREADS", str(member.threads))  # before torch is there, which reads it
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        _train_together(member)
    except KeyboardInterrupt:  # before there was anything to save
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)
    except Exception as error:
        mouth.send(tuple(_said_of(error)))
        raise SystemExit(2) from None


def _end_with_parent() -> None:
    """Die when the process that has started this one does, as a training in that one would have."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "this process was started by another"
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGKILL)


def _train_together(member: Member) -> None:
    import torch

    from seq2seq.apps.command import warnings_in_one_line
    from seq2seq.config.command_line import pieces_in
    from seq2seq.own_pieces import look_in, said_by_user
    from seq2seq.training.accelerator import leave_processes

    if not member.uses_cpu:  # before anything asks what a GPU can do, and takes memory of the first one for it
        torch.accelerator.set_device_index(member.rank)
    with suppress(OSError):  # a folder that is gone
        look_in(Path.cwd())
    said_by_user(piece for text in member.own for piece in pieces_in(*text.split("=", 1)))
    if member.rank:
        warnings.simplefilter("ignore")  # the first process says the same
    with warnings_in_one_line("fit"):
        try:
            _train(Path(member.folder), member.accumulation)
        except SystemExit as end:
            if isinstance(end.code, int) and end.code > 128:  # all have saved, and leave together
                leave_processes()
            raise
        leave_processes()


def _said_of(error: Exception) -> Said:
    from seq2seq.apps.command import message_of
    from seq2seq.want import wanting

    trace = "".join(traceback.format_exception(error))[-LONGEST_TRACE:]
    return Said(message_of(error, "fit"), trace, wanting(error) == "peers")
