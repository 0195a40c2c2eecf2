"""Which jobs are searched together, and what is refused: without any process."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from seq2seq.serving.requests import RequestRefused
from seq2seq.serving.scheduler import Job, Running, Scheduler
from seq2seq.serving.searching import Explain, How

PLAIN, WIDE = How(), How(options=(("beam_width", 9),))


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
    found = with_jobs([10, 50, 3, 11, 9, 70, 12, 2], lambda scheduler, _: scheduler._next_jobs())
    assert lengths_of(found) == [9, 10, 11, 12], "half of eight, for one of two processes"


def test_a_single_process_takes_all_that_are_alike() -> None:
    found = with_jobs(
        [7, 7, 8, 9], lambda scheduler, _: scheduler._next_jobs(), [PLAIN, WIDE, PLAIN, PLAIN], num_processes=1
    )
    assert lengths_of(found) == [7, 8, 9]


def test_a_batch_is_no_larger_than_gains_by_it() -> None:
    found = with_jobs([5] * 40, lambda scheduler, _: scheduler._next_jobs(), num_processes=1, most_rows=35)
    assert len(found) == 7, "35 rows of 5 hypotheses"
    found = with_jobs([300] * 40, lambda scheduler, _: scheduler._next_jobs(), num_processes=1, queue_tokens=20_000)
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
