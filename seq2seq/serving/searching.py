"""What a searching process does: batches come in through its connection, and what is found goes back as it is found.

Between two steps of a search it looks whether somebody has left (`Leave`), whose rows then leave with them, and whether
more has come that may join what is being searched. It ends when the other end of its connection is closed, wherever it
is.
"""

import logging
import signal
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing.connection import Connection
from typing import Any

from seq2seq.assembly.explaining import explained
from seq2seq.generation.batches import SourceBatch
from seq2seq.generation.engine import TextEngine
from seq2seq.generation.hypothesis import Hypothesis, failure

OLDEST_JOINED = 256
"""Steps of a source after which others do not join it: all that are searched together have as many places for keys and
values as the one that needs most, and attend over all of them."""

MOST_SEARCHES = 32
"""Searches by options and languages that are kept."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class How:
    """In which languages and by which search options sources are searched; those with the same are searched together.

    Args:
        options: pairs of names and values, sorted.
    """

    source_language: str | None = None
    target_language: str | None = None
    options: tuple[tuple[str, Any], ...] = ()
    token_scores: bool = False


@dataclass(frozen=True)
class SearchBatch:
    """Sources to be searched: by themselves, or with those that are being searched in the same way."""

    batch: SourceBatch
    how: How
    ids: list[int]
    """By which each source is known here and there; none ever stands for another source of the same process."""
    listening: frozenset[int] = frozenset()
    """Of which sources somebody wants to hear while they are searched, by id."""

    def without(self, ids: Collection[int]) -> "SearchBatch":
        kept = [number for number, one in enumerate(self.ids) if one not in ids]
        return replace(self, batch=self.batch.of(kept), ids=[self.ids[number] for number in kept])


@dataclass(frozen=True)
class Leave:
    """Nobody waits for these sources any more."""

    ids: frozenset[int]


@dataclass(frozen=True)
class Explain:
    """A source and the tokens of an output, or None for its best, to be explained."""

    source: list[int]
    output: list[int] | None
    how: How


@dataclass(frozen=True)
class Ready:
    """The process has decoded a sentence."""


@dataclass(frozen=True)
class Open:
    """Whether more sources may join those that are being searched; until it is said, they may not."""

    is_open: bool


@dataclass(frozen=True)
class Heard:
    """What all results of a source will begin with."""

    id: int
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class SourceFound:
    """All that there is of a source."""

    id: int
    hypotheses: list[Hypothesis]


@dataclass(frozen=True)
class Explained:
    """The parts of an `Explanation` as token ids, attention and steps; or why there are none."""

    parts: Mapping[str, Any] | None
    error: str | None = None


@dataclass(frozen=True)
class Done:
    """Nothing is being searched any more."""

    num_batches: int
    """That had been taken until then, of all that ever came; if more were sent, they are next."""
    row_steps: int = 0
    """Rows of sources times steps that were searched: the work."""


class Waiting:
    """An `Audience` at the other end of a connection. Places are those of a search, ids those of the connection.

    Args:
        pending: what has come and is to be searched; what comes while something is searched stands behind it.
    """

    def __init__(self, connection: Connection, pending: list[SearchBatch]) -> None:
        self._connection = connection
        self._pending = pending
        self._gone: set[int] = set()
        self._listening: set[int] = set()
        self._told: dict[int, int] = {}
        self._num_places = 0
        self._is_open = False
        self.num_batches = 0
        self.row_steps = 0
        self.ids: dict[int, int] = {}
        """Of each place whose result is still to come."""

    def take(self) -> SourceBatch:
        """Return all that is pending; its sources get places."""
        for message in self._pending:
            for one in message.ids:
                if one in message.listening:
                    self._listening.add(self._num_places)
                self.ids[self._num_places] = one
                self._num_places += 1
        taken = SourceBatch.joined([message.batch for message in self._pending])
        self.num_batches += len(self._pending)
        self._pending.clear()
        return taken

    def found(self, place: int, hypotheses: list[Hypothesis]) -> None:
        """Send the result of a source."""
        self._told.pop(place, None)
        self._listening.discard(place)
        self._connection.send(SourceFound(self.ids.pop(place), hypotheses))

    def gone(self) -> Collection[int]:
        while self._connection.poll():
            message = self._connection.recv()
            if isinstance(message, Leave):
                self._leave(message.ids)
            else:
                assert isinstance(message, SearchBatch), "nothing else comes before all is done"
                self._pending.append(message)
        self.row_steps += len(self.ids)
        return self._gone

    def _leave(self, ids: frozenset[int]) -> None:
        left = {place for place, one in self.ids.items() if one in ids}
        for place in left:
            del self.ids[place]
        self._gone |= left
        self._pending[:] = [message.without(ids) for message in self._pending]

    def listening(self) -> Collection[int]:
        return self._listening

    def hear(self, place: int, tokens: Sequence[int]) -> None:
        if len(tokens) > self._told.get(place, 0):
            self._told[place] = len(tokens)
            self._connection.send(Heard(self.ids[place], tuple(tokens)))

    def joining(self, age: int) -> SourceBatch | None:
        if self._is_open != (age <= OLDEST_JOINED):
            self._is_open = not self._is_open
            self._connection.send(Open(self._is_open))
        more = self.take() if self._pending else None
        return more if more is not None and more.rows else None


def work(connection: Connection, engine: TextEngine) -> None:
    """Search what comes, until nothing can come any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; who has started this ends it
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pending: list[SearchBatch] = []
    num_batches = 0

    @lru_cache(maxsize=MOST_SEARCHES)
    def searcher(how: How) -> Any:
        return speaking(engine, how).searcher(token_scores=how.token_scores, **dict(how.options))

    try:
        _warm_up(engine, searcher(How()))
        connection.send(Ready())
        while True:
            message = pending.pop(0) if pending else connection.recv()
            if isinstance(message, SearchBatch):
                waiting = Waiting(connection, pending)
                pending.insert(0, message)
                _search(waiting, searcher(message.how))
                num_batches += waiting.num_batches
                connection.send(Done(num_batches, waiting.row_steps))
            elif isinstance(message, Explain):
                connection.send(_explained(speaking(engine, message.how), message))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def speaking(engine: TextEngine, how: How) -> TextEngine:
    """Return an engine in the languages that are said."""
    if how.source_language is None and how.target_language is None:
        return engine
    return engine.speaking(how.source_language, how.target_language)


def _warm_up(engine: TextEngine, searcher: Any) -> None:
    """Decode a sentence, so that the first who asks does not wait for what is made once; raise if it fails."""
    [source] = engine.tokenizer.encode_sources([engine.source_prefix + "a"])
    prefixes = engine.tokenizer.forced_starts(None, 1)
    for _, hypotheses in searcher.search_batch(SourceBatch([source], [0], prefixes)):
        if hypotheses[0].error is not None:
            logger.error("The first sentence could not be decoded: %s", hypotheses[0].error)


def _search(waiting: Waiting, searcher: Any) -> None:
    batch = waiting.take()
    if not batch.rows:
        return
    try:
        for place, hypotheses in searcher.search_batch(batch, waiting):
            waiting.found(place, hypotheses)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:  # what the model cannot do, or what no source has to do with
        problem = str(error)
        if not isinstance(error, ValueError):
            logger.exception("A batch could not be searched.")
            problem = f"{type(error).__name__}: {error}"
        for place in list(waiting.ids):
            waiting.found(place, [failure(problem)])


def _explained(engine: TextEngine, message: Explain) -> Explained:
    try:
        return Explained(explained(engine, message.source, message.output, dict(message.how.options)))
    except ValueError as error:
        return Explained(None, str(error))
