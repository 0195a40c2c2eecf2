"""What a reader of the outputs should be warned of: repetition, wrong lengths, empty texts, copies, changed numbers.

Outputs enter; alarms with counts and rows leave. References are held against the same bounds, so that what is usual in
the data raises no alarm.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from seq2seq.data.examination.findings import part_of
from seq2seq.metrics.repetition import count_repeats
from seq2seq.reporting.given import contents
from seq2seq.reporting.task import PairTask

REPEATED_SHARE, LEAST_NGRAMS = 0.4, 8
"""An output of so many n-grams repeats itself if it has had this share of them before."""
TOO_LONG, TOO_SHORT, SLACK = 2.0, 0.5, 10
"""Times as long as the reference, and so many characters more or less."""
SERIOUS, LEAST_SERIOUS = 0.05, 5
"""Share of outputs from which on an alarm is serious, and how many there must be."""
MOST_ROWS = 5
NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class OutputAlarm:
    """Something that is wrong with some outputs."""

    kind: str
    sentence: str
    count: int
    total: int
    """Outputs that it could have been wrong with."""
    rows: tuple[int, ...]
    """The first of them."""

    @property
    def share(self) -> float:
        return self.count / self.total

    @property
    def is_serious(self) -> bool:
        return self.share >= SERIOUS and self.count >= LEAST_SERIOUS


def output_alarms(
    sources: Sequence[str],
    references: Sequence[Sequence[str]],
    outputs: Sequence[str],
    task: PairTask,
    failed: Sequence[int] = (),
) -> tuple[OutputAlarm, ...]:
    """Return the alarms that there are, the most frequent first.

    Args:
        failed: rows whose search failed, of which nothing else is said.
    """
    texts = contents(sources)
    judged = [row for row in range(len(outputs)) if row not in set(failed)]
    found = []
    if failed:
        found.append(_alarm("failed", "could not be generated; the program's messages say why", failed, len(outputs)))
    for kind, sentence, may, is_wrong in _tests(texts, references, outputs, task):
        possible = [row for row in judged if may(row)]
        wrong = [row for row in possible if is_wrong(row)]
        if wrong:
            found.append(_alarm(kind, sentence, wrong, len(possible)))
    return tuple(sorted(found, key=lambda alarm: -alarm.share))


def _alarm(kind: str, sentence: str, rows: Sequence[int], total: int) -> OutputAlarm:
    noun = {"overcorrected": "sources that were right already", "missed": "sources that need a change"}.get(kind)
    noun = noun or {"numbers": "outputs whose source and reference share a number"}.get(kind, "outputs")
    counted = part_of(len(rows), total).replace(" (", f" {noun} (")
    return OutputAlarm(kind, f"{counted} {sentence}.", len(rows), total, tuple(rows[:MOST_ROWS]))


Test = tuple[str, str, Callable[[int], bool], Callable[[int], bool]]


def _tests(
    texts: Sequence[str], references: Sequence[Sequence[str]], outputs: Sequence[str], task: PairTask
) -> Iterator[Test]:
    """Yield kind, sentence, which rows it may be of, and of which it is."""

    def has_text(row: int) -> bool:
        return bool(outputs[row].strip())

    def lengths(row: int) -> tuple[int, int, int]:
        own = [len(text) for text in references[row]]
        return len(outputs[row]), min(own), max(own)

    yield "empty", "are empty", lambda row: True, lambda row: not has_text(row)
    yield (
        "repetition",
        "say the same over and over",
        has_text,
        lambda row: _repeats(outputs[row]) and not any(map(_repeats, references[row])),
    )
    yield (
        "too_long",
        f"are more than {TOO_LONG:g} times as long as they should be",
        has_text,
        lambda row: lengths(row)[0] > TOO_LONG * lengths(row)[2] + SLACK,
    )
    yield (
        "too_short",
        "are less than half as long as they should be",
        has_text,
        lambda row: lengths(row)[0] + SLACK < TOO_SHORT * lengths(row)[1],
    )
    if task.kind == "corrections":
        yield (
            "overcorrected",
            "were changed all the same",
            lambda row: texts[row] in references[row],
            lambda row: outputs[row] not in references[row],
        )
        yield (
            "missed",
            "were left as they are",
            lambda row: texts[row] not in references[row],
            lambda row: outputs[row] == texts[row],
        )
    else:
        yield (
            "copied",
            "are nothing but the source, which should have been changed",
            lambda row: texts[row] not in references[row],
            lambda row: outputs[row].strip() == texts[row].strip() != "",
        )
    yield (
        "numbers",
        "lack it",
        lambda row: bool(_numbers(texts[row], references[row])),
        lambda row: not _numbers(texts[row], references[row]) <= set(NUMBER.findall(outputs[row])),
    )


def _numbers(text: str, references: Sequence[str]) -> set[str]:
    """Return the numbers of a source that every reference has too."""
    return set(NUMBER.findall(text)).intersection(*(NUMBER.findall(reference) for reference in references))


def _repeats(text: str) -> bool:
    """Return whether a text says the same over and over, in words or, where it is one, in characters."""
    words = text.split()
    repeated, total = count_repeats(words if len(words) > 3 else text, 3)
    return total >= LEAST_NGRAMS and repeated / total >= REPEATED_SHARE
