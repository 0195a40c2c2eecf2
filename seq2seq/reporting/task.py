"""What kind of task pairs are, and so what is measured: single words, fixed signs, corrections, summaries, sentences.

Pairs enter; a `PairTask` leaves, with the metrics that say most of it. The first of them is what verdicts are about.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal

import regex

from seq2seq.metrics.edits import edit_distance
from seq2seq.metrics.rouge import tokenize

Kind = Literal["corrections", "signs", "words", "summaries", "sentences"]

LOOKED_AT = 500
"""Pairs that tell what the task is."""
NEAR_COPY = 0.25
"""Of the characters of a target, the share that a correction changes at most, in the middle of all pairs."""
MOST_SIGNS, USES_OF_A_SIGN = 200, 20
"""Targets are of fixed signs where so few different words are used so often each."""
FEW_WORDS, LONG_SOURCE, TIMES_AS_LONG = 3, 30, 3
LONG_TEXT = 150
"""Characters of a text that is hardly ever right as a whole."""

DESCRIPTIONS: dict[Kind, str] = {
    "corrections": "corrections: most of a source stays as it is",
    "signs": "targets of a fixed set of signs, such as sounds or commands",
    "words": "single words or short phrases",
    "summaries": "short texts about long ones, such as titles or summaries",
    "sentences": "sentences, such as translations",
}
EXPLANATIONS = {
    "bleu": "BLEU: how much of the wording, up to four words in a row, is that of the reference. 0 to 100, more is "
    "better; another good wording counts as wrong, so people too are far below 100. As a rough guide, which differs by "
    "language, translations below 10 are hardly of use, and from 30 on mostly understandable.",
    "chrf": "chrF: how many short pieces of up to six letters the output shares with the reference. 0 to 100, more is "
    "better; it forgives wrong endings, which BLEU does not.",
    "chrf++": "chrF++: how many short pieces of letters, and words, the output shares with the reference. 0 to 100.",
    "ter": "TER: changes that would turn outputs into references, of 100 words of the references. Less is better.",
    "exact_match": "Exact match: of 100 outputs, how many are the reference to the letter. More is better.",
    "sequence_error_rate": "Sequence error rate: of 100 outputs, how many are not exactly the reference. Less is "
    "better.",
    "character_error_rate": "Character error rate: characters to put in, take out or change, of 100 of the reference. "
    "Less is better.",
    "word_error_rate": "Word error rate: words to put in, take out or change, of 100 of the reference. Less is better.",
    "phone_error_rate": "Phone error rate: sounds to put in, take out or change, of 100 of the reference. Less is "
    "better.",
    "rouge1": "ROUGE-1: how many words output and reference share. 0 to 100, more is better.",
    "rouge2": "ROUGE-2: how many pairs of neighbouring words output and reference share. 0 to 100, more is better.",
    "rougeL": "ROUGE-L: how many words output and reference share in the same order. 0 to 100, more is better.",
    "rougeLsum": "ROUGE-Lsum: ROUGE-L, sentence by sentence. 0 to 100, more is better.",
    "repetition": "Repetition: of 100 runs of four words, how many the same output has had before. Less is better.",
}
"""What each metric says, for somebody who has never heard of it."""
NAMES = {
    "bleu": "BLEU",
    "chrf": "chrF",
    "chrf++": "chrF++",
    "ter": "TER",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
    "rougeLsum": "ROUGE-Lsum",
}


def name_of_metric(name: str) -> str:
    """Return a metric's name for people."""
    return NAMES.get(name, name.replace("_", " "))


@dataclass(frozen=True)
class PairTask:
    """What is measured."""

    kind: Kind
    description: str
    metrics: tuple[str, ...]
    """By name, the one that verdicts are about first."""
    unit: Literal["word", "character"]
    """What differences are shown in."""
    options: dict[str, Any] = field(default_factory=dict)
    """Of the metrics, see `assembly.scoring.make_metrics`."""

    @property
    def main(self) -> str:
        return self.metrics[0]


def task_of(sources: Sequence[str], references: Sequence[Sequence[str]], more_targets: Sequence[str] = ()) -> PairTask:
    """Return the task that pairs are of.

    Args:
        sources: without tags.
        more_targets: of training, where they are known: they tell better how many different words there are.
    """
    targets = [texts[0] for texts in references[:LOOKED_AT]]
    pairs = list(zip(sources, targets, strict=False))
    changed = median(edit_distance(source, target) / max(1, len(target)) for source, target in pairs)
    characters, words = median(map(len, targets)), median(len(tokenize(text)) for text in targets)
    source_words = median(len(tokenize(source)) for source, _ in pairs)
    if changed <= NEAR_COPY and any(source != target for source, target in pairs):
        metrics = ["exact_match", "character_error_rate"]
        return _task("corrections", metrics[::-1] if characters > LONG_TEXT else metrics, "character")
    size = _size_of_signs([*targets, *more_targets[:20_000]])
    if size is not None:
        return _task("signs", ["exact_match", "phone_error_rate" if size <= 2 else "word_error_rate"], "word")
    if words <= FEW_WORDS and characters < LONG_TEXT:
        return _task("words", ["exact_match", "character_error_rate"], "character")
    if source_words >= LONG_SOURCE and source_words >= TIMES_AS_LONG * words:
        return _task("summaries", ["rougeL", "rouge1", "chrf"], "word")
    return _task("sentences", ["bleu", "chrf"], "word", tokenize=bleu_tokenizer(targets))


def _task(kind: Kind, metrics: Sequence[str], unit: Literal["word", "character"], **options: Any) -> PairTask:
    return PairTask(kind, DESCRIPTIONS[kind], tuple(metrics), unit, options)


def _size_of_signs(targets: Sequence[str]) -> float | None:
    """Return the mean length of the words that targets are of, if these are few; None of any other text."""
    words = [word for target in targets for word in target.split()]
    signs = set(words)
    is_several = median(len(target.split()) for target in targets) >= 2
    if is_several and len(signs) <= MOST_SIGNS and len(words) >= USES_OF_A_SIGN * len(signs):
        return sum(map(len, words)) / len(words)
    return None


def bleu_tokenizer(targets: Sequence[str]) -> str:
    """Return BLEU's tokenizer for the script that most letters are of."""
    text = "".join(targets[:LOOKED_AT])
    letters = len(regex.findall(r"\p{L}", text)) or 1
    if len(regex.findall(r"[\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]", text)) > 0.2 * letters:
        return "char"  # without a tokenizer of these, which need packages of their own
    return "zh" if len(regex.findall(r"\p{Han}", text)) > 0.5 * letters else "13a"
