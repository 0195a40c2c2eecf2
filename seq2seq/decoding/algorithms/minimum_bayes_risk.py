"""Minimum Bayes risk decoding: of a model's samples, the one that is most like all of them.

Samples stand for what the true translation may be. A candidate is ranked by its expected utility, the mean over the
samples as references, instead of its probability (Eikema and Aziz 2020). Equal texts are one candidate, and one
reference that counts as often as it was drawn, so that a text costs the same however likely it is.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy
from torch import Tensor

from seq2seq.decoding.parts.search import Hypothesis, Search, first_failure
from seq2seq.models.interface import Seq2Seq

Utility = Callable[[Sequence[str], numpy.ndarray], numpy.ndarray]
"""Takes texts and the weight of each as a reference, float64 [T], which sum to 1; returns each text's expected utility
under these references, float64 [T], higher is better."""


@dataclass(frozen=True)
class MinimumBayesRisk:
    """The hypotheses of highest expected utility, which is their `normalized_score`.

    Args:
        samples: what draws the references; it returns all that it draws.
        utility: the decode of a file that was stopped goes on under a utility of the same `repr` alone.
        detokenize: from token ids to the text that is compared.
        candidates: what finds the hypotheses to choose from; None takes the samples.
        n_best: how many are returned; fewer where there are fewer different texts.
    """

    samples: Search
    utility: Utility
    detokenize: Callable[[Sequence[int]], str] = field(repr=False)
    candidates: Search | None = None
    n_best: int = 1

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
