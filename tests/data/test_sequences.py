"""Flat arrays of ids, and the batches made of them, against lists."""

from collections.abc import Sequence
from pathlib import Path

import numpy
import pyarrow
import pytest
import torch
from torch import Tensor

from seq2seq.data.batch import IGNORED_LABEL, Batch
from seq2seq.data.collate import collate, pad_right
from seq2seq.data.companions import CompanionRows
from seq2seq.data.cutting import cut_ids
from seq2seq.data.generation_order import Arranged, Arrangement, GenerationOrder
from seq2seq.data.random_keys import random_keys
from seq2seq.data.sequences import Sequences, SequencesByRow

PAD, START, EOS = 0, 1, 2
NUM_PAIRS, NUM_CHOSEN, LONGEST_SOURCE, LONGEST_TARGET = 31, 13, 17, 11
SOURCE_PAD = 3
ORDERS: tuple[GenerationOrder, ...] = ("l2r", "r2l", "bidirectional", "interleaved")

Lists = list[list[int]]


def drawn(seed: int, longest: int, num_rows: int = NUM_PAIRS) -> Lists:
    """Rows that end with end of sentence; the first is nothing else."""
    draw = numpy.random.default_rng(seed)
    lengths = [0, *draw.integers(0, longest, num_rows - 1).tolist()]
    return [[*draw.integers(10, 90, length).tolist(), EOS] for length in lengths]


SOURCES, TARGETS = drawn(1, LONGEST_SOURCE), drawn(2, LONGEST_TARGET)
FROM_LEFT, FROM_RIGHT = drawn(3, 2 * LONGEST_TARGET), drawn(4, LONGEST_TARGET)
CHOSEN = numpy.random.default_rng(5).permutation(NUM_PAIRS)[:NUM_CHOSEN]


# ---- the oracle: lists, a row at a time ------------------------------------------------------------------------------


def list_from_right(ids: list[int]) -> list[int]:
    return [*reversed(ids[:-1]), ids[-1]]


