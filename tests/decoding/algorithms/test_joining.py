"""Sources that join those being searched are searched as if they were alone."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pytest
import torch

from seq2seq.decoding import BeamSearch, Greedy, Sampling
from seq2seq.decoding.algorithms.driver import Sources, running
from seq2seq.decoding.parts.constraints import Constraint
from seq2seq.generation.batches import SourceBatch
from seq2seq.generation.hypothesis import Hypothesis
from seq2seq.models.interface import Seq2Seq
from tests.fakes import RandomModel
from tests.models.tiny import LIKE_T5, PRETRAINED, tiny_model

FIRST = SourceBatch([[3, 4, 5, 2], [4, 2], [5, 6, 2]], [0, 1, 2])
LATER = {
    1: SourceBatch([[6, 2]], [3]),
    2: SourceBatch([[3, 3, 2], [5, 2]], [4, 5]),
    7: SourceBatch([[6, 6, 6, 6, 3, 2], [2], [4, 4, 2]], [6, 7, 8]),
    8: SourceBatch([[5, 5, 2]], [9]),
}


class Bringing:
    """An audience that brings sources, each batch as soon as so many steps have been made."""

    def __init__(self, batches: Mapping[int, SourceBatch], leaving: Collection[int] = ()) -> None:
        self.batches = dict(sorted(batches.items()))
        self.leaving = leaving
        self.steps = 0
        self.ages: list[int] = []
        self.heard: list[tuple[int, tuple[int, ...]]] = []

    def gone(self) -> Collection[int]:
        self.steps += 1
        return self.leaving

    def listening(self) -> Collection[int]:
        return range(100)

    def hear(self, place: int, tokens: Sequence[int]) -> None:
        self.heard.append((place, tuple(tokens)))

    def joining(self, age: int) -> SourceBatch | None:
        self.ages.append(age)
        due = [step for step in self.batches if step <= self.steps]
        return self.batches.pop(due[0]) if due else None


def alone(search: Any, model: Seq2Seq, batches: Sequence[SourceBatch]) -> list[list[Hypothesis]]:
    return [
        hypotheses
        for batch in batches
        for place in range(len(batch.rows))
        for _, hypotheses in running(search, model, Sources.of(batch.of([place]), "cpu"))
    ]


def joined(search: Any, model: Seq2Seq, first: SourceBatch, audience: Bringing) -> dict[int, list[Hypothesis]]:
    return dict(running(search, model, Sources.of(first, "cpu"), audience=audience))


def block_after(step: int, token: int) -> Constraint:
    """Return a constraint that forbids a token from some step on."""

    def constraint(steps: int, token_ids: torch.Tensor, log_probs: torch.Tensor) -> torch.Tensor:
        assert token_ids.shape[-1] == steps
        assert bool((token_ids >= 0).all())
        if steps >= step:
            log_probs[..., token] = -torch.inf
        return log_probs

    return constraint


SEARCHES: list[Any] = [
    Greedy(max_length=13),
    Greedy(max_length=13, no_repeat_ngram=2, min_length=3),
    BeamSearch(n_best=3, max_length=13),
    BeamSearch(n_best=5, max_length=11, length_penalty=0.7, length_normalization="gnmt"),
    BeamSearch(n_best=2, beam_width=3, max_length=13, early_stopping=True, max_length_ratio=1.5),
    BeamSearch(n_best=3, max_length=13, no_repeat_ngram=2, min_length=4, constraints=(block_after(3, 5),)),
    BeamSearch(n_best=1, beam_width=1, max_length=13),
    Sampling(n_best=3, max_length=13, max_length_ratio=1.5, temperature=0.7, top_k=5, seed=3),
]


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_results_are_those_of_each_source_alone(search: Any, seed: int) -> None:
    model = RandomModel(vocab_size=11, seed=seed, scale=1.0)
    audience = Bringing(LATER)
    found = joined(search, model, FIRST, audience)
    taken = [batch for step, batch in LATER.items() if step not in audience.batches]
    assert len(taken) > 1, "some came while others were searched"
    assert [found[place] for place in range(len(found))] == alone(search, model, [FIRST, *taken])
    for place, tokens in audience.heard:
        assert all(hypothesis.tokens[: len(tokens)] == tokens for hypothesis in found[place])


def test_a_vocabulary_smaller_than_the_beam_is_searched_alike() -> None:
    search, model = BeamSearch(beam_width=7, n_best=7, max_length=5), RandomModel(vocab_size=5)
    audience = Bringing({2: LATER[2]})
    found = joined(search, model, FIRST, audience)
    assert [found[place] for place in range(5)] == alone(search, model, [FIRST, LATER[2]])


def test_prefixes_are_each_sources_own() -> None:
    search, model = BeamSearch(n_best=3, max_length=13), RandomModel(vocab_size=11, scale=1.0)
    with_prefix = SourceBatch([[3, 3, 2], [5, 2]], [4, 5], [[7, 8, 9], []])
    for first, later in ((FIRST, with_prefix), (with_prefix, FIRST)):
        found = joined(search, model, first, Bringing({2: later}))
        assert [found[place] for place in range(5)] == alone(search, model, [first, later])
        assert sum(results[0].tokens[:3] == (7, 8, 9) for results in found.values()) >= 1


def test_those_that_leave_take_nobody_with_them() -> None:
    search, model = BeamSearch(n_best=2, max_length=13), RandomModel(vocab_size=11, scale=1.0)
    expected = alone(search, model, [FIRST, LATER[2]])
    found = joined(search, model, FIRST, Bringing({2: LATER[2]}, leaving=[0, 4]))
    assert found == {place: expected[place] for place in (1, 2, 3)}


def test_a_search_goes_on_as_long_as_sources_come() -> None:
    """Of the clock, only what is alive counts: neither tokens nor empty places pile up."""
    search, model = BeamSearch(max_length=7), RandomModel(vocab_size=11, scale=1.0)
    audience = Bringing({step: SourceBatch([[3 + step % 5, 4, 2]], [step]) for step in range(1, 200, 3)})
    found = joined(search, model, FIRST, audience)
    assert not audience.batches
    assert len(found) == 3 + 67
    assert max(audience.ages) < 7
    last = SourceBatch([[3 + 199 % 5, 4, 2]], [199])
    assert [found[max(found)]] == alone(search, model, [last])


def test_the_age_is_that_of_the_oldest_that_is_searched() -> None:
    class Fixed(RandomModel):
        """A source that begins with n ends after n tokens."""

        def _random_logits(self, source: tuple[int, ...], prefix: tuple[int, ...]) -> torch.Tensor:
            ends = len(prefix) == source[0] - 1
            return torch.where(torch.arange(self.vocab_size) == self.eos_id, 9.0 if ends else -9.0, 0.0)

    first, later = SourceBatch([[4, 2], [7, 2]], [0, 1]), SourceBatch([[8, 2]], [2])
    audience = Bringing({5: later})
    found = joined(Greedy(max_length=13), Fixed(vocab_size=11), first, audience)
    assert [len(found[place][0].tokens) for place in range(3)] == [4, 7, 8]
    assert audience.ages == [1, 2, 3, 4, 5, 6, 2, 3, 4, 5, 6, 7], "7 steps of the first, 5 after which the last came"


class Closed:
    """A model that others cannot join."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.encode, self.step, self.reorder = model.encode, model.step, model.reorder
        self.eos_id, self.pad_id, self.decoder_start_id = model.eos_id, model.pad_id, model.decoder_start_id


