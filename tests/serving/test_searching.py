"""What a searching process makes of what comes while it searches."""

from multiprocessing import Pipe
from typing import Any

import pytest

from seq2seq.decoding import BeamSearch
from seq2seq.decoding.running.in_process import InProcess
from seq2seq.generation.batches import SourceBatch
from seq2seq.serving.searching import Heard, How, Leave, Open, SearchBatch, SourceFound, Waiting, _search
from tests.fakes import RandomModel

FIRST = SearchBatch(SourceBatch([[3, 4, 5, 2], [4, 2]], [0, 0]), How(), [10, 11])
LATER = [
    SearchBatch(SourceBatch([[5, 6, 2]], [0]), How(), [12], frozenset([12])),
    SearchBatch(SourceBatch([[6, 2], [5, 5, 2]], [0, 0]), How(), [13, 14]),
]
SEARCH = BeamSearch(max_length=13, min_length=6)


def searched(*messages: Any, model: Any = None, search: Any = SEARCH) -> tuple[list[Any], Waiting, list[SearchBatch]]:
    """Return what a search sends to whom these messages have come before its first step, and what it leaves."""
    here, there = Pipe()
    for message in messages:
        there.send(message)
    pending = [FIRST]
    waiting = Waiting(here, pending)
    _search(waiting, InProcess(model or RandomModel(vocab_size=11), search))
    sent = []
    while there.poll():
        sent.append(there.recv())
    return sent, waiting, pending


def found_in(sent: list[Any]) -> dict[int, Any]:
    return {message.id: message.hypotheses for message in sent if isinstance(message, SourceFound)}


def expected(*batches: SearchBatch) -> dict[int, Any]:
    found = {}
    for batch in batches:
        for number, one in enumerate(batch.ids):
            searcher = InProcess(RandomModel(vocab_size=11), SEARCH)
            [(_, found[one])] = searcher.search_batch(batch.batch.of([number]))
    return found


def test_what_comes_while_others_are_searched_joins_them() -> None:
    sent, waiting, pending = searched(*LATER)
    assert found_in(sent) == expected(FIRST, *LATER)
    assert [message for message in sent if isinstance(message, Open)] == [Open(True)]
    assert {message.id for message in sent if isinstance(message, Heard)} <= {12}
    assert (waiting.num_batches, pending, waiting.ids) == (3, [], {})
    steps = sum(max(len(one.tokens) for one in hypotheses) for hypotheses in found_in(sent).values())
    assert waiting.row_steps >= steps, "of each source at least as many as its hypothesis has tokens"


def test_who_leaves_before_joining_is_never_searched() -> None:
    sent, waiting, _ = searched(*LATER, Leave(frozenset([13, 11, 99])))
    assert found_in(sent).keys() == {10, 12, 14}
    assert waiting.num_batches == 3


def test_a_search_that_cannot_take_more_leaves_it_for_the_next() -> None:
    class Closed:
        def __init__(self, model: Any) -> None:
            self.model = model

        def __getattr__(self, name: str) -> Any:
            if name == "join":
                raise AttributeError(name)
            return getattr(self.model, name)

    sent, waiting, pending = searched(*LATER, model=Closed(RandomModel(vocab_size=11)))
    assert found_in(sent) == expected(FIRST)
    assert not any(isinstance(message, Open) for message in sent)
    assert (waiting.num_batches, pending) == (1, LATER)


def test_nobody_joins_what_has_become_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seq2seq.serving.searching.OLDEST_JOINED", 4)
    sent, _, _ = searched()
    assert [message for message in sent if isinstance(message, Open)] == [Open(True), Open(False)]
    assert found_in(sent) == expected(FIRST)


def test_what_fails_is_said_of_all_that_are_there() -> None:
    class Broken(RandomModel):
        def join(self, state: Any, fresh: Any) -> Any:
            raise OSError(24, "Too many open files")

    sent, waiting, _ = searched(*LATER, model=Broken(vocab_size=11))
    assert set(found_in(sent)) >= {10, 11}
    assert all("Too many open files" in found[0].error for found in found_in(sent).values())
    assert waiting.ids == {}
