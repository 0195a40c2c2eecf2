"""The loop of all searches: step the model, advance the hypotheses, let finished sentences leave, reorder.

An `Algorithm` is a search's mathematics: what a batch begins with, what becomes of it by the logits of a step, what the
model is fed next, what the results are. `running` is the loop around it, for all of them, and yields a source's
results as soon as it has them. A sentence whose numbers cannot be ranked is a failure of its own.

What is to come has its place here:

- Sentences that enter where finished ones leave, by joining states, the opposite of `select`: tried, and of no use on
  CPUs (decision 38).
- Drafts that are verified: `feed` shows several tokens of each hypothesis, `advance` sees the logits behind each.
- Lexical constraints: one more part of a state beside `constraints`; `advance` deals places by what is still to come.
- Recorded graphs: `reorder`, `step` and `advance` are all there is between two calls of `enough_done`, where the loop
  waits for the device; steps of the same shapes can be replayed there, and the question asked less often.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor

from seq2seq.generation.hypothesis import Hypothesis, checked
from seq2seq.models.interface import PairedSeq2Seq, Seq2Seq, State

LEAVING_SHARE = 8
"""Finished sentences leave once they are one in this many: dropping them copies the model's state of all others."""


@dataclass(frozen=True)
class Sources:
    """B sentences to be searched; as in `search.Search`."""

    input_ids: Tensor
    attention_mask: Tensor
    prefixes: Sequence[Sequence[int]] | None = None
    rows: Sequence[int] | None = None


class SearchState(Protocol):
    """The hypotheses of B sentences between two steps; it is replaced, never changed in place."""

    @property
    def done(self) -> Tensor:
        """bool [B], whether a sentence's search is over; it must not change its results any more."""

    def select(self, sentences: Tensor) -> Self:
        """Return the state of some sentences, given by their indices, int64 [B']."""


StateT = TypeVar("StateT", bound=SearchState)


@dataclass(frozen=True)
class Start(Generic[StateT]):
    """What a search begins with, and how the model's state, of one hypothesis a sentence, becomes one for it."""

    state: StateT
    parents: Tensor | None = None
    """As `reorder` takes them; None = one hypothesis a sentence is enough."""
    sentences: Tensor | None = None
    """The source of each sentence, ascending; one that stands several times has its hypotheses in several sentences.
    None = a sentence for each."""


class Observer(Protocol):
    """Somebody who watches a search."""

    def fed(self, token_ids: Tensor, model_state: State) -> None:
        """See what the model is fed, int64 [B, W] or [B, 2, W], in this state."""

    def chosen(self, parents: Tensor, model_state: State) -> None:
        """See which hypotheses of this state live on, int64 [B, W] or [B, 2, W]."""


class Audience(Protocol):
    """Those who wait for the results of a batch, and may leave before they are there."""

    def gone(self) -> Collection[int]:
        """Return the places in the batch of sources that nobody waits for any more; asked after each step."""

    def listening(self) -> Collection[int]:
        """Return the places of sources of which somebody wants to hear while they are searched."""

    def hear(self, place: int, tokens: Sequence[int]) -> None:
        """Hear of the tokens that the results of a source will begin with, whatever comes."""


class Algorithm(ABC, Generic[StateT]):
    """A search without its loop."""

    @property
    @abstractmethod
    def width(self) -> int:
        """See `search.Search.width`."""

    @property
    @abstractmethod
    def n_best(self) -> int:
        """Most hypotheses that are returned."""

    def stepped(self, model: Seq2Seq) -> Seq2Seq | PairedSeq2Seq:
        """Return the model as this search steps it.

        Raises:
            ValueError: it was not trained for that.
        """
        return model

    @abstractmethod
    def start(self, model: Any, sources: Sources) -> Start[StateT]:
        """Return what the search of some sources begins with.

        Args:
            model: as `stepped` returns it.
        """

    @abstractmethod
    def feed(self, state: StateT) -> tuple[Tensor, ...]:
        """Return what the model's `step` is given besides its state, the tokens first."""

    @abstractmethod
    def advance(self, logits: Tensor, state: StateT) -> tuple[StateT, Tensor | None]:
        """Return the state one step later, and which hypothesis each new one continues, for `reorder`.

        Args:
            logits: of the next tokens, as the model returns them; they may be overwritten.
        """

    @abstractmethod
    def results(self, state: StateT, sentences: Tensor) -> list[list[Hypothesis]]:
        """Return all hypotheses, best first, of sentences that are done, given by their indices, int64 [B'].

        A `normalized_score` that is no number, of any hypothesis and at any place, makes the sentence a failure.
        """

    def agreed(self, state: StateT, sentence: int) -> list[int]:
        """Return the tokens that all results of a sentence will begin with whatever comes, in the order of reading.

        Where a search cannot tell before its end there are none.
        """
        return []

    def search(
        self,
        model: Seq2Seq,
        input_ids: Tensor,
        attention_mask: Tensor,
        prefixes: Sequence[Sequence[int]] | None = None,
        rows: Sequence[int] | None = None,
    ) -> list[list[Hypothesis]]:
        """See `search.Search`.

        Raises:
            ValueError: the model was not trained for this search, or there are prefixes that it cannot take.
        """
        found = dict(self.found(model, Sources(input_ids, attention_mask, prefixes, rows)))
        return [found[position] for position in range(len(input_ids))]

    def found(
        self, model: Seq2Seq, sources: Sources, audience: Audience | None = None
    ) -> Iterator[tuple[int, list[Hypothesis]]]:
        """See `running`."""
        return running(self, model, sources, audience=audience)


