"""What the model's texts look like as a whole, and what wider beams make of them.

Repetition, length and endings say how far a model's own text is from the references', whatever it means. The
curve over beam widths says whether what the model finds likelier is better: a wider beam finds texts with a higher
score, which shows what the narrower search had missed, and where the metric falls by it, the model is at fault and not
the search.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from seq2seq.assembly.search import beam_search_like
from seq2seq.diagnosis.subject import Subject
from seq2seq.generation.hypothesis import Hypothesis
from seq2seq.metrics import Metric, sentence_scores
from seq2seq.metrics.repetition import adjacent_repeats, repeated_ngrams

ROUNDING = 1e-5
"""Scores per token that are closer than this are equal: in other batches the same sum is rounded otherwise."""


@dataclass(frozen=True)
class Outputs:
    """Shares, 0 to 1, of texts of one kind; repetition is within segments, as in `decoding/repetition.py`."""

    length_ratio: float
    """Tokens by those of the references, ends of sentence left out; no share."""
    empty: float
    """Of texts without a word."""
    unfinished: float
    """Of texts that reached the length limit without an end."""
    repeated_token_4grams: float
    repeated_word_4grams: float
    adjacent_tokens: float
    """Of tokens that equal the one before."""
    adjacent_words: float


@dataclass(frozen=True)
class BeamPoint:
    """What a beam width finds."""

    beam_width: int
    scores: dict[str, float]
    """Corpus scores by metric."""
    model_score: float
    """Mean of what ranks hypotheses: log-probability by length penalty, nats."""
    outputs: Outputs
    higher_score: float | None = None
    """Share of pairs for which the width before had a search error: this one finds a higher model score."""
    higher_but_worse: float | None = None
    """Share of pairs for which the score is higher and the sentence's first metric worse: the model's errors."""


def outputs(subject: Subject, sequences: Sequence[Sequence[int]]) -> Outputs:
    """Return what texts look like, given as one token sequence, in the order of generation, for each pair."""
    tokens = [subject.words(ids) for ids in sequences]
    words = [subject.text(ids).split() for ids in sequences]
    return Outputs(
        length_ratio=sum(map(len, tokens)) / max(1, sum(len(subject.words(ids)) for ids in subject.references)),
        empty=float(numpy.mean([not text for text in words])),
        unfinished=float(numpy.mean([not subject.is_finished(ids) for ids in sequences])),
        repeated_token_4grams=repeated_ngrams(tokens),
        repeated_word_4grams=repeated_ngrams(words),
        adjacent_tokens=adjacent_repeats(tokens),
        adjacent_words=adjacent_repeats(words),
    )


def beam_curve(
    subject: Subject,
    references: Sequence[str],
    greedy: Sequence[Hypothesis],
    metrics: dict[str, Metric],
    beam_widths: Sequence[int],
) -> list[BeamPoint]:
    """Return a point for each width, in the order given.

    Args:
        references: texts.
        greedy: what a beam of width 1 is taken to find.
        beam_widths: rising.
    """
    points = []
    before: tuple[numpy.ndarray, numpy.ndarray] | None = None
    for width in beam_widths:
        hypotheses = greedy if width == 1 else subject.found(beam_search_like(subject.decoding, width))
        texts = [subject.text(h.tokens) for h in hypotheses]
        quality = _sentence_quality(metrics, texts, references)
        ranked = numpy.array([h.normalized_score for h in hypotheses])
        shares = {}
        if before is not None:
            is_higher = ranked > before[0] + ROUNDING
            shares["higher_score"] = float(is_higher.mean())
            shares["higher_but_worse"] = float((is_higher & (quality < before[1])).mean())
        before = ranked, quality
        points.append(
            BeamPoint(
                beam_width=width,
                scores={name: corpus_score(metric, texts, references) for name, metric in metrics.items()},
                model_score=float(ranked.mean()),
                outputs=outputs(subject, [h.tokens for h in hypotheses]),
                **shares,
            )
        )
    return points


def corpus_score(metric: Metric, texts: Sequence[str], references: Sequence[str]) -> float:
    return metric.score(metric.statistics(texts, [[text] for text in references]).sum(axis=0)).value


def _sentence_quality(metrics: dict[str, Metric], texts: Sequence[str], references: Sequence[str]) -> numpy.ndarray:
    """Return each sentence's score by the first metric, turned so that higher is better."""
    metric = next(iter(metrics.values()))
    scores = sentence_scores(metric, texts, [[text] for text in references])
    return scores if metric.higher_is_better else -scores
