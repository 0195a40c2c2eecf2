"""From the hypotheses of a text's pieces to one output, at once or as they become certain."""

import asyncio
import math
from dataclasses import dataclass, replace
from typing import Any

from seq2seq.generation.engine import TextEngine
from seq2seq.generation.hypothesis import Hypothesis
from seq2seq.generation.output import EMPTY_HYPOTHESIS, TextHypothesis
from seq2seq.serving.alarms import alarms_of
from seq2seq.serving.long_text import Piece, joined_pieces
from seq2seq.serving.requests import Output
from seq2seq.serving.scheduler import Job

REPLACEMENT = "\ufffd"
"""What stands for bytes that are no character yet."""


@dataclass(frozen=True)
class Task:
    """One text on its way: its pieces, and the jobs of those that are not empty."""

    pieces: list[Piece]
    jobs: list[Job | None]

    @property
    def source_tokens(self) -> int:
        return sum(job.tokens - 1 for job in self.jobs if job is not None)


def output_of(task: Task, engine: TextEngine, *, is_translation: bool) -> Output:
    """Return what a text whose jobs are done has become; RequestRefused where a job was."""
    tokenizer = engine.tokenizer
    found = [[EMPTY_HYPOTHESIS] if job is None else _texts(job.result.result(), tokenizer) for job in task.jobs]
    best = [hypotheses[0] for hypotheses in found]
    failed = next((hypothesis for hypothesis in best if hypothesis.error is not None), None)
    if failed is not None:
        return Output((failed,), task.source_tokens, len(task.pieces))
    number = max(map(len, found))
    ranked = [
        _joined(task.pieces, [hypotheses[min(rank, len(hypotheses) - 1)] for hypotheses in found])
        for rank in range(number)
    ]
    source = [token for job in task.jobs if job is not None for token in job.source[:-1]]
    alarms = alarms_of(
        source,
        ranked[0].token_ids,
        is_finished=ranked[0].finished,
        is_translation=is_translation,
        is_cut=any(piece.is_cut for piece in task.pieces),
    )
    return Output(tuple(ranked), task.source_tokens, len(task.pieces), alarms)


def _texts(hypotheses: list[Hypothesis], tokenizer: Any) -> list[TextHypothesis]:
    return [TextHypothesis.create(hypothesis, tokenizer) for hypothesis in hypotheses]


def _joined(pieces: list[Piece], parts: list[TextHypothesis]) -> TextHypothesis:
    """Return the hypotheses of a text's pieces as one of the text."""
    text = joined_pieces(pieces, [part.text for part in parts])
    if len(parts) == 1:
        return replace(parts[0], text=text)
    tokens = sum(len(part.tokens) for part in parts)
    weighted = math.fsum(part.normalized_score * len(part.tokens) for part in parts)
    return TextHypothesis(
        text,
        tuple(token for part in parts for token in part.tokens),
        tuple(value for part in parts for value in part.token_log_probs),
        math.fsum(part.score for part in parts),
        weighted / tokens if tokens else 0.0,
        all(part.finished for part in parts),
        parts[0].direction,
        token_ids=tuple(token for part in parts for token in part.token_ids),
    )


class Telling:
    """What of a text can be told already: the pieces that are done, and what the next one will begin with."""

    def __init__(self, task: Task, engine: TextEngine) -> None:
        self.task = task
        self._decode = engine.tokenizer.decode
        self._certain: dict[int, str] = {}
        self._told = ""

    def listen(self, news: asyncio.Event) -> None:
        """Have an event set whenever there is more."""
        for place, job in enumerate(self.task.jobs):
            if job is None:
                continue

            def hear(tokens: tuple[int, ...], place: int = place) -> None:
                self._certain[place] = self._certain_text(list(tokens))
                news.set()

            job.hear = hear
            job.result.add_done_callback(lambda _: news.set())

    def _certain_text(self, tokens: list[int]) -> str:
        """Return the text that stays whatever tokens follow: that which the last token does not change."""
        before, now = self._decode(tokens[:-1]), self._decode(tokens)
        same = next(
            (i for i, (a, b) in enumerate(zip(before, now, strict=False)) if a != b), min(len(before), len(now))
        )
        return now[:same].rstrip(REPLACEMENT)

    def is_done(self) -> bool:
        """Whether there is nothing more to come."""
        return all(job is None or job.result.done() for job in self.task.jobs)

    def new_text(self) -> str:
        """Return what can be told now and was not yet. Of a search that fails nothing more is told."""
        found = ""
        for place, (piece, job) in enumerate(zip(self.task.pieces, self.task.jobs, strict=True)):
            found += piece.before
            if job is None:
                found += piece.after
                continue
            if not job.result.done():
                found += self._certain.get(place, "")
                break
            if job.result.cancelled() or job.result.exception() is not None or job.result.result()[0].error is not None:
                break
            found += self._decode(list(job.result.result()[0].tokens)) + piece.after
        new = found[len(self._told) :] if found.startswith(self._told) else ""
        self._told += new
        return new
