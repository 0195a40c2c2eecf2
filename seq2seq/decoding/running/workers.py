"""Several processes of this machine that search whole batches, each on one core, over one copy of the weights.

A product split over cores waits for the slowest at each of some hundred products a step; a batch each waits once. The
processes are forked when the model is loaded, so its weights are not copied; batches and hypotheses travel as lists.
A process that ends before it is told to is an error here, whenever it does.
"""

import logging
import multiprocessing
import resource
import signal
import sys
import traceback
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from types import TracebackType
from typing import Self

import torch

from seq2seq.decoding.parts.search import Search
from seq2seq.decoding.running.in_process import InProcess
from seq2seq.generation.batches import SourceBatch
from seq2seq.generation.hypothesis import Hypothesis
from seq2seq.models.interface import Seq2Seq
from seq2seq.want import allowed, wanting

Results = list[list[Hypothesis]]

WITHOUT_MEMORY = 75
"""Exit code of a process that had no memory to say so by another way."""

SECONDS_TO_END = 10.0
"""What a process is given to end in, once its connection is closed."""

logger = logging.getLogger(__name__)


def can_fork() -> bool:
    """Return whether processes can share the weights here."""
    return sys.platform.startswith("linux")


class WorkerProcesses:
    """A `Searcher` on `num_workers` processes; a context manager that ends them.

    To be made before this process computes with more than one thread: threads do not survive a fork, and what waits
    for them then waits for ever.

    Raises:
        ChildProcessError: a worker was ended, or ended itself; also at the end of the `with` block.
        Exception: what a worker's search raised, other than for a sentence (see `Searcher.search_batches`).
    """

    def __init__(self, model: Seq2Seq, search: Search, num_workers: int) -> None:
        self.search = search
        self.num_workers = num_workers
        self.max_source_tokens = model.max_source_tokens
        context = multiprocessing.get_context("fork")
        pipes = [context.Pipe() for _ in range(num_workers)]
        self._processes: dict[Connection, BaseProcess] = {}
        # Until they ignore it, a worker would answer Ctrl-C by a traceback.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            for here, own in pipes:
                others = [end for pair in pipes for end in pair if end is not own]
                arguments = (own, others, InProcess(model, search), mask)
                process = context.Process(target=_work, args=arguments, daemon=True)
                process.start()
                self._processes[here] = process
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for _, theirs in pipes:
            theirs.close()

    def search_batches(self, batches: Iterable[SourceBatch]) -> Iterator[Results]:
        """See `Searcher.search_batches`; a worker that is done gets the next batch, whatever the others do."""
        numbered = enumerate(batches)
        working: dict[Connection, int] = {}
        done: dict[int, Results] = {}
        idle = list(self._processes)
        next_number = 0
        while True:
            while idle and (item := next(numbered, None)) is not None:
                number, batch = item
                connection = idle.pop()
                self._send(connection, batch)
                working[connection] = number
            if not working:
                return
            ready = wait([*working, *(process.sentinel for process in self._processes.values())])
            for connection in [connection for connection in working if connection in ready]:
                done[working.pop(connection)] = self._received(connection)
                idle.append(connection)
            for process in self._processes.values():
                if process.sentinel in ready:
                    raise _death(process)
            while next_number in done:
                yield done.pop(next_number)
                next_number += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for connection in self._processes:
            connection.close()
        for process in self._processes.values():
            if kind is not None:  # it may be in the midst of a batch that nobody wants any more
                process.terminate()
            process.join()
        if kind is None and (dead := [process for process in self._processes.values() if process.exitcode]):
            raise _death(dead[0])

    def _send(self, connection: Connection, batch: SourceBatch) -> None:
        try:
            connection.send(batch)
        except OSError:  # of a connection whose other end is closed
            raise _death(self._processes[connection]) from None

    def _received(self, connection: Connection) -> Results:
        try:
            answer: Results | Exception = connection.recv()
        except (EOFError, OSError):  # the latter in the midst of an answer
            raise _death(self._processes[connection]) from None
        if not isinstance(answer, Exception):
            return answer
        if not isinstance(answer, ValueError | OSError) and wanting(answer) is None:
            logger.error("A process that searches failed:\n%s", "\n".join(getattr(answer, "__notes__", [])))
        raise answer


def _death(process: BaseProcess) -> ChildProcessError:
    """Return the error of a worker that is gone, with what ended it."""
    process.join(SECONDS_TO_END)
    code = process.exitcode
    if code is None:
        return ChildProcessError("A process that searches answers no more.")
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        end = f"was ended by {name}"
    else:
        end = f"ended by itself, with exit code {code}"
    if code == WITHOUT_MEMORY or -code in suspicious_signals():
        end += ", most likely for want of memory; lower `--batch-tokens` or `--processes`"
    return ChildProcessError(f"A process that searches {end}.")


def suspicious_signals() -> set[int]:
    """Return the signals by which a process ends that gets no memory: of the system, and of libraries under a limit."""
    within_limit = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS} if allowed(resource.RLIMIT_AS) is not None else set()
    return {signal.SIGKILL} | within_limit


def _work(connection: Connection, others: list[Connection], searcher: InProcess, mask: set[signal.Signals]) -> None:
    """Answer each batch with its results, until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the parent ends this
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    for end in others:  # an end that stays open here would hide from the others that the parent is gone
        end.close()
    torch.set_num_threads(1)
    try:
        while True:
            batch = connection.recv()
            connection.send(_answer(searcher, batch))
    except Exception as error:
        if wanting(error) == "memory":
            raise SystemExit(WITHOUT_MEMORY) from None
        if not isinstance(error, EOFError | OSError):  # the parent is gone, wherever it was
            raise


def _answer(searcher: InProcess, batch: SourceBatch) -> Results | Exception:
    """Return what is found, or the exception, with its traceback as a note, as something that can travel."""
    try:
        [found] = searcher.search_batches([batch])
        return found
    except Exception as error:
        error.add_note("".join(traceback.format_exception(error)))
        return _travelling(error)


def _travelling(error: Exception) -> Exception:
    """Return the exception, or one that says the same where it cannot be sent as itself."""
    try:
        arrived = ForkingPickler.loads(ForkingPickler.dumps(error))
        if type(arrived) is type(error) and str(arrived) == str(error):
            return error
    except Exception as problem:
        logger.debug("An exception cannot be sent: %r", problem)
    other = RuntimeError(f"{type(error).__name__}: {error}")
    for note in getattr(error, "__notes__", []):
        other.add_note(note)
    return other
