"""BLEU (Papineni et al. 2002), chrF (Popović 2015, 2017) and TER (Snover et al. 2006), through sacreBLEU.

What enters is detokenised text; what leaves are sacreBLEU's own match counts per segment, and its own scores and
signatures. Nothing is computed here: the counts come from the library's extraction step, which it keeps apart from
scoring just as `Metric` does. This is the only file that knows sacreBLEU.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy
from sacrebleu.metrics.base import Metric as Scorer
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from seq2seq.metrics.base import Score
from seq2seq.metrics.references import NUM_COUNTS, present_references, reference_counts, references_per_segment


@dataclass(frozen=True)
class SacreMetric:
    """A sacreBLEU scorer as a `Metric`."""

    name: str
    higher_is_better: bool
    scorer: Scorer

    def statistics(self, hypotheses: Sequence[str], references: Sequence[Sequence[str | None]]) -> numpy.ndarray:
        """Return float64 [segments, 3 + statistics of the scorer]."""
        present = present_references(hypotheses, references)
        prepared: dict[tuple[str, ...], Any] = {}  # candidates of one source share their references
        for segment in map(tuple, present):
            if segment not in prepared:
                prepared[segment] = _reference_counts(self.scorer, segment)
        matches = [
            _segment_statistics(self.scorer, hypothesis, prepared[tuple(texts)])
            for hypothesis, texts in zip(hypotheses, present, strict=True)
        ]
        return numpy.hstack([reference_counts(present), numpy.array(matches, dtype=numpy.float64)])

    def score(self, statistics: numpy.ndarray) -> Score:
        """Return the score of summed statistics, [statistics]."""
        result = self._result(statistics)
        num_references = references_per_segment(statistics) or -1  # sacreBLEU's sign for a varying number
        return Score(self.name, float(result.score), *_signature(self.scorer, result, num_references))

    def ngrams(self, text: str) -> list[Counter[object]]:
        """Return how often each n-gram is in the text, a counter for each order; of BLEU and chrF, not TER.

        Orders come as in the statistics: BLEU's words, or chrF's characters and then its words.
        """
        assert isinstance(self.scorer, BLEU | CHRF), "TER has no n-grams"
        found: Any = _reference_counts(self.scorer, [text])["ref_ngrams"]
        if isinstance(self.scorer, CHRF):
            return list(found[0])
        orders: list[Counter[object]] = [Counter() for _ in range(self.scorer.max_ngram_order)]
        for ngram, count in found.items():
            orders[len(ngram) - 1][ngram] = count
        return orders

    def value(self, statistics: numpy.ndarray) -> float:
        """Return the number of `score` alone."""
        return float(self._result(statistics).score)

    def _result(self, statistics: numpy.ndarray) -> Any:
        # A list is a copy: add-k smoothing writes into what it is given.
        return _result_of(self.scorer, statistics[NUM_COUNTS:].tolist())

    @property
    def sentence_level(self) -> "SacreMetric":
        """The variant for single sentences: BLEU with effective order, or a sentence of three words would get 0."""
        if not isinstance(self.scorer, BLEU) or self.scorer.effective_order:
            return self
        scorer = copy(self.scorer)
        scorer.effective_order = True
        return replace(self, scorer=scorer)


def bleu(
    tokenize: str = "13a",
    lowercase: bool = False,
    smooth_method: str = "exp",
    smooth_value: float | None = None,
    max_ngram_order: int = 4,
    effective_order: bool = False,
) -> SacreMetric:
    """Return BLEU.

    Args:
        tokenize: `13a`, `intl`, `zh`, `char`, `none`; `ja-mecab` and `ko-mecab` need further packages; `flores101`,
            `flores200` and `spBLEU-1K` download a model at first use.
        smooth_method: `exp`, `floor`, `add-k` or `none`.
        smooth_value: the constant of `floor` (0.1 by default) or `add-k` (1).

    Raises:
        ValueError: an option is unknown, or what a tokenizer needs is missing.
    """
    if tokenize not in BLEU.TOKENIZERS:
        raise ValueError(f"BLEU has no tokenizer {tokenize!r}; choose one of {', '.join(BLEU.TOKENIZERS)}.")
    if smooth_method not in BLEU.SMOOTH_DEFAULTS:
        raise ValueError(f"BLEU has no smoothing {smooth_method!r}; choose one of {', '.join(BLEU.SMOOTH_DEFAULTS)}.")
    if max_ngram_order < 1:
        raise ValueError(f"`max_ngram_order` must be at least 1, but is {max_ngram_order}.")
    try:
        scorer = BLEU(
            lowercase=lowercase,
            force=True,  # the library's hint about tokenised text goes to its log; the score is the same
            tokenize=tokenize,
            smooth_method=smooth_method,
            smooth_value=smooth_value,
            max_ngram_order=max_ngram_order,
            effective_order=effective_order,
        )
    except (RuntimeError, ImportError, OSError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"BLEU's tokenizer {tokenize!r} cannot be used here: {reason}") from error
    return _checked(SacreMetric("bleu", True, scorer))


def chrf(
    word_order: int = 0,
    char_order: int = 6,
    lowercase: bool = False,
    whitespace: bool = False,
    eps_smoothing: bool = False,
) -> SacreMetric:
    """Return chrF2 (beta = 2); with `word_order` 2 it is chrF++."""
    if word_order < 0 or char_order < 1:
        raise ValueError(f"chrF needs `char_order` >= 1 and `word_order` >= 0, but has {char_order} and {word_order}.")
    scorer = CHRF(
        char_order=char_order,
        word_order=word_order,
        lowercase=lowercase,
        whitespace=whitespace,
        eps_smoothing=eps_smoothing,
    )
    return _checked(SacreMetric("chrf" + "+" * word_order, True, scorer))


def ter(
    case_sensitive: bool = False, normalized: bool = False, no_punct: bool = False, asian_support: bool = False
) -> SacreMetric:
    """Return TER, lower-cased unless `case_sensitive`.

    Args:
        normalized: separate punctuation from words as tercom does.
        no_punct: leave punctuation out.
        asian_support: with the other two, split Asian text into characters and treat its punctuation.
    """
    scorer = TER(normalized=normalized, no_punct=no_punct, asian_support=asian_support, case_sensitive=case_sensitive)
    return _checked(SacreMetric("ter", False, scorer))


# ---- steps that the library names with an underscore; nothing else here calls them ----


def _reference_counts(scorer: Scorer, references: Sequence[str]) -> Any:
    """Return what is known of a segment's references."""
    return scorer._extract_reference_info([scorer._preprocess_segment(text) for text in references])


