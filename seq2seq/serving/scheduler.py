"""Batches across requests: jobs of one source each wait in a queue, and an idle process gets its share of them.

A job that finds an idle process waits for nobody. Under load a process gets as many of those that wait as make its
share of all, of the same options, near in length to the one that has waited longest, which is always among them. A
result goes out as soon as its search is done; a job that nobody waits for any more leaves at the next step. What is to
be explained waits in a line of its own, within the same limit; a process takes turns between the two. A process that
dies is replaced, and its jobs end with the refusal `search_process_died`.
"""

import asyncio
import logging
import math
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from seq2seq.generation.batches import BATCH_TOKENS, SourceBatch
from seq2seq.generation.hypothesis import Hypothesis
from seq2seq.serving.requests import RequestRefused
from seq2seq.serving.searching import Done, Explain, Explained, Heard, How, Leave, Ready, SearchBatch, SourceFound
from seq2seq.serving.searching_processes import SearchingProcess

SECONDS_BETWEEN_STARTS = 1.0
"""After a process that died before it had decoded anything, how long until the next is started."""
FIRST_RATE = 500.0
"""Source tokens a second that are assumed until some have been measured."""
SHARE_OF_NEWEST = 0.2
"""Of the rate, how much the newest batch counts."""

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Job:
    """One source that somebody waits for."""

    source: list[int]
    prefix: list[int] | None
    row: int
    """Number of the source in its request; what sampling draws depends on it."""
    how: How
    width: int
    """Hypotheses that run at a time."""
    result: "asyncio.Future[list[Hypothesis]]"
    hear: Callable[[tuple[int, ...]], None] | None = None

    @property
    def tokens(self) -> int:
        return len(self.source)


@dataclass(eq=False)
class Explaining:
    """One output of which somebody waits to hear why it is what it is."""

    message: Explain
    result: "asyncio.Future[Explained]"

    @property
    def tokens(self) -> int:
        return len(self.message.source) + len(self.message.output or ())


@dataclass(eq=False)
class Running:
    """What a process is busy with."""

    process: SearchingProcess
    jobs: dict[int, Job] = field(default_factory=dict)
    """By place, those whose result is still to come."""
    explanation: "asyncio.Future[Explained] | None" = None
    number: int = 0
    """Of its batches."""
    tokens: int = 0
    started: float = 0.0
    is_busy: bool = False
    has_explained: bool = False
    """Whether the last that it was given was an explanation; then it is the jobs' turn."""


