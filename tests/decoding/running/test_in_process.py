"""A source whose search fails leaves an error in its own place, and nothing in that of others."""

import errno
import logging
import math
from copy import copy
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from seq2seq.data.generation_order import RIGHT
from seq2seq.decoding import BeamSearch, Greedy
from seq2seq.decoding.algorithms.directions import FromSide
from seq2seq.decoding.running.in_process import InProcess, _warn_once
from seq2seq.generation.batches import SourceBatch
from seq2seq.models.interface import UnsuitableModel
from tests.fakes import PrefixState, RandomModel

BAD = 9
SOURCES = [[5, 2], [BAD, 2], [6, 7, 2], [8, 2], [3, BAD, 2]]
BATCH = SourceBatch(SOURCES, list(range(10, 15)))


class Failing(RandomModel):
    """Raises an exception while a batch with the token `BAD` is encoded."""

    def __init__(self, error: Exception) -> None:
        super().__init__(vocab_size=11)
        self.error = error

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> PrefixState:
        if bool((input_ids == BAD).any()):
            raise copy(self.error)
        return super().encode(input_ids, attention_mask)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (IndexError("index out of range\n in self"), "IndexError: index out of range in self"),
        (ValueError("too long"), "too long"),
        (KeyError(), "KeyError"),
        (FloatingPointError("not finite"), "not finite"),
        (torch.OutOfMemoryError("CUDA out of memory"), "OutOfMemoryError: CUDA out of memory"),
    ],
)
def test_only_the_sources_that_fail_are_lost(error: Exception, text: str) -> None:
    search = BeamSearch(beam_width=3, n_best=2, max_length=5)
    [found] = InProcess(Failing(error), search).search_batches([BATCH])
    [expected] = InProcess(RandomModel(vocab_size=11), search).search_batches([BATCH])
    for source, hypotheses, right in zip(SOURCES, found, expected, strict=True):
        if BAD in source:
            [hypothesis] = hypotheses
            assert (hypothesis.tokens, hypothesis.finished, hypothesis.error) == ((), False, text)
        else:
            assert hypotheses == right


def test_logits_that_are_not_finite_are_a_failure_of_their_sentence() -> None:
    model = RandomModel(vocab_size=11)
    logits = model.logits
    model.logits = lambda source, prefix: logits(source, prefix) * (math.nan if BAD in source else 1)
    [found] = InProcess(model, Greedy(max_length=4)).search_batches([BATCH])
    assert [hypotheses[0].error is not None for hypotheses in found] == [BAD in source for source in SOURCES]
    assert "logits are not finite" in str(found[1][0].error)


@pytest.mark.parametrize("error", [UnsuitableModel("no attention"), torch.AcceleratorError("device-side assert")])
def test_what_fails_whatever_the_source_ends_the_search(error: Exception) -> None:
    with pytest.raises(type(error)):
        list(InProcess(Failing(error), Greedy()).search_batches([BATCH]))


def test_prefixes_that_a_search_does_not_take_end_it() -> None:
    search = FromSide(Greedy(), RIGHT)
    with pytest.raises(UnsuitableModel, match="leave them out with the order `r2l`"):
        list(
            InProcess(RandomModel(vocab_size=11), search).search_batches(
                [SourceBatch([[5, 2]] * 3, [0, 1, 2], [[], [5], []])]
            )
        )


def test_a_traceback_is_logged_once_and_none_for_what_is_known(caplog: pytest.LogCaptureFixture) -> None:
    for error in (ZeroDivisionError("a sum"), ValueError("a mistake"), LookupError("a fault")):
        [_] = InProcess(Failing(error), Greedy(max_length=4)).search_batches([BATCH])
    assert sum("raise copy(self.error)" in record.getMessage() for record in caplog.records) == 1
    assert "LookupError" in caplog.text


@dataclass
class Memory:
    """How many sources a model has memory for, and how often more were tried."""

    rows: int
    num_failures: int = 0


class Small(RandomModel):
    def __init__(self, memory: Memory) -> None:
        super().__init__(vocab_size=11)
        self.memory = memory

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> PrefixState:
        if len(input_ids) > self.memory.rows:
            self.memory.num_failures += 1
            raise RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
            )
        return super().encode(input_ids, attention_mask)


def test_a_batch_without_memory_is_searched_in_halves(caplog: pytest.LogCaptureFixture) -> None:
    memory, search = Memory(rows=3), Greedy(max_length=4)
    batch = SourceBatch([[5, 2]] * 12, list(range(12)), [[]] * 12)
    _warn_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        [found] = InProcess(Small(memory), search).search_batches([batch])
    [expected] = InProcess(RandomModel(vocab_size=11), search).search_batches([batch])
    assert found == expected
    assert memory.num_failures == 3, "of 12, and of 6 twice"
    assert caplog.text.count("Not enough memory for a whole batch") == 1
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    "error", [RuntimeError("can't start new thread"), OSError(errno.EMFILE, "Too many open files"), MemoryError()]
)
def test_want_that_no_source_has_to_do_with_ends_the_search(error: Exception) -> None:
    """Memory is such a want if a source of nothing but its end has none either, processes and files are always."""
    model = Failing(error)
    if isinstance(error, MemoryError):
        model = Small(Memory(rows=0))
    with pytest.raises((type(error), RuntimeError)):
        list(InProcess(model, Greedy(max_length=4)).search_batches([BATCH]))
