"""What a searching process does: batches come in through its connection, and what is found goes back as it is found.

Between two steps of a search it looks whether somebody has left (`Leave`), whose rows then leave with them. It ends
when the other end of its connection is closed, wherever it is.
"""

import logging
import signal
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from multiprocessing.connection import Connection
from typing import Any

from seq2seq.assembly.explaining import explained
from seq2seq.generation.batches import SourceBatch
from seq2seq.generation.engine import TextEngine
from seq2seq.generation.hypothesis import Hypothesis, failure

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
    """A batch to be searched, and the places in it that somebody listens to."""

    batch: SourceBatch
    how: How
    listening: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Leave:
    """Nobody waits for these places any more."""

    number: int
    """Of the batch, counted from 1."""
    places: frozenset[int]


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
class Heard:
    """What all results of a source will begin with."""

    place: int
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class SourceFound:
    """All that there is of a source."""

    place: int
    hypotheses: list[Hypothesis]


@dataclass(frozen=True)
class Explained:
    """The parts of an `Explanation` as token ids, attention and steps; or why there are none."""

    parts: Mapping[str, Any] | None
    error: str | None = None


@dataclass(frozen=True)
class Done:
    """The batch is done; the process waits for the next."""

    row_steps: int = 0
    """Rows of sources times steps that were searched: the work."""


@dataclass
class Waiting:
    """An `Audience` at the other end of a connection."""

    connection: Connection
    number: int
    places: Collection[int]
    size: int
    left: set[int] = field(default_factory=set)
    told: dict[int, int] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)
    row_steps: int = 0

    def gone(self) -> Collection[int]:
        while self.connection.poll():
            message = self.connection.recv()
            assert isinstance(message, Leave), "nothing else comes before a batch is done"
            if message.number == self.number:
                self.left |= message.places
        self.row_steps += self.size - len(self.left | self.done)
        return self.left

    def listening(self) -> Collection[int]:
        return self.places

    def hear(self, place: int, tokens: Sequence[int]) -> None:
        if len(tokens) > self.told.get(place, 0):
            self.told[place] = len(tokens)
            self.connection.send(Heard(place, tuple(tokens)))


def work(connection: Connection, engine: TextEngine) -> None:
    """Search what comes, until nothing can come any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; who has started this ends it
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    number = 0

    @lru_cache(maxsize=MOST_SEARCHES)
    def searcher(how: How) -> Any:
        return speaking(engine, how).searcher(token_scores=how.token_scores, **dict(how.options))

    try:
        _warm_up(engine, searcher(How()))
        connection.send(Ready())
        while True:
            message = connection.recv()
            if isinstance(message, SearchBatch):
                number += 1
                _search(connection, searcher(message.how), message, number)
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


def _search(connection: Connection, searcher: Any, message: SearchBatch, number: int) -> None:
    waiting = Waiting(connection, number, message.listening, len(message.batch.rows))
    try:
        for place, hypotheses in searcher.search_batch(message.batch, waiting):
            waiting.done.add(place)
            connection.send(SourceFound(place, hypotheses))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:  # what the model cannot do, or what no source has to do with
        problem = str(error)
        if not isinstance(error, ValueError):
            logger.exception("A batch could not be searched.")
            problem = f"{type(error).__name__}: {error}"
        for place in range(waiting.size):
            if place not in waiting.done:
                connection.send(SourceFound(place, [failure(problem)]))
    connection.send(Done(waiting.row_steps))


def _explained(engine: TextEngine, message: Explain) -> Explained:
    try:
        return Explained(explained(engine, message.source, message.output, dict(message.how.options)))
    except ValueError as error:
        return Explained(None, str(error))
