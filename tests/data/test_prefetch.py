import threading
import time
from collections.abc import Iterator

import pytest

from seq2seq.data.prefetch import prefetch


def prefetching_threads() -> int:
    return sum(thread.name == "prefetch" for thread in threading.enumerate())


def test_order_is_kept() -> None:
    assert list(prefetch(iter(range(101)), 3)) == list(range(101))
    assert prefetching_threads() == 0


def test_items_are_made_ahead_but_not_further_than_depth() -> None:
    made = []

    def items() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    stream = prefetch(items(), 4)
    assert next(stream) == 0
    deadline = time.monotonic() + 5
    while len(made) < 6 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert len(made) == 6, "one taken, four waiting, one in hand"
    stream.close()
    assert prefetching_threads() == 0


def test_deleted_stream_ends_its_thread() -> None:
    stream = prefetch(iter(range(100)), 1)
    next(stream)
    assert prefetching_threads() == 1
    del stream
    assert prefetching_threads() == 0


def test_exception_arrives_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("row 2 is broken")

    stream = prefetch(items(), 4)
    assert next(stream) == 1
    with pytest.raises(ValueError, match="row 2 is broken"):
        next(stream)
    assert prefetching_threads() == 0


def test_nothing_starts_before_it_is_asked_for() -> None:
    prefetch(iter(range(3)), 1)
    assert prefetching_threads() == 0


@pytest.mark.parametrize("num_taken", [1, 2, 3, 5])
@pytest.mark.parametrize("pause", [0.0, 0.01])
def test_closing_never_hangs(num_taken: int, pause: float) -> None:
    for _ in range(20):
        stream = prefetch(prefetch(iter(range(5)), 1), 1)
        for _ in range(num_taken):
            next(stream)
        time.sleep(pause)
        stream.close()
        assert prefetching_threads() == 0