class Scheduler:
    """The queue of one model, and its processes.

    Args:
        start: returns the connection of a new process.
        num_processes: how many search at a time.
        queue_tokens: source tokens that may wait.
        most_rows: hypotheses of a batch beyond which more are no faster; None: no such number.
    """

    def __init__(
        self, start: Callable[[], Connection], num_processes: int, queue_tokens: int, most_rows: int | None = None
    ) -> None:
        self._start = start
        self._limit = queue_tokens
        self._most_rows = most_rows or BATCH_TOKENS
        self._waiting: list[Job] = []
        self._explaining: list[Explaining] = []
        self._num_processes = num_processes
        self._processes: list[Running] = []
        self._is_closed = False
        self.queue_tokens = 0
        self.rate = FIRST_RATE
        self.row_steps = 0
        self.num_deaths = 0

    def open(self) -> None:
        """Start the processes."""
        for _ in range(self._num_processes):
            self._add_process()

    def close(self) -> None:
        """End the processes; whoever still waits is refused."""
        self._is_closed = True
        stopping = RequestRefused(503, "stopping", "The server is ending.")
        for running in self._processes:
            running.process.close()
            self._end(running, stopping)
        for job in self._waiting:
            _refuse(job.result, stopping)
        for waiting in self._explaining:
            _refuse(waiting.result, stopping)
        self._waiting, self._explaining, self._processes = [], [], []

    @property
    def is_ready(self) -> bool:
        """Whether a process has decoded a sentence, and waits for others."""
        return any(running.process.is_ready for running in self._processes)

    @property
    def batch_rows(self) -> int:
        return sum(len(running.jobs) for running in self._processes)

    def submit(self, jobs: list[Job], seconds: float) -> None:
        """Let jobs wait.

        Raises:
            RequestRefused: too much waits already, or so much that they would not be done within so many seconds.
        """
        tokens = sum(job.tokens for job in jobs)
        self._check_room(tokens, seconds)
        self._waiting += jobs
        self.queue_tokens += tokens
        self._dispatch()

    def _check_room(self, tokens: int, seconds: float) -> None:
        self._drop_abandoned()
        if tokens > self._limit:
            message = f"The request has {tokens} source tokens, of which {self._limit} may wait; send it in parts."
            raise RequestRefused(413, "too_many_tokens", message, limit=self._limit)
        needed = self.seconds_to_wait(self.queue_tokens + tokens)
        if self.queue_tokens and (self.queue_tokens + tokens > self._limit or needed > seconds):
            retry_after = max(1.0, math.ceil(self.seconds_to_wait(self.queue_tokens)))
            message = f"{self.queue_tokens} source tokens wait already; try again in {retry_after:.0f} s."
            raise RequestRefused(429, "queue_full", message, limit=self._limit, retry_after=retry_after)

    def leave(self, jobs: list[Job]) -> None:
        """Drop jobs that nobody waits for any more, wherever they are."""
        gone = {id(job) for job in jobs}
        waiting = [job for job in self._waiting if id(job) in gone]
        if waiting:
            self._waiting = [job for job in self._waiting if id(job) not in gone]
            self.queue_tokens -= sum(job.tokens for job in waiting)
        for running in self._processes:
            places = frozenset(place for place, job in running.jobs.items() if id(job) in gone)
            if places:
                for place in places:
                    del running.jobs[place]
                running.process.send(Leave(running.number, places))
        for job in jobs:
            job.result.cancel()

    def explain(self, message: Explain, seconds: float) -> "asyncio.Future[Explained]":
        """Return what an idle process will say of a source.

        Raises:
            RequestRefused: as `submit`; the tokens of a given output wait too.
        """
        future: asyncio.Future[Explained] = asyncio.get_running_loop().create_future()
        waiting = Explaining(message, future)
        self._check_room(waiting.tokens, seconds)
        self._explaining.append(waiting)
        self.queue_tokens += waiting.tokens
        future.add_done_callback(lambda _: self._drop_abandoned())
        self._dispatch()
        return future

    def _drop_abandoned(self) -> None:
        """Drop explanations that nobody waits for any more: their time has passed, or their client has left."""
        gone = [waiting for waiting in self._explaining if waiting.result.done()]
        if gone:
            self._explaining = [waiting for waiting in self._explaining if not waiting.result.done()]
            self.queue_tokens -= sum(waiting.tokens for waiting in gone)

    def seconds_to_wait(self, tokens: int) -> float:
        """Return about how long so many source tokens take."""
        return tokens / self.rate

    # ---- processes ---------------------------------------------------------------------------------------------------

    def _add_process(self) -> None:
        if self._is_closed:
            return
        try:
            process = SearchingProcess(self._start, self._received, self._died)
        except ChildProcessError as error:
            logger.error("%s", error)
            signal.raise_signal(signal.SIGTERM)  # nothing can be searched any more; whoever watches starts it again
            return
        self._processes.append(Running(process))

    def _died(self, process: SearchingProcess) -> None:
        running = self._of(process)
        self._processes.remove(running)
        self.num_deaths += 1
        logger.error("A searching process died; %d texts were being searched.", len(running.jobs))
        message = "The process that searched this text died and was replaced; send it again."
        self._end(running, RequestRefused(503, "search_process_died", message, retry_after=1.0))
        delay = 0.0 if process.is_ready else SECONDS_BETWEEN_STARTS
        asyncio.get_running_loop().call_later(delay, self._add_process)

    def _end(self, running: Running, refusal: RequestRefused) -> None:
        """Refuse whatever a process was busy with."""
        for job in running.jobs.values():
            _refuse(job.result, refusal)
        running.jobs.clear()
        if running.explanation is not None:
            _refuse(running.explanation, refusal)

    def _of(self, process: SearchingProcess) -> Running:
        return next(running for running in self._processes if running.process is process)

    # ---- batches -----------------------------------------------------------------------------------------------------

    def _received(self, process: SearchingProcess, message: Any) -> None:
        running = self._of(process)
        if isinstance(message, Heard):
            job = running.jobs.get(message.place)
            if job is not None and job.hear is not None:
                job.hear(message.tokens)
        elif isinstance(message, SourceFound):
            job = running.jobs.pop(message.place, None)
            if job is not None and not job.result.done():
                job.result.set_result(message.hypotheses)
        elif isinstance(message, Explained):
            if running.explanation is not None and not running.explanation.done():
                running.explanation.set_result(message)
            running.explanation, running.is_busy = None, False
            self._dispatch()
        elif isinstance(message, Done):
            self._measure(running)
            self.row_steps += message.row_steps
            running.is_busy = False
            self._dispatch()
        elif isinstance(message, Ready):
            process.is_ready = True
            self._dispatch()

    def _measure(self, running: Running) -> None:
        elapsed = time.monotonic() - running.started
        if elapsed > 0 and running.tokens:
            rate = running.tokens / elapsed * self._num_processes
            self.rate += SHARE_OF_NEWEST * (rate - self.rate)

    def _dispatch(self) -> None:
        """Give those processes that are idle something to do."""
        self._drop_abandoned()
        for running in self._processes:
            if running.is_busy or not running.process.is_ready:
                continue
            if self._explaining and not (running.has_explained and self._waiting):
                self._explain(running, self._explaining.pop(0))
            elif self._waiting:
                self._search(running, self._next_jobs())

    def _explain(self, running: Running, waiting: Explaining) -> None:
        self.queue_tokens -= waiting.tokens
        running.explanation, running.is_busy, running.has_explained = waiting.result, True, True
        running.process.send(waiting.message)

    def _next_jobs(self) -> list[Job]:
        """Return the job that has waited longest, with as many like it as make a share."""
        oldest = self._waiting[0]
        alike = sorted((job for job in self._waiting if job.how == oldest.how), key=lambda job: job.tokens)
        share = math.ceil((len(self._waiting) + self.batch_rows) / self._num_processes)
        most = max(1, min(share, self._most_rows // oldest.width))
        first = last = alike.index(oldest)
        while last - first + 1 < min(most, len(alike)):
            can_before, can_after = first > 0, last + 1 < len(alike)
            before = oldest.tokens - alike[first - 1].tokens if can_before else math.inf
            after = alike[last + 1].tokens - oldest.tokens if can_after else math.inf
            longest = alike[last].tokens if before <= after else alike[last + 1].tokens
            if (last - first + 2) * longest * oldest.width > BATCH_TOKENS:
                break
            if before <= after:
                first -= 1
            else:
                last += 1
        return alike[first : last + 1]

    def _search(self, running: Running, jobs: list[Job]) -> None:
        chosen = {id(job) for job in jobs}
        self._waiting = [job for job in self._waiting if id(job) not in chosen]
        running.tokens, running.started = sum(job.tokens for job in jobs), time.monotonic()
        self.queue_tokens -= running.tokens
        running.number += 1
        running.is_busy, running.has_explained = True, False
        running.jobs = dict(enumerate(jobs))
        prefixes = [job.prefix or [] for job in jobs] if any(job.prefix for job in jobs) else None
        batch = SourceBatch([job.source for job in jobs], [job.row for job in jobs], prefixes)
        listening = frozenset(place for place, job in running.jobs.items() if job.hear is not None)
        running.process.send(SearchBatch(batch, jobs[0].how, listening))


def _refuse(future: "asyncio.Future[Any]", refusal: RequestRefused) -> None:
    if not future.done():
        future.set_exception(refusal)
