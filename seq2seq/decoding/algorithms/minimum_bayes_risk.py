"""Minimum Bayes risk decoding: of a model's samples, the one that is most like all of them.

Samples stand for what the true translation may be. A candidate is ranked by its expected utility, the mean over the
samples as references, instead of its probability (Eikema and Aziz 2020). Equal texts are one candidate, and one
reference that counts as often as it was drawn, so that a text costs the same however likely it is.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy
from torch import Tensor

from seq2seq.config.declaring import choice, part
from seq2seq.decoding.algorithms.beam import BeamSearch
from seq2seq.decoding.algorithms.diverse_beam import DiverseBeamSearch
from seq2seq.decoding.algorithms.sampling import Sampling
from seq2seq.generation.hypothesis import Hypothesis, first_failure
from seq2seq.models.interface import Seq2Seq

Utility = Callable[[Sequence[str], numpy.ndarray], numpy.ndarray]
"""Takes texts and the weight of each as a reference, float64 [T], which sum to 1; returns each text's expected utility
under these references, float64 [T], higher is better."""


@dataclass(frozen=True)
class MinimumBayesRisk:
    """The hypotheses of highest expected utility, which is their `normalized_score`.

    Args:
        samples: what draws the references; it returns all that it draws. Unless told otherwise 64, without tokens below
            a probability of 0.02; unbiased samples (`epsilon` 0) need to be many more.
        utility: the decode of a file that was stopped goes on under a utility of the same `repr` alone.
        detokenize: from token ids to the text that is compared.
        candidates: the search whose hypotheses are chosen from; by default the samples. The references are samples
            either way.
        n_best: hypotheses returned per sentence; fewer where there are fewer different texts.
        metric: by which to return that hypothesis which is on average most like all samples (Eikema and Aziz 2020). Its
            expected score is the `normalized_score` of the output, negated where lower is better. To compare systems,
            use another metric than this one.
        pairwise: compare all pairs under `bleu`, `chrf` and `chrf++` too, in time quadratic in the samples; otherwise
            with the mean n-gram counts of all samples (DeNero et al. 2009; Vamvas and Sennrich 2024).
    """

    samples: Sampling = field(default_factory=lambda: Sampling(n_best=64, epsilon=0.02))
    utility: Utility = part(None)
    detokenize: Callable[[Sequence[int]], str] = part(None, repr=False)
    candidates: Any = choice({"beam": BeamSearch, "diverse_beam": DiverseBeamSearch}, None)
    n_best: int = 1
    metric: str = "chrf"
    pairwise: bool = False

    def __post_init__(self) -> None:
        most = self.samples.width if self.candidates is None else self.candidates.width
        if not 1 <= self.n_best <= most:
            raise ValueError(
                f"`n_best` must be at least 1 and at most what is chosen from ({most}), but is {self.n_best}."
            )

    @property
    def width(self) -> int:
        return self.samples.width if self.candidates is None else max(self.samples.width, self.candidates.width)

    def search(
        self,
        model: Seq2Seq,
        input_ids: Tensor,
        attention_mask: Tensor,
        prefixes: Sequence[Sequence[int]] | None = None,
        rows: Sequence[int] | None = None,
    ) -> list[list[Hypothesis]]:
        """Return each sentence's `n_best` hypotheses, no two of the same text, best first; see `search.Search`.

        A sentence that drawing or searching fails for is a failure.
        """
        sentences = (model, input_ids, attention_mask, prefixes, rows)
        samples = self.samples.search(*sentences)
        candidates = samples if self.candidates is None else self.candidates.search(*sentences)
        return [
            first_failure(found) or self._ranked(*found)[: self.n_best]
            for found in zip(candidates, samples, strict=True)
        ]

    def _ranked(self, candidates: Sequence[Hypothesis], samples: Sequence[Hypothesis]) -> list[Hypothesis]:
        """Return one hypothesis per candidate text; between equal utilities and texts the model decides."""
        drawn = Counter(self._text(sample) for sample in samples)
        likeliest: dict[str, Hypothesis] = {}
        for hypothesis in sorted(candidates, key=lambda h: (-h.normalized_score, h.tokens)):
            likeliest.setdefault(self._text(hypothesis), hypothesis)
        # An order that rounding in the model cannot change: sums over references then round alike in any batch.
        texts = sorted(drawn.keys() | likeliest.keys())
        weights = numpy.array([drawn[text] for text in texts]) / len(samples)
        utilities = dict(zip(texts, self.utility(texts, weights).tolist(), strict=True))
        found = [replace(hypothesis, normalized_score=utilities[text]) for text, hypothesis in likeliest.items()]
        return sorted(found, key=lambda h: -h.normalized_score)

    def _text(self, hypothesis: Hypothesis) -> str:
        return self.detokenize(list(hypothesis.tokens))
