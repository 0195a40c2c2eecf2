"""Who waits for a source hears only what stays true, has its results as soon as they are there, and may leave."""

from collections.abc import Collection, Sequence
from typing import Any

import pytest
import torch

from seq2seq.data.generation_order import LEFT, RIGHT
from seq2seq.decoding import BeamSearch, DiverseBeamSearch, Greedy, Sampling
from seq2seq.decoding.algorithms.directions import FromSide
from seq2seq.decoding.algorithms.driver import Sources, running
from seq2seq.decoding.running.in_process import InProcess
from seq2seq.generation.batches import SourceBatch
from tests.decoding.algorithms.both_ends import BOTH, model_of
from tests.fakes import RandomModel

SOURCES = [[3, 4, 5, 2], [4, 2], [5, 6, 2], [6, 2], [3, 3, 2], [5, 2], [6, 6, 6, 2]]
INPUT_IDS = torch.tensor([[*source, *[0] * (4 - len(source))] for source in SOURCES])
MASK = INPUT_IDS != 0
SEARCHES: list[Any] = [Greedy(max_length=13), BeamSearch(n_best=3, max_length=13), Sampling(max_length=13)]


class Waiting:
    """Those who wait: some listen, and some leave at a step."""

    def __init__(self, leaving: dict[int, int] | None = None, listening: Collection[int] = range(len(SOURCES))) -> None:
        self.leaving = leaving or {}
        self.places = listening
        self.step = 0
        self.heard: list[tuple[int, int, tuple[int, ...]]] = []

    def gone(self) -> Collection[int]:
        self.step += 1
        return [place for place, step in self.leaving.items() if step <= self.step]

    def listening(self) -> Collection[int]:
        return self.places

    def hear(self, place: int, tokens: Sequence[int]) -> None:
        self.heard.append((self.step, place, tuple(tokens)))


@pytest.mark.parametrize("search", [*SEARCHES, DiverseBeamSearch(n_best=3, max_length=13), Sampling(29, max_length=5)])
def test_the_results_are_those_without_an_audience(search: Any) -> None:
    model = RandomModel(vocab_size=11)
    alone = dict(running(search, model, Sources(INPUT_IDS, MASK)))
    assert dict(running(search, model, Sources(INPUT_IDS, MASK), audience=Waiting())) == alone


@pytest.mark.parametrize("search", SEARCHES)
def test_what_is_heard_is_what_all_results_begin_with(search: Any) -> None:
    audience = Waiting(listening=[0, 2, 6])
    found = dict(running(search, RandomModel(vocab_size=11), Sources(INPUT_IDS, MASK), audience=audience))
    assert {place for _, place, _ in audience.heard} <= {0, 2, 6}
    assert any(tokens for _, _, tokens in audience.heard)
    for _, place, tokens in audience.heard:
        assert all(hypothesis.tokens[: len(tokens)] == tokens for hypothesis in found[place])


def test_one_path_is_heard_token_by_token() -> None:
    audience = Waiting()
    [(_, [hypothesis])] = running(
        Greedy(max_length=7), RandomModel(vocab_size=11), Sources(INPUT_IDS[:1], MASK[:1]), audience=audience
    )
    assert [tokens for _, _, tokens in audience.heard] == [
        hypothesis.tokens[: number + 1] for number in range(len(hypothesis.tokens) - 1)
    ]


@pytest.mark.parametrize("search", SEARCHES)
def test_who_has_left_is_searched_no_further(search: Any) -> None:
    model = RandomModel(vocab_size=11)
    expected = dict(running(search, model, Sources(INPUT_IDS, MASK)))
    rows = model.num_rows_stepped
    audience = Waiting(dict.fromkeys(range(1, len(SOURCES)), 1))
    assert dict(running(search, model, Sources(INPUT_IDS, MASK), audience=audience)) == {0: expected[0]}
    alone = RandomModel(vocab_size=11)
    list(running(search, alone, Sources(INPUT_IDS[:1], MASK[:1])))
    assert model.num_rows_stepped - rows == alone.num_rows_stepped + len(SOURCES) - 1, "one step, then they are gone"


def test_a_search_that_all_have_left_ends() -> None:
    model = RandomModel(vocab_size=11)
    audience = Waiting(dict.fromkeys(range(len(SOURCES)), 2))
    assert list(running(BeamSearch(max_length=101), model, Sources(INPUT_IDS, MASK), audience=audience)) == []
    assert audience.step == 2


def test_results_come_in_the_step_in_which_they_are_there() -> None:
    """Without an audience one sentence in eight waits for others, since leaving takes time."""
    audience = Waiting()
    lengths = {}
    for place, [hypothesis, *_] in running(
        Greedy(max_length=17),
        RandomModel(vocab_size=7),
        Sources(INPUT_IDS.repeat(5, 1), MASK.repeat(5, 1)),
        None,
        audience,
    ):
        lengths[place] = (audience.step, len(hypothesis.tokens))
    assert len({length for _, length in lengths.values()}) > 3
    assert all(step == length for step, length in lengths.values())


def test_nothing_is_heard_of_what_begins_at_the_right() -> None:
    model, sources = model_of(seed=1, **BOTH), Sources(INPUT_IDS[:3] % 3 + 3, MASK[:3])
    for side, hears in ((LEFT, True), (RIGHT, False)):
        audience = Waiting()
        search = FromSide(Greedy(max_length=5), side)
        found = dict(search.found(model, sources, audience))
        assert bool(audience.heard) == hears
        assert [found[place] for place in range(3)] == search.search(model, sources.input_ids, sources.attention_mask)


class InParts(RandomModel):
    rows_at_once = 6


def test_places_are_those_of_the_batch_where_it_is_searched_in_parts() -> None:
    search = BeamSearch(beam_width=3, max_length=7)
    batch = SourceBatch(SOURCES, list(range(10, 17)))
    [expected] = InProcess(RandomModel(vocab_size=11), search).search_batches([batch])
    audience = Waiting({1: 1, 5: 1}, listening=[4])
    found = dict(InProcess(InParts(vocab_size=11), search).search_batch(batch, audience))
    assert found == {place: hypotheses for place, hypotheses in enumerate(expected) if place not in (1, 5)}
    assert {place for _, place, _ in audience.heard} <= {4}