def list_interleaved(ids: list[int]) -> list[int]:
    words = ids[:-1]
    return [words[i // 2] if i % 2 == 0 else words[-1 - i // 2] for i in range(len(words))] + [ids[-1]]


def list_rows(target: list[int], order: str) -> Lists:
    return {
        "l2r": [target],
        "r2l": [list_from_right(target)],
        "bidirectional": [target, list_from_right(target)],
        "interleaved": [list_interleaved(target)],
    }[order]


def oracle(
    sources: Lists,
    rows_of_targets: Sequence[Lists],
    numbers: Sequence[int],
    *,
    num_starts: int = 1,
    is_visible: list[bool] | None = None,
    is_scored: list[bool] | None = None,
) -> dict[str, Tensor]:
    """The tensors of a batch, one number at a time."""
    rows = [row for target in rows_of_targets for row in target]
    source_length = max(map(len, sources))
    width = -(-max(map(len, rows)) // num_starts) * num_starts
    scored = is_scored or [True] * len(rows)
    expected: dict[str, list] = {
        "input_ids": [[*ids, *[SOURCE_PAD] * (source_length - len(ids))] for ids in sources],
        "attention_mask": [[t < len(ids) for t in range(source_length)] for ids in sources],
        "decoder_input_ids": [[*[START] * num_starts, *ids, *[PAD] * width][:width] for ids in rows],
        "labels": [
            [ids[t] if t < len(ids) and counts else IGNORED_LABEL for t in range(width)]
            for ids, counts in zip(rows, scored, strict=True)
        ],
        "rows": list(numbers),
    }
    if len(rows) > len(sources):
        expected["sides"] = [0, 1] * len(sources)
    if is_visible is not None:
        expected["visible"] = [
            [shown and t < len(ids) for t in range(width)] for ids, shown in zip(rows, is_visible, strict=True)
        ]
    return {name: torch.tensor(values) for name, values in expected.items()}


def oracle_of_companions(numbers: Sequence[int], epoch: int, seed: int, dropout: float, scored: bool) -> dict:
    rows, is_visible, is_scored = [], [], []
    for number in numbers:
        target = TARGETS[number]
        is_left = int(random_keys(seed, epoch, 1, numpy.array([number]))[0]) % 2 == 0
        is_hidden = int(random_keys(seed, epoch, 2, numpy.array([number]))[0] >> numpy.uint64(11)) / 2**53 < dropout
        companion = (FROM_RIGHT if is_left else FROM_LEFT)[number]
        is_used = len(companion) <= 1.5 * len(target) + 5
        companion = companion if is_used else [EOS]
        left, right = (target, companion) if is_left else (companion, target)
        rows.append([left, list_from_right(right)])
        is_visible += [is_used and not is_hidden] * 2
        is_scored += [is_left or (scored and is_used), not is_left or (scored and is_used)]
    assert {True, False} == set(is_visible), "the case must have both"
    sources = [SOURCES[number] for number in numbers]
    return oracle(sources, rows, numbers, is_visible=is_visible, is_scored=is_scored)


def assert_same(batch: Batch, expected: dict[str, Tensor]) -> None:
    found = {name: value for name, value in vars(batch).items() if value is not None}
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert value.dtype == expected[name].dtype, name
        assert torch.equal(value, expected[name]), name


# ---- batches ---------------------------------------------------------------------------------------------------------


def in_memory(rows: Lists) -> Sequences:
    return Sequences.of(rows)


def in_chunks(rows: Lists) -> Sequences:
    """A column in several blocks of memory, one of them without rows and one that is part of a larger."""
    parts = [rows[:7], [], rows[7:18], rows[18:]]
    chunks = [Sequences.of(part).to_arrow() for part in parts]
    chunks[2] = Sequences.of([[5, 6], *rows[7:18], [7]]).to_arrow().slice(1, 11)
    return Sequences.of_column(pyarrow.chunked_array(chunks))


def in_many_chunks(rows: Lists) -> Sequences:
    """So many blocks, one a row, that they are copied into one."""
    chunks = [Sequences.of([row]).to_arrow() for row in rows]
    found = Sequences.of_column(pyarrow.chunked_array(chunks))
    assert len(found.blocks) == 1
    return found


KINDS = pytest.mark.parametrize("stored", [in_memory, in_chunks, in_many_chunks])


def batch_of(stored, arrange: Arrangement, numbers: numpy.ndarray, epoch: int = 0) -> Batch:  # type: ignore[no-untyped-def]
    return collate(
        stored(SOURCES).select(numbers),
        arrange(stored(TARGETS).select(numbers), numbers, epoch),
        numbers,
        source_pad_id=SOURCE_PAD,
        target_pad_id=PAD,
        decoder_start_id=START,
    )


@KINDS
@pytest.mark.parametrize("order", ORDERS)
def test_batches_are_those_of_lists(stored, order: GenerationOrder) -> None:  # type: ignore[no-untyped-def]
    for numbers in (CHOSEN, numpy.array([0]), numpy.arange(NUM_PAIRS)):
        rows = [list_rows(TARGETS[number], order) for number in numbers]
        starts = 2 if order == "interleaved" else 1
        expected = oracle([SOURCES[number] for number in numbers], rows, numbers.tolist(), num_starts=starts)
        assert_same(batch_of(stored, Arranged(order), numbers), expected)


@KINDS
@pytest.mark.parametrize("scored", [True, False])
def test_batches_with_companions_are_those_of_lists(stored, scored: bool) -> None:  # type: ignore[no-untyped-def]
    arrange = CompanionRows(stored(FROM_LEFT), stored(FROM_RIGHT), seed=7, dropout=0.3, is_scored=scored)
    for epoch in range(3):
        expected = oracle_of_companions(CHOSEN.tolist(), epoch, 7, 0.3, scored)
        assert_same(batch_of(stored, arrange, CHOSEN, epoch), expected)


# ---- arrays ----------------------------------------------------------------------------------------------------------


@KINDS
def test_rows_of_every_store_are_the_lists(stored) -> None:  # type: ignore[no-untyped-def]
    found = stored(TARGETS)
    assert found.tolist() == TARGETS
    assert found.select(CHOSEN).tolist() == [TARGETS[number] for number in CHOSEN]
    assert found.select(CHOSEN).last().tolist() == [[EOS]] * NUM_CHOSEN
    joined = Sequences.joined([found.select(CHOSEN), stored(SOURCES)])
    assert joined.tolist() == [*(TARGETS[number] for number in CHOSEN), *SOURCES]
    assert Sequences.of_column(pyarrow.chunked_array([found.to_arrow()])).tolist() == TARGETS


def test_a_mapped_file_is_read_in_place(tmp_path: Path) -> None:
    """Eleven chunks of one file are one block, which is the mapping itself."""
    with pyarrow.OSFile(str(tmp_path / "ids"), "wb") as file:
        schema = pyarrow.schema({"text": pyarrow.string(), "ids": pyarrow.list_(pyarrow.int32())})
        with pyarrow.ipc.new_stream(file, schema) as writer:
            for first in range(0, NUM_PAIRS, 3):
                part = Sequences.of(TARGETS[first : first + 3]).to_arrow()
                writer.write_batch(pyarrow.record_batch([["x" * 7] * len(part), part], schema=schema))
    with pyarrow.memory_map(str(tmp_path / "ids")) as file:
        column = pyarrow.ipc.open_stream(file).read_all()["ids"]
        found = Sequences.of_column(column)
    assert column.num_chunks == 11
    [block] = found.blocks
    assert block.nbytes <= (tmp_path / "ids").stat().st_size
    assert block.__array_interface__["data"][0] <= column.chunk(0).values.buffers()[1].address
    assert found.tolist() == TARGETS


@KINDS
@pytest.mark.parametrize("longest", [1, 2, 3, 5, 100])
def test_cut_rows_keep_their_last_id(stored, longest: int) -> None:  # type: ignore[no-untyped-def]
    expected = [row if len(row) <= longest else [*row[: longest - 1], row[-1]] for row in TARGETS]
    found = stored(TARGETS).cut(longest)
    assert found.tolist() == expected == [cut_ids(row, longest) for row in TARGETS]
    numbers = numpy.arange(len(TARGETS))[::-3]
    assert stored(TARGETS).select(numbers).cut(longest).tolist() == [expected[number] for number in numbers]


def test_rows_may_come_in_any_order_and_anew() -> None:
    rows = SequencesByRow(5)
    rows.put(numpy.array([4, 0, 2]), [[1], [2, 3], []])
    rows.put(numpy.array([2, 3, 0]), [[4, 5, 6], [], [7]])
    assert rows.sequences().tolist() == [[7], [], [4, 5, 6], [], [1]]
    rows.put(numpy.array([1]), [[8, 9]])
    assert rows.sequences().tolist() == [[7], [8, 9], [4, 5, 6], [], [1]]


def test_nothing_at_all() -> None:
    for empty in (Sequences.of([]), Sequences.of_column(pyarrow.chunked_array([], pyarrow.list_(pyarrow.int32())))):
        assert len(empty) == 0
        assert empty.tolist() == []
        assert empty.padded(PAD)[0].shape == (0, 0)
    ids, mask = pad_right([[], []], pad_id=3)
    assert ids.shape == mask.shape == (2, 0)
    assert SequencesByRow(0).sequences().tolist() == []
