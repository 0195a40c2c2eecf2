"""Whether the sides of the validation pairs are those of the training, or the other way round, or others.

Texts of both sides enter; what leaves is how many of each side are told right by a naive Bayes of character trigrams
that knows some of the training pairs, and how many trigrams are new to it. Other training pairs say what is usual, so
nothing is claimed where sides cannot be told apart, as in corrections.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy

from seq2seq.data.examination.examined import SIDES, Examined
from seq2seq.data.examination.findings import Finding, percent, shown

_KNOWN, _JUDGED = 600, 200
"""Pairs that are learnt from, and that are judged, of each corpus."""
_LONGEST = 200
"""Characters that are looked at."""
_FEWEST = 20
_CERTAIN = 0.9
"""Share of the training texts of a side that must be told right before anything is said of the validation."""
_REVERSED = 0.3
"""Share of the validation texts told right below which they are of the other side."""
_NEW = 0.18
"""How much larger the share of unknown trigrams may be than in other training pairs: French among English has 0.2 more,
abstracts among captions 0.13."""


class Judged(NamedTuple):
    """What is made of the texts of a side."""

    told_right: float
    is_new: float
    """Share of the trigrams that the side's known texts have not."""


@dataclass(frozen=True)
class SideModel:
    """Frequencies of character trigrams in sources and targets."""

    counts: tuple[Counter[str], Counter[str]]

    @classmethod
    def of(cls, sources: list[str], targets: list[str]) -> "SideModel":
        return cls((_counted(sources), _counted(targets)))

    def judged(self, texts: list[str], side: int) -> Judged:
        """Return how many of the texts are of this side; where nothing speaks for either, half of one."""
        own, other = self.counts[side], self.counts[1 - side]
        size = len(own.keys() | other.keys()) + 1
        offset = math.log((other.total() + size) / (own.total() + size))
        right, num_new, num_all = 0.0, 0, 0
        for text in texts:
            found = list(_trigrams(text))
            score = sum(
                math.log((own[gram] + 1) / (other[gram] + 1)) + offset for gram in found if gram in own or gram in other
            )
            right += 0.5 if score == 0 else float(score > 0)
            num_new += sum(gram not in own for gram in found)
            num_all += len(found)
        return Judged(right / max(1, len(texts)), num_new / max(1, num_all))


def _trigrams(text: str) -> Iterator[str]:
    framed = f" {text[:_LONGEST]} "
    return (framed[start : start + 3] for start in range(len(framed) - 2))


def _counted(texts: list[str]) -> Counter[str]:
    return Counter(gram for text in texts for gram in _trigrams(text))


def resemblance(train: Examined, validation: Examined) -> Iterator[Finding]:
    """Yield which sides of the validation pairs are not those of the training."""
    if min(len(train.sources), len(validation.sources)) < _FEWEST:
        return
    rows = train.spread(_KNOWN + _JUDGED)
    is_judged = numpy.arange(len(rows)) % ((_KNOWN + _JUDGED) // _JUDGED) == 1
    known, usual = ([train.sample(side, rows[chosen]) for side in SIDES] for chosen in (~is_judged, is_judged))
    model = SideModel.of(*known)
    judged_rows = validation.spread(_JUDGED)
    for number, side in enumerate(SIDES):
        texts = validation.sample(side, judged_rows)
        before, now = model.judged(usual[number], number), model.judged(texts, number)
        other = SIDES[1 - number]
        if before.told_right >= _CERTAIN and now.told_right <= _REVERSED:
            yield Finding(
                f"validation_{side}s_like_{other}s",
                f"The validation {side}s look like the training {other}s: are `data.validation.source_column` and "
                "`.target_column`, or its files, those of the training the other way round?",
                len(validation),
                shown(texts[:2]),
                is_warning=True,
            )
        elif now.is_new - before.is_new >= _NEW:
            yield Finding(
                f"validation_{side}s_unlike",
                f"The validation {side}s do not look like the training {side}s: {percent(now.is_new)} of their "
                f"sequences of three characters are new, where {percent(before.is_new)} is usual. Is the column right?",
                len(validation),
                shown(texts[:2]),
                is_warning=True,
            )
