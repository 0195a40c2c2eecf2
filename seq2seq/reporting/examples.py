"""Some outputs to look at: the worst, those in the middle, and some of the best, with what differs from the reference.

Rows are ranked by the metric that tells single outputs apart best. Differences are runs of words or characters, by the
longest common parts; of several references the one that is most like the output is shown.
"""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy

from seq2seq.metrics.edits import edit_distance
from seq2seq.reporting.task import PairTask

Group = Literal["worst", "median", "best"]

NUM_WORST, NUM_MEDIAN, NUM_BEST = 8, 6, 4
BEST_SHARE = 0.25
LONGEST_SHOWN = 2_000
"""Characters of a text that are compared and shown."""
MOST_UNITS = 400
"""Of a text, that are compared: the time grows with their cube where they are the same over and over."""


@dataclass(frozen=True)
class TextPiece:
    """A run of a text; `is_common` says whether the other text has it too."""

    text: str
    is_common: bool


@dataclass(frozen=True)
class Attention:
    """What each token of an output looked at in its source when it was generated."""

    source: tuple[str, ...]
    output: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]
    """Of each output token, over the source's; they add to 1."""


@dataclass(frozen=True)
class Example:
    """An output to look at."""

    row: int
    group: Group
    source: str
    reference: str
    output: str
    score: float
    """Of this output alone, by `metric`."""
    metric: str
    output_pieces: tuple[TextPiece, ...]
    reference_pieces: tuple[TextPiece, ...]
    attention: Attention | None = None


def ranking_metric(metrics: Sequence[str]) -> str:
    """Return the metric that tells single outputs apart best: one that is not yes or no, or rough for one sentence."""
    rough = ("exact_match", "sequence_error_rate", "bleu")
    return next((name for name in metrics if name not in rough), metrics[0])


def chosen_rows(scores: numpy.ndarray, *, higher_is_better: bool, seed: int) -> list[tuple[Group, int]]:
    """Return the rows to show, none of them twice.

    Args:
        scores: of single outputs, [N].
    """
    order = numpy.argsort(-scores if not higher_is_better else scores, kind="stable")  # the worst first
    worst = order[:NUM_WORST].tolist()
    middle = len(order) // 2
    between = order[max(0, middle - NUM_MEDIAN // 2) : middle + NUM_MEDIAN // 2].tolist()
    best = order[len(order) - max(1, round(BEST_SHARE * len(order))) :]
    drawn = numpy.random.default_rng(seed).permutation(best)[:NUM_BEST].tolist()
    groups: tuple[tuple[Group, list[int]], ...] = (("worst", worst), ("median", between), ("best", drawn))
    found: list[tuple[Group, int]] = []
    seen: set[int] = set()
    for group, rows in groups:
        for row in rows:
            if row not in seen:
                seen.add(row)
                found.append((group, row))
    return found


def example(
    row: int,
    group: Group,
    source: str,
    references: Sequence[str],
    output: str,
    score: float,
    metric: str,
    task: PairTask,
) -> Example:
    """Return one output with what differs."""
    reference = min(references, key=lambda text: edit_distance(output[:LONGEST_SHOWN], text[:LONGEST_SHOWN]))
    said, wanted = differences(output[:LONGEST_SHOWN], reference[:LONGEST_SHOWN], task.unit)
    return Example(row, group, source, reference, output, score, metric, said, wanted)


def differences(output: str, reference: str, unit: str) -> tuple[tuple[TextPiece, ...], tuple[TextPiece, ...]]:
    """Return both texts in pieces that the other one has or lacks; put together, the pieces are the text.

    Long texts are compared by words also where characters are asked for, and even longer ones only as a whole.
    """
    texts = (output, reference)
    ways = ([_units(text, own) for text in texts] for own in dict.fromkeys((unit, "word")))
    whole = [[text] if text else [] for text in texts]
    units = next((found for found in ways if max(map(len, found)) <= MOST_UNITS), whole)
    matcher = difflib.SequenceMatcher(None, units[0], units[1], autojunk=False)
    sides: tuple[list[TextPiece], list[TextPiece]] = ([], [])
    for kind, start, end, other_start, other_end in matcher.get_opcodes():
        for side, own, (first, last) in zip(sides, units, ((start, end), (other_start, other_end)), strict=True):
            if first < last:
                side.append(TextPiece("".join(own[first:last]), kind == "equal"))
    return tuple(sides[0]), tuple(sides[1])


def _units(text: str, unit: str) -> list[str]:
    """Return a text as words and what is between them, or as characters."""
    return re.findall(r"\s+|[^\s]+", text) if unit == "word" else list(text)