@torch.inference_mode()
def running(
    algorithm: Algorithm[Any],
    model: Seq2Seq,
    sources: Sources,
    observer: Observer | None = None,
    audience: Audience | None = None,
) -> Iterator[tuple[int, list[Hypothesis]]]:
    """Yield each source's place in the batch and its hypotheses, best first, in the order in which they are done.

    With an audience, a source's are there as soon as it is done, and those of a source that nobody waits for never.

    Raises:
        ValueError: see `Algorithm.search`.
    """
    stepped: Any = algorithm.stepped(model)
    start = algorithm.start(stepped, sources)
    state, parents, sentences = start.state, start.parents, start.sentences
    model_state = stepped.encode(sources.input_ids, sources.attention_mask)
    positions = list(range(len(sources.input_ids))) if sentences is None else sentences.tolist()
    gathered = _Gathered(algorithm.n_best, Counter(positions))
    reported = [False] * len(positions)
    while True:
        if parents is not None or sentences is not None:
            if observer is not None and parents is not None:
                observer.chosen(parents, model_state)
            model_state = stepped.reorder(model_state, parents, sentences)
        fed = algorithm.feed(state)
        if observer is not None:
            observer.fed(fed[0], model_state)
        logits, model_state = stepped.step(model_state, *fed)
        state, parents = algorithm.advance(logits, state)

        sentences, unwanted = None, frozenset() if audience is None else frozenset(audience.gone())
        leave_now = enough_done(state.done) or any(position in unwanted for position in positions)
        if leave_now or audience is not None:
            done = [index for index in state.done.nonzero().squeeze(1).tolist() if not reported[index]]
            leaving = torch.tensor(done, dtype=torch.long, device=state.done.device)
            for index, hypotheses in zip(done, algorithm.results(state, leaving) if done else [], strict=True):
                reported[index] = True
                if positions[index] not in unwanted:
                    yield from gathered.add(positions[index], hypotheses)
        if leave_now:
            staying = [i for i, position in enumerate(positions) if not reported[i] and position not in unwanted]
            if not staying:
                return
            sentences = torch.tensor(staying, device=state.done.device)
            state, parents = state.select(sentences), None if parents is None else parents[sentences]
            positions, reported = [positions[index] for index in staying], [False] * len(staying)
        if audience is not None:
            _tell(audience, algorithm, state, positions, reported)


def _tell(
    audience: Audience, algorithm: Algorithm[Any], state: Any, positions: list[int], reported: list[bool]
) -> None:
    """Let those who listen hear what the results of their sources begin with."""
    listening = audience.listening()
    for index, position in enumerate(positions) if listening else ():
        if position in listening and not reported[index] and positions.count(position) == 1:
            audience.hear(position, algorithm.agreed(state, index))


def enough_done(done: Tensor) -> bool:
    """Return whether so many sentences are done, bool [B], that they should leave. Waits for the device."""
    return int(done.sum()) * LEAVING_SHARE >= len(done)


class _Gathered:
    """The hypotheses of sources of which some sentences have still to come.

    Args:
        num_missing: by the source's place in the batch.
    """

    def __init__(self, n_best: int, num_missing: Counter[int]) -> None:
        self.n_best = n_best
        self.num_missing = num_missing
        self.found: dict[int, list[Hypothesis]] = {}

    def add(self, position: int, hypotheses: list[Hypothesis]) -> Iterator[tuple[int, list[Hypothesis]]]:
        """Yield the source's results if these hypotheses are the last of it."""
        if earlier := self.found.pop(position, None):
            hypotheses = sorted([*earlier, *hypotheses], key=lambda h: -h.normalized_score)
        self.num_missing[position] -= 1
        if self.num_missing[position]:
            self.found[position] = hypotheses
        else:
            yield position, checked(hypotheses)[: self.n_best]
