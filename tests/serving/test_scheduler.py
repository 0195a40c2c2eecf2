"""Which jobs are searched together, and what is refused: without any process."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from seq2seq.serving.requests import RequestRefused
from seq2seq.serving.scheduler import Job, Running, Scheduler
from seq2seq.serving.searching import Done, Explain, How, Open, SourceFound

PLAIN, WIDE = How(), How(options=(("beam_width", 9),))


NOTHING: Any = Running(None)  # type: ignore[arg-type]
"""What an idle process is busy with."""


def with_jobs(lengths: list[int], check: Callable[[Scheduler, list[Job]], Any], how: Any = None, **options: Any) -> Any:
    """Let jobs wait in a queue without processes, and look at it."""

    async def run() -> Any:
        loop = asyncio.get_running_loop()
        defaults: dict[str, Any] = {"num_processes": 2, "queue_tokens": 10_000}
        scheduler = Scheduler(lambda: None, **(defaults | options))  # type: ignore[arg-type, return-value]
        hows = how or [PLAIN] * len(lengths)
        jobs = [
            Job([5] * (length - 1) + [2], None, 0, each, 5, loop.create_future())
            for length, each in zip(lengths, hows, strict=True)
        ]
        scheduler.submit(jobs, seconds=1e9)
        return check(scheduler, jobs)

    return asyncio.run(run())


def lengths_of(jobs: list[Job]) -> list[int]:
    return [job.tokens for job in jobs]


def test_the_oldest_is_among_those_near_it_in_length() -> None:
    found = with_jobs([10, 50, 3, 11, 9, 70, 12, 2], lambda scheduler, _: scheduler._next_jobs(NOTHING))
    assert lengths_of(found) == [9, 10, 11, 12], "half of eight, for one of two processes"


def test_a_single_process_takes_all_that_are_alike() -> None:
    found = with_jobs(
        [7, 7, 8, 9], lambda scheduler, _: scheduler._next_jobs(NOTHING), [PLAIN, WIDE, PLAIN, PLAIN], num_processes=1
    )
    assert lengths_of(found) == [7, 8, 9]


def test_a_batch_is_no_larger_than_gains_by_it() -> None:
    found = with_jobs([5] * 40, lambda scheduler, _: scheduler._next_jobs(NOTHING), num_processes=1, most_rows=35)
    assert len(found) == 7, "35 rows of 5 hypotheses"
    found = with_jobs(
        [300] * 40, lambda scheduler, _: scheduler._next_jobs(NOTHING), num_processes=1, queue_tokens=20_000
    )
    assert len(found) == 5, "8192 tokens in 5 hypotheses each"


def test_tokens_are_counted_until_they_leave() -> None:
    def check(scheduler: Scheduler, jobs: list[Job]) -> None:
        assert scheduler.queue_tokens == 12
        scheduler.leave(jobs[:1])
        assert scheduler.queue_tokens == 8
        scheduler.leave(jobs)
        scheduler.leave(jobs)
        assert scheduler.queue_tokens == 0
        assert scheduler._waiting == []

    with_jobs([4, 3, 5], check)


@pytest.mark.parametrize(
    ("lengths", "seconds", "status", "name"),
    [([101], 1e9, 413, "too_many_tokens"), ([60], 1e9, 429, "queue_full"), ([20], 0.05, 429, "queue_full")],
)
def test_what_has_no_place_is_refused(lengths: list[int], seconds: float, status: int, name: str) -> None:
    def check(scheduler: Scheduler, jobs: list[Job]) -> None:
        more = [Job([2] * length, None, 0, PLAIN, 5, jobs[0].result) for length in lengths]
        with pytest.raises(RequestRefused) as refused:
            scheduler.submit(more, seconds)
        assert (refused.value.status, refused.value.name, refused.value.limit) == (status, name, 100)
        assert (refused.value.retry_after is None) == (status == 413)
        assert scheduler.queue_tokens == 50, "nothing of it waits"

    with_jobs([50], check, queue_tokens=100)


# ---- explanations ----------------------------------------------------------------------------------------------------


class IdleProcess:
    """A process that is ready, and keeps what it is sent."""

    def __init__(self) -> None:
        self.is_ready = True
        self.sent: list[Any] = []

    def send(self, message: Any) -> None:
        self.sent.append(message)

    def close(self) -> None:
        pass


def explain(scheduler: Scheduler, tokens: int) -> Any:
    return scheduler.explain(Explain([5] * tokens, None, PLAIN), seconds=1e9)


def test_what_nobody_waits_for_is_not_explained() -> None:
    def check(scheduler: Scheduler, _: list[Job]) -> None:
        for left in [explain(scheduler, 7) for _ in range(3)]:
            left.cancel()
        explain(scheduler, 9)
        assert scheduler.queue_tokens == 4 + 9
        process: Any = IdleProcess()
        scheduler._processes = [Running(process)]
        scheduler._dispatch()
        assert [len(message.source) for message in process.sent] == [9]
        assert scheduler.queue_tokens == 4

    with_jobs([4], check)


def test_explanations_count_against_the_limit_of_what_waits() -> None:
    def check(scheduler: Scheduler, jobs: list[Job]) -> None:
        waiting = explain(scheduler, 40)
        for tokens, name in ((20, "queue_full"), (101, "too_many_tokens")):
            with pytest.raises(RequestRefused) as refused:
                explain(scheduler, tokens)
            assert (refused.value.name, refused.value.limit) == (name, 100)
        more = [Job([2] * 20, None, 0, PLAIN, 5, jobs[0].result)]
        with pytest.raises(RequestRefused):
            scheduler.submit(more, 1e9)
        waiting.cancel()
        scheduler.submit(more, 1e9)
        assert scheduler.queue_tokens == 70

    with_jobs([50], check, queue_tokens=100)


def test_a_process_takes_turns_between_explanations_and_searches() -> None:
    def check(scheduler: Scheduler, _: list[Job]) -> None:
        for _ in range(3):
            explain(scheduler, 3)
        process: Any = IdleProcess()
        running = Running(process)
        scheduler._processes = [running]
        for _ in range(4):
            running.is_busy = False
            scheduler._dispatch()
        assert [isinstance(message, Explain) for message in process.sent] == [True, False, True, True]

    with_jobs([4], check)


def test_an_explanation_that_waits_is_refused_at_the_end() -> None:
    def check(scheduler: Scheduler, jobs: list[Job]) -> None:
        waiting = explain(scheduler, 3)
        scheduler.close()
        for future in (waiting, jobs[0].result):
            assert future.exception().name == "stopping"

    with_jobs([4], check)


# ---- jobs that join --------------------------------------------------------------------------------------------------


def busy(scheduler: Scheduler, numbers: list[int]) -> list[Running]:
    """Give a scheduler processes that search so many jobs each, which others may join."""
    processes = []
    for number in numbers:
        process: Any = IdleProcess()
        jobs = {place: Job([5, 2], None, 0, PLAIN, 5, asyncio.Future()) for place in range(number)}
        processes.append(Running(process, jobs, is_open=True, is_busy=True, num_jobs=number, num_batches=1))
    scheduler._processes = processes
    return processes


def sent_to(running: Running) -> list[list[int]]:
    """Return the ids of each batch that a process was sent."""
    process: Any = running.process
    return [message.ids for message in process.sent]


def test_jobs_join_the_search_that_has_room_for_enough_of_them() -> None:
    def check(scheduler: Scheduler, jobs: list[Job]) -> None:
        first, second = busy(scheduler, [9, 6])
        scheduler._dispatch()
        assert (sent_to(first), sent_to(second)) == ([], [[6, 7]]), "9 is a share of 17; 2 are one in 4 of 6"
        assert second.jobs[6] in jobs
        assert second.jobs[7] in jobs
        assert (second.num_batches, scheduler.queue_tokens) == (2, 0)

    with_jobs([3, 4], check)


def test_few_wait_until_they_are_worth_a_step() -> None:
    def check(scheduler: Scheduler, jobs: list[Job]) -> None:
        [running] = busy(scheduler, [9])
        scheduler._dispatch()
        assert sent_to(running) == []
        for place in range(5):
            found: Any = [None]
            scheduler._received(running.process, SourceFound(place, found))
        assert sent_to(running) == [[9]], "one for the four that are left"
        assert running.jobs[9] is jobs[0]

    with_jobs([3], check, num_processes=1)


@pytest.mark.parametrize("case", ["closed", "other options", "explanation", "full", "long"])
def test_jobs_do_not_join_what_they_cannot_or_must_not(case: str) -> None:
    def check(scheduler: Scheduler, jobs: list[Job]) -> None:
        [running] = busy(scheduler, [6])
        if case == "closed":
            running.is_open = False
        if case == "explanation":
            explain(scheduler, 3)
        scheduler._dispatch()
        assert sent_to(running) == []
        assert scheduler._waiting == jobs

    lengths = [3, 250, 250] if case == "long" else [3, 3, 3]
    how = [WIDE, PLAIN, PLAIN] if case == "other options" else None
    lengths = lengths[::-1] if case == "long" else lengths
    with_jobs(lengths, check, how, num_processes=1, most_rows=34 if case == "full" else 1000)


def test_a_process_is_idle_once_it_has_taken_all_that_it_was_sent() -> None:
    def check(scheduler: Scheduler, jobs: list[Job]) -> None:
        [running] = busy(scheduler, [1])
        scheduler._dispatch()
        scheduler._received(running.process, Open(False))
        assert not running.is_open
        scheduler._received(running.process, Open(True))
        scheduler._received(running.process, Done(num_batches=1, row_steps=5))
        assert (running.is_busy, running.is_open) == (True, False), "the job that joined came too late, and is next"
        scheduler._received(running.process, Done(num_batches=2, row_steps=7))
        assert (running.is_busy, scheduler.row_steps) == (False, 12)

    with_jobs([3], check, num_processes=1)