def _segment_statistics(scorer: Scorer, hypothesis: str, references: Any) -> Sequence[float]:
    """Return the counts of a hypothesis against `_reference_counts`."""
    return scorer._compute_segment_statistics(scorer._preprocess_segment(hypothesis), references)


def _result_of(scorer: Scorer, statistics: list[float]) -> Any:
    """Return the library's score of summed counts."""
    return scorer._compute_score_from_stats(statistics)


def _signature(scorer: Scorer, result: Any, num_references: int) -> tuple[str, str]:
    """Return what a score was made with, and its parts in words."""
    return scorer._SIGNATURE_TYPE({**vars(scorer), "num_refs": num_references}).format(), result._verbose


def _checked(metric: SacreMetric) -> SacreMetric:
    _check_steps(type(metric.scorer))
    return metric


@cache
def _check_steps(kind: Callable[[], Scorer]) -> None:
    """Raise ValueError if, in this version of the library, its steps do not make its own score: none is made up."""
    scorer, hypothesis, reference = kind(), "the cat sat on a mat", "the cat sat there on the mat"
    metric = SacreMetric("", True, scorer)
    try:
        statistics = metric.statistics([hypothesis] * 2, [[reference], [hypothesis]]).sum(0)
        found, orders = metric.score(statistics), [] if isinstance(scorer, TER) else metric.ngrams("a a")
        is_known = all(isinstance(counts, Counter) for counts in orders) and bool(found.signature)
    except (AttributeError, TypeError, ValueError, LookupError):
        is_known = False
    if not is_known or found.value != scorer.corpus_score([hypothesis] * 2, [[reference, hypothesis]]).score:
        raise ValueError(
            f"sacreBLEU {version('sacrebleu')} makes its scores in other steps than those that are known here; install "
            "sacrebleu 2.6."
        )
