"""What needs no model, or had one before: outputs that a trained model must beat before it is said to work.

The source itself, of long ones its beginning, the target that training has most often, the target of the training pair
whose source is most like the given one, and the model that a tuning or a taught training began from.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median

from seq2seq.metrics.rouge import TOKEN, tokenize
from seq2seq.reporting.given import TrainingPairs, contents
from seq2seq.reporting.nearest import nearest_rows
from seq2seq.reporting.scores import Difference, MeasuredScore

DESCRIPTIONS = {
    "copy": "the source, unchanged",
    "beginning": "the first words of the source, as many as targets have",
    "frequent": "the target that training has most often, whatever the source",
    "nearest": "the target of the training pair whose source is most like the given one",
    "before": "the model before it was tuned",
    "before teaching": "the model before it learned what its teachers had written",
}
"""What each baseline answers."""
WITHOUT_MODEL = ("copy", "beginning", "frequent", "nearest")


@dataclass(frozen=True)
class Baseline:
    """A stand-in for the model, and how the model compares with it."""

    name: str
    description: str
    scores: tuple[MeasuredScore, ...]
    differences: tuple[Difference, ...]
    """Of the model, less the stand-in."""
    example: str
    """What it says of the first source."""


def outputs_without_model(
    sources: Sequence[str], targets: Sequence[str], training: TrainingPairs | None, *, is_summary: bool
) -> dict[str, list[str]]:
    """Return by name what each stand-in says of each source.

    Args:
        sources: with their tags, which say what is wanted of near pairs.
        targets: of these or other sources, which say how long targets are.
        training: None where it is not known; then only the source is left to stand in.
        is_summary: whether targets are short texts about long ones, whose first words say much of them.
    """
    texts = contents(sources)
    found = {"copy": texts}
    if is_summary:
        length = round(median(len(tokenize(target)) for target in targets))
        found["beginning"] = [beginning(text, length) for text in texts]
    if training:
        [(target, _)] = Counter(training.targets).most_common(1)
        found["frequent"] = [target] * len(sources)
        rows, _ = nearest_rows(sources, training.sources)
        found["nearest"] = [training.targets[row] for row in rows]
    return found


def beginning(text: str, num_words: int) -> str:
    """Return a text until so many words have ended, as ROUGE counts them; the whole text if it has no more."""
    ends = [word.end() for word in islice(TOKEN.finditer(text), max(1, num_words))]
    return text[: ends[-1]] if ends else text
