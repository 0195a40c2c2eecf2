"""How likely the targets of given pairs are, for filtering and ranking: one score per pair, and what it is made of.

A generator, another for the opposite direction where there is one, and pairs of texts enter; for each pair leaves a
`PairScore`, in order. Several processes share the work where that is asked for. With a model of each direction a pair
is scored as in dual conditional cross-entropy filtering (Junczys-Dowmunt 2018, equation 2), as a score, so that higher
is better: minus the disagreement of the two and minus the mean of both cross-entropies.
"""

import math
import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch

from seq2seq.assembly.generator import TextGenerator
from seq2seq.data.word_alignment import pharaoh
from seq2seq.generation.output import TextHypothesis

Normalization = Literal["token", "none", "character"]
NORMALIZATIONS: tuple[Normalization, ...] = ("token", "none", "character")
Pair = tuple[str, str]
IMPOSSIBLE = "The model gives this target a probability of 0."
AHEAD = 2
"""Pools that wait for each process."""


@dataclass(frozen=True)
class PairScore:
    """What models say of one pair; natural logarithms, higher is better."""

    score: float | None = None
    """What pairs are ranked by: `log_prob` by the normalisation, or of two directions the dual conditional one; None
    where there is an error."""
    log_prob: float | None = None
    """Of the target, the sum over its tokens and the end of sentence."""
    num_tokens: int | None = None
    """Of the target, the end of sentence included."""
    perplexity: float | None = None
    """Per token."""
    tokens: tuple[str, ...] = ()
    token_log_probs: tuple[float, ...] = ()
    reverse_log_prob: float | None = None
    """Of the source for the target, by the model of the opposite direction."""
    reverse_num_tokens: int | None = None
    alignment: str | None = None
    """Which words belong together, as Pharaoh writes it."""
    error: str | None = None
    """Why there is no score."""

    def fields(self) -> dict[str, Any]:
        """Return everything that there is, by name."""
        return {name: value for name, value in asdict(self).items() if value not in (None, ())}


@dataclass(frozen=True)
class PairScorer:
    """Scores pairs.

    Raises:
        ValueError: options that do not go together.
    """

    generator: TextGenerator
    reverse: TextGenerator | None = None
    """Generates sources from targets."""
    normalization: Normalization = "token"
    """What a log-probability is divided by: tokens, nothing, or characters of the text and its end."""
    alignment: Literal["words", "tokens"] | None = None
    layer: int | None = None
    batch_tokens: int | None = None
    max_source_tokens: int | None = None
    generation_order: str = "auto"

    def __post_init__(self) -> None:
        if self.reverse is not None and self.normalization == "none":
            raise ValueError("Two directions are compared per token or character; the normalisation cannot be `none`.")

    def __call__(self, pairs: Sequence[Pair], first_row: int = 0) -> list[PairScore]:
        """Return the score of each pair."""
        if not pairs:
            return []
        sources, targets = [source for source, _ in pairs], [target for _, target in pairs]
        found = self._said(self.generator, sources, targets, first_row)
        back = self._said(self.reverse, targets, sources, first_row) if self.reverse else [None] * len(pairs)
        links: Sequence[str | None] = [None] * len(pairs)
        if self.alignment is not None:
            aligned = self.generator.align(
                *(sources, targets, self.max_source_tokens),
                layer=self.layer,
                unit=self.alignment,
                batch_tokens=self.batch_tokens,
            )
            links = [pharaoh(entry) for entry in aligned]
        rows = zip(pairs, found, back, links, strict=True)
        return [self._score(pair, forward, reverse, link) for pair, forward, reverse, link in rows]

    def _said(
        self, generator: TextGenerator, sources: list[str], targets: list[str], first_row: int
    ) -> list[TextHypothesis]:
        order: dict[str, Any] = {} if self.generation_order == "auto" else {"generation_order": self.generation_order}
        return generator.score_targets(
            *(sources, targets, self.max_source_tokens), batch_tokens=self.batch_tokens, first_row=first_row, **order
        )

    def _score(
        self, pair: Pair, forward: TextHypothesis, reverse: TextHypothesis | None, link: str | None
    ) -> PairScore:
        for hypothesis in filter(None, (forward, reverse)):
            if hypothesis.error is not None or math.isinf(hypothesis.score):
                return PairScore(error=hypothesis.error or IMPOSSIBLE)
        score = self._normalized(forward, pair[1])
        if reverse is not None:
            score = dual_score(score, self._normalized(reverse, pair[0]))
        return PairScore(
            score=score,
            log_prob=forward.score,
            num_tokens=len(forward.tokens),
            perplexity=perplexity(forward.score, len(forward.tokens)),
            tokens=forward.tokens,
            token_log_probs=forward.token_log_probs,
            reverse_log_prob=reverse.score if reverse else None,
            reverse_num_tokens=len(reverse.tokens) if reverse else None,
            alignment=link,
        )

    def _normalized(self, hypothesis: TextHypothesis, text: str) -> float:
        number = {"token": len(hypothesis.tokens), "none": 1, "character": len(text) + 1}[self.normalization]
        return hypothesis.score / number


def dual_score(forward: float, reverse: float) -> float:
    """Return the score of two normalised log-probabilities of the same pair; its exponential is the paper's weight."""
    return -abs(forward - reverse) + (forward + reverse) / 2


def perplexity(log_prob: float, num_tokens: int) -> float:
    """Return the exponential of the cross-entropy per token, finite."""
    return math.exp(min(-log_prob / num_tokens, 700.0))


def scored_pools(
    scorer: PairScorer, pools: Iterable[Sequence[Pair]], num_processes: int = 1
) -> Iterator[list[PairScore]]:
    """Yield the scores of each pool of pairs, in order; few pools are read ahead.

    Args:
        num_processes: forked ones of one thread each, which share the weights; 1 scores here. To be called before this
            process computes by several threads, which would not survive the fork.

    Raises:
        ChildProcessError: a process ended before its work.
    """
    rows = 0
    if num_processes == 1:
        for pool in pools:
            yield scorer(pool, rows)
            rows += len(pool)
        return
    context = multiprocessing.get_context("fork")
    executor = ProcessPoolExecutor(num_processes, context, _start, (scorer,))
    waiting: deque[Any] = deque()
    try:
        for pool in pools:
            waiting.append(executor.submit(_score_pool, pool, rows))
            rows += len(pool)
            if len(waiting) >= AHEAD * num_processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise ChildProcessError(
            "A process that scores has ended before its work, most likely for want of memory; lower `--batch-tokens` "
            "or `--processes`."
        ) from None
    finally:
        executor.shutdown(cancel_futures=True)


_of_process: list[PairScorer] = []
"""In a process that scores: by what."""


def _start(scorer: PairScorer) -> None:
    torch.set_num_threads(1)
    _of_process[:] = [scorer]


def _score_pool(pool: Sequence[Pair], first_row: int) -> list[PairScore]:
    return _of_process[0](pool, first_row)
