"""ROUGE-1, -2, -L and -Lsum (Lin 2004), through rouge-score, for text in any script.

rouge-score's own tokenizer drops all but a-z and 0-9, so Chinese or Hindi text scores 0 whatever it says. Ours keeps
every letter, mark and digit, and equals the original on ASCII text. A corpus's score is the mean of its segments' F
measures; of several references the one with the best F counts. This is the only file that knows rouge-score.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy
import regex

from seq2seq.metrics.base import Score
from seq2seq.metrics.references import NUM_COUNTS, present_references, reference_counts, references_signature

UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
WORD = r"[\p{L}\p{M}\p{N}]"
TOKEN = regex.compile(rf"[{WORD}&&{UNSPACED}]\p{{M}}*|[{WORD}--{UNSPACED}]+", regex.V1)
VERSION = version("rouge-score")
INVISIBLE = dict.fromkeys((0x00AD, 0x200C, 0x200D))
"""Soft hyphen and the zero-width joiners: they shape a word (in Hindi, Persian) but do not divide it."""


def tokenize(text: str) -> list[str]:
    """Return lower-cased words: runs of letters, marks and digits.

    In scripts written without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese) each character is a word of its
    own, with the marks that follow it. Text is brought to NFC first.
    """
    return TOKEN.findall(unicodedata.normalize("NFC", text.lower()).translate(INVISIBLE))


class WordTokenizer:
    """`tokenize`, with Porter's English stemmer on words of more than three letters if wanted."""

    def __init__(self, stemmer: bool) -> None:
        self.stem: Any = None
        if stemmer:
            from nltk.stem.porter import PorterStemmer

            self.stem = PorterStemmer().stem

    def tokenize(self, text: str) -> list[str]:
        words = tokenize(text)
        return [self.stem(word) if len(word) > 3 else word for word in words] if self.stem else words


@dataclass(frozen=True)
class Rouge:
    """One kind of ROUGE as a `Metric`; `name` is rouge1 ... rouge9, rougeL or rougeLsum.

    rougeLsum takes lines as sentences, so it differs from rougeL only for segments that contain line breaks: in a file
    of one segment a line, those that `sentence_separator` stands for, which for no kind is a word.
    """

    name: str
    stemmer: bool = False
    sentence_separator: str = ""

    @property
    def higher_is_better(self) -> bool:
        return True

    def statistics(self, hypotheses: Sequence[str], references: Sequence[Sequence[str | None]]) -> numpy.ndarray:
        """Return float64 [segments, 3 + 3]: after the counts, F, precision and recall, each in [0, 1]."""
        present = present_references(hypotheses, references)
        if self.sentence_separator:
            hypotheses = [self._in_lines(text) for text in hypotheses]
            present = [[self._in_lines(text) for text in targets] for targets in present]
        scores = [
            self._scorer.score_multi(targets, hypothesis)[self.name]
            for hypothesis, targets in zip(hypotheses, present, strict=True)
        ]
        measures = [(score.fmeasure, score.precision, score.recall) for score in scores]
        return numpy.hstack([reference_counts(present), numpy.array(measures, dtype=numpy.float64)])

    def score(self, statistics: numpy.ndarray) -> Score:
        """Return the mean F measure, in percent, of summed statistics, [statistics]."""
        f_measure, precision, recall = 100 * statistics[NUM_COUNTS:] / statistics[0]
        stemmer = "porter" if self.stemmer else "no"
        signature = f"{references_signature(statistics)}|case:lc|tok:unicode|stem:{stemmer}|version:{VERSION}"
        if self.sentence_separator:
            signature += f"|sentences:{self.sentence_separator}"
        return Score(self.name, float(f_measure), signature, f"P = {precision:.2f} R = {recall:.2f}")

    def _in_lines(self, text: str) -> str:
        return text.replace(self.sentence_separator, "\n")

    @cached_property
    def _scorer(self) -> Any:
        from rouge_score.rouge_scorer import RougeScorer  # here, because it loads NLTK, which takes a second

        return RougeScorer([self.name], tokenizer=WordTokenizer(self.stemmer))
