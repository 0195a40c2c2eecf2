import time

import numpy
import pytest

from seq2seq.data import bucketing
from seq2seq.data.bucketing import Plan, cut_batches, length_sorted_batches, plan_batches


def lengths(num_rows: int, seed: int = 1) -> tuple[numpy.ndarray, numpy.ndarray]:
    generator = numpy.random.default_rng(seed)
    source = generator.geometric(1 / 17, num_rows)
    return source, numpy.maximum(1, source + generator.integers(-5, 6, num_rows))


def slow_padding_share(plan: Plan, source: numpy.ndarray, target: numpy.ndarray) -> float:
    real = padding = 0
    for batch in plan.batches:
        for side in (source, target):
            longest = max(side[row] for row in batch)
            real += sum(side[row] for row in batch)
            padding += sum(longest - side[row] for row in batch)
    return padding / (real + padding)


@pytest.mark.parametrize("num_rows", [0, 1, 2, 997])
@pytest.mark.parametrize(("batch_tokens", "max_batch_rows"), [(1, 0), (211, 0), (211, 3), (10**9, 0), (10**9, 1)])
@pytest.mark.parametrize("pool_rows", [101, 100_000])
def test_every_row_once_within_budget(
    num_rows: int, batch_tokens: int, max_batch_rows: int, pool_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucketing, "POOL_ROWS", pool_rows)
    source, target = lengths(num_rows)
    plan = plan_batches(source, target, batch_tokens=batch_tokens, max_batch_rows=max_batch_rows, seed=3, epoch=5)
    assert sorted(row for batch in plan.batches for row in batch) == list(range(num_rows))
    num_oversized = 0
    for batch in plan.batches:
        assert 1 <= len(batch) <= (max_batch_rows or num_rows)
        slots = len(batch) * (source[batch].max() + target[batch].max())
        if slots > batch_tokens:
            assert len(batch) == 1
            num_oversized += 1
    assert plan.num_oversized == num_oversized
    assert plan.padding_share == pytest.approx(slow_padding_share(plan, source, target) if num_rows else 0.0)


def test_batches_end_only_where_the_next_row_does_not_fit() -> None:
    source, target = lengths(499)
    order = numpy.arange(499)
    batches = cut_batches(order, source, target, batch_tokens=300).batches
    for batch, following in zip(batches, batches[1:], strict=False):
        more = numpy.append(batch, following[0])
        assert len(more) * (source[more].max() + target[more].max()) > 300


def test_plan_is_deterministic_and_differs_by_seed_epoch_and_pool() -> None:
    source, target = lengths(499)

    def planned(seed: int = 1, epoch: int = 0, pool: int = 0) -> list[list[int]]:
        plan = plan_batches(source, target, batch_tokens=300, seed=seed, epoch=epoch, pool=pool)
        return [batch.tolist() for batch in plan.batches]

    assert planned() == planned()
    plans = [planned(), planned(seed=2), planned(epoch=1), planned(pool=1)]
    for other in plans[1:]:
        assert other != plans[0]
        assert {frozenset(batch) for batch in other} != {frozenset(batch) for batch in plans[0]}, "not only reordered"


def test_batches_are_not_in_order_of_length() -> None:
    source, target = lengths(997)
    plan = plan_batches(source, target, batch_tokens=300, seed=1, epoch=0)
    longest = [source[batch].max() for batch in plan.batches]
    correlation = numpy.corrcoef(longest, numpy.arange(len(longest)))[0, 1]
    assert abs(correlation) < 0.3


def test_padding_is_small() -> None:
    source, target = lengths(20_000)
    shuffled = cut_batches(numpy.arange(20_000), source, target, batch_tokens=4096)
    plan = plan_batches(source, target, batch_tokens=4096, seed=1, epoch=0)
    assert shuffled.padding_share > 0.5
    assert plan.padding_share < 0.06


def test_a_million_rows_take_seconds() -> None:
    source, target = lengths(1_000_000)
    start = time.process_time()
    plan_batches(source, target, batch_tokens=8192, seed=1, epoch=0)
    assert time.process_time() - start < 10


@pytest.mark.parametrize("beam_width", [1, 5])
@pytest.mark.parametrize("max_batch_rows", [0, 2])
def test_decoding_batches_are_longest_first(beam_width: int, max_batch_rows: int) -> None:
    source, _ = lengths(499)
    batches = length_sorted_batches(source, batch_tokens=200, beam_width=beam_width, max_batch_rows=max_batch_rows)
    flat = numpy.concatenate(batches)
    assert sorted(flat) == list(range(499))
    assert (numpy.diff(source[flat]) <= 0).all()
    for batch in batches:
        assert len(batch) == 1 or len(batch) * source[batch].max() * beam_width <= 200
        assert len(batch) <= (max_batch_rows or 499)
    assert length_sorted_batches(numpy.array([], dtype=int), batch_tokens=200, beam_width=1) == []
