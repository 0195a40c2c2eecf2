"""The loop of all searches: step the model, advance the hypotheses, let finished sentences leave, reorder.

An `Algorithm` is a search's mathematics: what a batch begins with, what becomes of it by the logits of a step, what the
model is fed next, what the results are. `running` is the loop around it, for all of them, and yields a source's
results as soon as it has them. Where an algorithm and a model can, more sources join those that are being searched
(iteration-level scheduling; Yu et al. 2022, Orca, section 3). A sentence whose numbers cannot be ranked is a failure of
its own.

What is to come has its place here:

- Drafts that are verified: `feed` shows several tokens of each hypothesis, `advance` sees the logits behind each.
- Lexical constraints: one more part of a state beside `constraints`; `advance` deals places by what is still to come.
- Recorded graphs: `reorder`, `step` and `advance` are all there is between two calls of `enough_done`, where the loop
  waits for the device; steps of the same shapes can be replayed there, and the question asked less often.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor

from seq2seq.generation.batches import SourceBatch
from seq2seq.generation.hypothesis import Hypothesis, checked
from seq2seq.models.interface import SOURCE_PADDING, Joinable, PairedSeq2Seq, Seq2Seq, State

LEAVING_SHARE = 8
"""Finished sentences leave once they are one in this many: dropping them copies the model's state of all others."""


@dataclass(frozen=True)
class Sources:
    """B sentences to be searched; as in `search.Search`."""

    input_ids: Tensor
    attention_mask: Tensor
    prefixes: Sequence[Sequence[int]] | None = None
    rows: Sequence[int] | None = None

    @classmethod
    def of(cls, batch: SourceBatch, device: torch.device | str) -> "Sources":
        """Return the sources of a batch as tensors on a device."""
        input_ids, attention_mask = pad_sources(batch.sources)
        return cls(input_ids.to(device), attention_mask.to(device), batch.prefixes, batch.rows)


