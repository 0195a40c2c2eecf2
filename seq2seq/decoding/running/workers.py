"""Several processes of this machine that search whole batches, each on one core, over one copy of the weights.

A product split over cores waits for the slowest at each of some hundred products a step; a batch each waits once. The
processes are forked when the model is loaded, so its weights are not copied; batches and hypotheses travel as lists.
"""

import multiprocessing
import signal
import sys
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Self

import torch

from seq2seq.decoding.parts.search import Hypothesis, Search
from seq2seq.decoding.running.batches import InProcess, SourceBatch
from seq2seq.models.interface import Seq2Seq

Results = list[list[Hypothesis]]


def can_fork() -> bool:
    """Return whether processes can share the weights here."""
    return sys.platform.startswith("linux")


class WorkerProcesses:
    """A `Searcher` on `num_workers` processes; a context manager that ends them.

    To be made before this process computes with more than one thread: threads do not survive a fork, and what waits
    for them then waits for ever.

    Raises:
        ValueError: a worker's search raised it.
        ChildProcessError: a worker is gone.
    """

    def __init__(self, model: Seq2Seq, search: Search, num_workers: int) -> None:
        self.search = search
        self.num_workers = num_workers
        context = multiprocessing.get_context("fork")
        pipes = [context.Pipe() for _ in range(num_workers)]
        self._connections = [here for here, _ in pipes]
        self._processes = []
        for _, own in pipes:
            others = [end for pair in pipes for end in pair if end is not own]
            process = context.Process(target=_work, args=(own, others, InProcess(model, search)), daemon=True)
            process.start()
            self._processes.append(process)
        for _, theirs in pipes:
            theirs.close()

    def search_batches(self, batches: Iterable[SourceBatch]) -> Iterator[Results]:
        """See `Searcher.search_batches`; a worker that is done gets the next batch, whatever the others do."""
        numbered = enumerate(batches)
        working: dict[Connection, int] = {}
        done: dict[int, Results] = {}
        idle = list(self._connections)
        next_number = 0
        while True:
            while idle and (item := next(numbered, None)) is not None:
                number, batch = item
                connection = idle.pop()
                connection.send(batch)
                working[connection] = number
            if not working:
                return
            for ready in wait(list(working)):
                assert isinstance(ready, Connection), "only connections are waited for"
                done[working.pop(ready)] = _received(ready)
                idle.append(ready)
            while next_number in done:
                yield done.pop(next_number)
                next_number += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for connection in self._connections:
            connection.close()
        for process in self._processes:
            if kind is not None:  # it may be in the midst of a batch that nobody wants any more
                process.terminate()
            process.join()


def _received(connection: Connection) -> Results:
    try:
        answer: Results | ValueError = connection.recv()
    except (EOFError, ConnectionError):
        raise ChildProcessError(
            "A process that searches was ended from outside, most likely for want of memory; lower `--batch-tokens` or "
            "`--processes`."
        ) from None
    if isinstance(answer, ValueError):
        raise answer
    return answer


def _work(connection: Connection, others: list[Connection], searcher: InProcess) -> None:
    """Answer each batch with its results, until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the parent ends this
    for end in others:  # an end that stays open here would hide from the others that the parent is gone
        end.close()
    torch.set_num_threads(1)
    while True:
        try:
            batch = connection.recv()
        except EOFError:
            return
        try:
            [answer] = searcher.search_batches([batch])
        except ValueError as error:
            connection.send(error)
        else:
            connection.send(answer)
