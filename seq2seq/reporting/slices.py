"""Where a model does well and badly: its score on parts of the pairs, each against all other pairs.

Parts are by the length of the source, by words that training has rarely or never, by the tag in front of the source, by
numbers, by what target and source have in common, and by sources that training has too. A part is called worse only
where its interval and that of the rest do not touch.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import numpy

from seq2seq.metrics.rouge import tokenize
from seq2seq.reporting.given import TrainingPairs, contents, tags_in_front
from seq2seq.reporting.scores import Judge, MeasuredScore
from seq2seq.reporting.task import PairTask

NOTABLE = 0.02
"""Share of a score by which a part must be worse to be worth a word."""
LEAST_PAIRS = 30
"""Of a part with fewer, nothing is concluded."""
RARE = 5
"""A word that training has fewer times is rare."""
MOST_TAGS, LEAST_TAGS = 12, 4
"""Tags that are looked at: the most frequent, and of rare ones so many."""
HARDLY_ANY = 5.0
"""Below such a score the first metric tells no parts apart, and the second is taken."""
NUMBER = re.compile(r"\d")

Rows = numpy.ndarray


@dataclass(frozen=True)
class Slice:
    """A part of the pairs."""

    group: str
    """What the pairs were parted by."""
    label: str
    description: str
    """As a part of a sentence: sources …"""
    num_pairs: int
    score: MeasuredScore
    rest: MeasuredScore | None
    """All other pairs; None where there are none."""

    @property
    def is_too_small(self) -> bool:
        return self.num_pairs < LEAST_PAIRS

    @property
    def is_worse(self) -> bool:
        """Whether it is worse than the rest by more than chance, both being large enough."""
        return self._compared(worse=True)

    @property
    def is_better(self) -> bool:
        return self._compared(worse=False)

    def _compared(self, *, worse: bool) -> bool:
        score, rest = self.score, self.rest
        if self.is_too_small or rest is None or score.low is None or rest.low is None:
            return False
        assert score.high is not None and rest.high is not None, "an interval has two ends"  # noqa: PT018
        is_below, is_above = score.high < rest.low, score.low > rest.high
        return is_below if worse == score.higher_is_better else is_above


def scored_slices(
    judge: Judge, outputs: Sequence[str], sources: Sequence[str], task: PairTask, training: TrainingPairs | None
) -> tuple[Slice, ...]:
    """Return the parts that there are, with the score of each by the first metric that tells them apart.

    Args:
        sources: with their tags.
    """
    metric = judge.metrics[0]
    if metric.higher_is_better and judge.measured_by(metric, outputs).value < HARDLY_ANY and len(judge.metrics) > 1:
        metric = judge.metrics[1]
    found = []
    for group, label, description, rows in parts_of_pairs(sources, judge.references, task, training):
        others = numpy.setdiff1d(numpy.arange(len(sources)), rows)
        if len(rows) and len(others):
            score, rest = judge.measured_by(metric, outputs, rows), judge.measured_by(metric, outputs, others)
            found.append(Slice(group, label, description, len(rows), score, rest))
    return tuple(found)


def parts_of_pairs(
    sources: Sequence[str], references: Sequence[Sequence[str]], task: PairTask, training: TrainingPairs | None
) -> Iterator[tuple[str, str, str, Rows]]:
    """Yield the group, label, description and rows of each part."""
    texts = contents(sources)
    yield from _by_length(texts)
    if training is not None:
        where = (
            "training" if training.is_whole else f"the part of training that was looked at ({len(training):,} pairs)"
        )
        yield from _by_words(texts, contents(training.sources), where)
        known = set(training.sources)
        is_known = numpy.array([source in known for source in sources])
        if is_known.any():
            yield "seen in training", "yes", f"that {where} has too", is_known.nonzero()[0]
            yield "seen in training", "no", f"that {where} does not have", (~is_known).nonzero()[0]
    tags = tags_in_front(sources)
    if any(tags):
        for place, (tag, count) in enumerate(Counter(tags).most_common(MOST_TAGS)):
            if count < len(tags) and (count >= LEAST_PAIRS or place < LEAST_TAGS):
                yield "tag", tag or "none", f"with the tag {tag}", _where([own == tag for own in tags])
    has_number = [bool(NUMBER.search(text)) for text in texts]
    if any(has_number):
        yield "numbers", "with digits", "with digits", _where(has_number)
        yield "numbers", "without", "without digits", _where([not has for has in has_number])
    if task.kind in ("sentences", "summaries"):
        is_shared = [
            bool({w for w in text.split() if len(w) > 2} & set(own[0].split()))
            for text, own in zip(texts, references, strict=True)
        ]
        yield "copied words", "some", "of which a word stands in the reference unchanged", _where(is_shared)
        yield "copied words", "none", "of which no word stands in the reference", _where([not is_ for is_ in is_shared])
    if task.kind == "corrections":
        is_right = [text in own for text, own in zip(texts, references, strict=True)]
        yield "to be changed", "no", "that are right already", _where(is_right)
        yield "to be changed", "yes", "that need a change", _where([not is_ for is_ in is_right])


def _where(is_part: Sequence[bool]) -> Rows:
    return numpy.array(is_part).nonzero()[0]


def _by_length(texts: Sequence[str]) -> Iterator[tuple[str, str, str, Rows]]:
    """Yield the quarters by length; of equally long sources none is parted from the others."""
    in_words = median(len(tokenize(text)) for text in texts) > 2
    lengths = numpy.array([len(tokenize(text)) if in_words else len(text) for text in texts])
    unit = "words" if in_words else "characters"
    edges = numpy.unique(numpy.quantile(lengths, [0.25, 0.5, 0.75], method="nearest"))
    quarters = numpy.searchsorted(edges, lengths)
    for quarter in range(len(edges) + 1):
        rows = (quarters == quarter).nonzero()[0]
        if len(rows):
            low, high = lengths[rows].min(), lengths[rows].max()
            label = f"{low} {unit}" if low == high else f"{low} to {high} {unit}"
            yield "length of the source", label, f"of {label}", rows


def _by_words(texts: Sequence[str], training: Sequence[str], where: str) -> Iterator[tuple[str, str, str, Rows]]:
    """Yield the sources by the rarest of their words, or, where a source is a word, of its runs of three letters.

    Args:
        where: what all that was counted in is called.
    """
    in_words = median(len(tokenize(text)) for text in texts) > 2
    units = tokenize if in_words else _letters
    counts = Counter(unit for text in training for unit in units(text))
    rarest = numpy.array([min((counts[unit] for unit in units(text)), default=RARE) for text in texts])
    name, one = ("words", "a word") if in_words else ("runs of three letters", "a run of three letters")
    group = f"rare and unseen {name}"
    yield (
        group,
        "all well known",
        f"of which {where} has every {one[2:]} at least {RARE} times",
        _where(list(rarest >= RARE)),
    )
    yield (
        group,
        "some rare",
        f"with {one} that {where} has fewer than {RARE} times",
        _where(list((rarest < RARE) & (rarest > 0))),
    )
    yield group, "some unseen", f"with {one} that {where} never has", _where(list(rarest == 0))


def _letters(text: str) -> list[str]:
    framed = f" {text.lower()} "
    return [framed[start : start + 3] for start in range(len(framed) - 2)]


def share_unseen(sources: Sequence[str], training: TrainingPairs) -> float:
    """Return the share of the sources' words that training lacks, each occurrence counted."""
    known = {word for text in contents(training.sources) for word in tokenize(text)}
    words = [word for text in contents(sources) for word in tokenize(text)]
    return sum(word not in known for word in words) / max(1, len(words))


def worst_slice(found: Sequence[Slice]) -> Slice | None:
    """Return the part that is worse than the rest by most, beyond chance and by something; None where there is none."""
    worse = [(abs(part.score.value - part.rest.value), part) for part in found if part.is_worse and part.rest]
    notable = [(by, part) for by, part in worse if part.rest and by >= NOTABLE * abs(part.rest.value)]
    return max(notable, key=lambda entry: entry[0])[1] if notable else None