def pad_sources(sources: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Return input_ids, int64 [B, S], and attention_mask, bool [B, S]."""
    longest = max(map(len, sources))
    input_ids = torch.tensor([[*source, *[SOURCE_PADDING] * (longest - len(source))] for source in sources])
    lengths = torch.tensor([len(source) for source in sources])
    return input_ids, torch.arange(longest) < lengths.unsqueeze(1)


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
    """Those who wait for the results of a batch, may leave before they are there, and may bring more."""

    def gone(self) -> Collection[int]:
        """Return the places in the batch of sources that nobody waits for any more; asked after each step."""

    def listening(self) -> Collection[int]:
        """Return the places of sources of which somebody wants to hear while they are searched."""

    def hear(self, place: int, tokens: Sequence[int]) -> None:
        """Hear of the tokens that the results of a source will begin with, whatever comes."""

    def joining(self, age: int) -> SourceBatch | None:
        """Return sources that join those that are being searched; their places are the next ones.

        Asked before each step but the first, where the search and its model can take more at all.

        Args:
            age: steps that the oldest of those have made.
        """


class Algorithm(ABC, Generic[StateT]):
    """A search without its loop."""

    @property
    def can_join(self) -> bool:
        """Whether it has `join`, and its states `length` and `age`: steps so far, and since the oldest came."""
        return False

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

    def join(self, state: StateT, fresh: StateT) -> StateT:
        """Return the state of these sentences, and behind them of others that begin now, in as many hypotheses.

        Args:
            fresh: as it is in `start`, which must have begun with one hypothesis a sentence.
        """
        raise NotImplementedError

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
    searched = _Searched(algorithm, model, sources, observer)
    while searched.positions:
        searched.reorder()
        if audience is not None and searched.takes_more and (more := audience.joining(searched.state.age)):
            searched.join(more)
        searched.step()
        unwanted = frozenset() if audience is None else frozenset(audience.gone())
        leave_now = enough_done(searched.state.done) or any(place in unwanted for place in searched.positions)
        if leave_now or audience is not None:
            yield from searched.results(unwanted)
        if leave_now:
            searched.leave(unwanted)
        if audience is not None:
            searched.tell(audience)


class _Searched:
    """The sentences of a search between two steps: its state and the model's, and what stands where."""

    def __init__(self, algorithm: Algorithm[Any], model: Seq2Seq, sources: Sources, observer: Observer | None) -> None:
        self.algorithm, self.observer, self.device = algorithm, observer, sources.input_ids.device
        self.model: Any = algorithm.stepped(model)
        start = algorithm.start(self.model, sources)
        self.state, self.parents, self.sentences = start.state, start.parents, start.sentences
        self.model_state = self.model.encode(sources.input_ids, sources.attention_mask)
        self.num_sources = len(sources.input_ids)
        self.positions = list(range(self.num_sources)) if self.sentences is None else self.sentences.tolist()
        """The source of each sentence, by its place."""
        self.reported = [False] * len(self.positions)
        """Whether the results of each sentence have been asked for."""
        self.gathered = _Gathered(algorithm.n_best, Counter(self.positions))
        self.can_join = algorithm.can_join and isinstance(self.model, Joinable)

    @property
    def takes_more(self) -> bool:
        """Whether others may join now; before the first step, sentences have fewer hypotheses than behind it."""
        return self.can_join and self.state.length > 0

    def reorder(self) -> None:
        """Let the model's state follow what the last step has chosen, and who has left."""
        if self.parents is None and self.sentences is None:
            return
        if self.observer is not None and self.parents is not None:
            self.observer.chosen(self.parents, self.model_state)
        self.model_state = self.model.reorder(self.model_state, self.parents, self.sentences)
        self.parents = self.sentences = None

    def join(self, batch: SourceBatch) -> None:
        """Let sources join that have the next places."""
        sources = Sources.of(batch, self.device)
        fresh = self.model.encode(sources.input_ids, sources.attention_mask)
        self.model_state = self.model.join(self.model_state, fresh)
        self.state = self.algorithm.join(self.state, self.algorithm.start(self.model, sources).state)
        places = range(self.num_sources, self.num_sources + len(batch.rows))
        self.num_sources += len(places)
        self.gathered.expect(places)
        self.positions = [*self.positions, *places]
        self.reported = [*self.reported, *(False for _ in places)]

    def step(self) -> None:
        fed = self.algorithm.feed(self.state)
        if self.observer is not None:
            self.observer.fed(fed[0], self.model_state)
        logits, self.model_state = self.model.step(self.model_state, *fed)
        self.state, self.parents = self.algorithm.advance(logits, self.state)

    def results(self, unwanted: Collection[int]) -> Iterator[tuple[int, list[Hypothesis]]]:
        """Yield place and hypotheses of each source that is done since this was last asked for."""
        done = [index for index in self.state.done.nonzero().squeeze(1).tolist() if not self.reported[index]]
        indices = torch.tensor(done, dtype=torch.long, device=self.device)
        for index, hypotheses in zip(done, self.algorithm.results(self.state, indices) if done else [], strict=True):
            self.reported[index] = True
            if self.positions[index] not in unwanted:
                yield from self.gathered.add(self.positions[index], hypotheses)

    def leave(self, unwanted: Collection[int]) -> None:
        """Drop the sentences whose results are known, and those of sources that nobody waits for."""
        pairs = zip(self.positions, self.reported, strict=True)
        staying = [i for i, (place, reported) in enumerate(pairs) if not reported and place not in unwanted]
        if staying:
            self.sentences = torch.tensor(staying, device=self.device)
            self.state = self.state.select(self.sentences)
            self.parents = None if self.parents is None else self.parents[self.sentences]
        self.positions, self.reported = [self.positions[index] for index in staying], [False] * len(staying)

    def tell(self, audience: Audience) -> None:
        """Let those who listen hear what the results of their sources begin with."""
        listening = audience.listening()
        for index, place in enumerate(self.positions) if listening else ():
            if place in listening and not self.reported[index] and self.positions.count(place) == 1:
                audience.hear(place, self.algorithm.agreed(self.state, index))


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

    def expect(self, positions: Iterable[int]) -> None:
        """Let there be one more sentence of each of these sources."""
        self.num_missing.update(positions)

    def add(self, position: int, hypotheses: list[Hypothesis]) -> Iterator[tuple[int, list[Hypothesis]]]:
        """Yield the source's results if these hypotheses are the last of it."""
        if earlier := self.found.pop(position, None):
            hypotheses = sorted([*earlier, *hypotheses], key=lambda h: -h.normalized_score)
        self.num_missing[position] -= 1
        if self.num_missing[position]:
            self.found[position] = hypotheses
        else:
            del self.num_missing[position]
            yield position, checked(hypotheses)[: self.n_best]