@pytest.mark.parametrize(
    ("search", "kind"), [(Sampling(17, max_length=13), lambda model: model), (SEARCHES[0], Closed)]
)
def test_searches_and_models_that_cannot_take_more_are_not_asked_to(search: Any, kind: Any) -> None:
    audience = Bringing(LATER)
    found = joined(search, kind(RandomModel(vocab_size=11)), FIRST, audience)
    assert (audience.ages, len(found)) == ([], 3)


POSITIONS: list[dict[str, Any]] = [{}, {"positions": "rotary"}, {"positions": "learned"}, LIKE_T5, *PRETRAINED]


@pytest.mark.parametrize("options", POSITIONS)
@pytest.mark.parametrize("search", [Greedy(max_length=11), BeamSearch(n_best=3, max_length=11)])
def test_transformers_take_more_whatever_their_positions(options: dict[str, Any], search: Any) -> None:
    torch.manual_seed(7)
    model = tiny_model(**{"key_size": 4, **options})
    audience = Bringing(LATER)
    found = joined(search, model, FIRST, audience)
    expected = alone(search, model, [FIRST, *(batch for step, batch in LATER.items() if step not in audience.batches)])
    assert len(found) == len(expected) > 6
    for place, hypotheses in enumerate(expected):
        assert [h.tokens for h in found[place]] == [h.tokens for h in hypotheses]
        for one, other in zip(found[place], hypotheses, strict=True):
            assert one.token_log_probs == pytest.approx(other.token_log_probs, abs=1e-5)


def test_the_state_of_a_transformer_stays_as_large_as_what_lives_in_it() -> None:
    torch.manual_seed(7)
    model = tiny_model()
    sizes: list[tuple[int, int]] = []

    class Watched:
        def __getattr__(self, name: str) -> Any:
            return getattr(model, name)

        def step(self, state: Any, token_ids: torch.Tensor) -> Any:
            sizes.append((state.buffers[0].num_slots, state.source[0][0].shape[2]))
            return model.step(state, token_ids)

        def from_side(self, side: int) -> Any:
            return self

        def join(self, state: Any, fresh: Any) -> Any:
            return model.join(state, fresh)

    watched: Any = Watched()
    batches = {step: SourceBatch([[3 + step % 5, 4, 2]], [step]) for step in range(1, 300, 3)}
    batches[31] = SourceBatch([[*range(3, 36), 2]], [0])
    found = joined(BeamSearch(max_length=9), watched, FIRST, Bringing(batches))
    assert len(found) == 3 + 100
    assert max(slots for slots, _ in sizes) < 5 * 9 * 3, "of 300 steps of five hypotheses"
    assert (max(tokens for _, tokens in sizes), sizes[-1][1]) == (34, 3), "a long source goes as it came"


@pytest.mark.parametrize(("first", "later"), [(29, 2), (2, 29)])
def test_what_joins_is_kept_in_the_type_of_what_is_there(first: int, later: int) -> None:
    """Few sentences keep keys and values in float32, many in that of the model's cache."""
    torch.manual_seed(7)
    model = tiny_model().float()
    model.cache_dtype = torch.bfloat16
    sources = [[3 + place % 7, 4 + place % 5, 2] for place in range(first + later)]
    batches = [SourceBatch(part, [0] * len(part)) for part in (sources[:first], sources[first:])]
    search = BeamSearch(n_best=3, max_length=11)
    found = joined(search, model, batches[0], Bringing({2: batches[1]}))
    expected = alone(search, model, batches)
    assert len(found) == first + later
    scores = [[found[place][0].score, hypotheses[0].score] for place, hypotheses in enumerate(expected)]
    assert torch.tensor(scores).diff().abs().max() < 0.1
