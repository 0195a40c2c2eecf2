"""What all searches share: their signature, and what is an error."""

import math
from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from seq2seq.decoding.parts.hypothesis import Hypothesis
from seq2seq.models.interface import Seq2Seq


class Search(Protocol):
    """An algorithm that turns sources into hypotheses."""

    @property
    def width(self) -> int:
        """Hypotheses per source that run at the same time: what a decoding batch is charged for."""

    def search(
        self,
        model: Seq2Seq,
        input_ids: Tensor,
        attention_mask: Tensor,
        prefixes: Sequence[Sequence[int]] | None = None,
        rows: Sequence[int] | None = None,
    ) -> list[list[Hypothesis]]:
        """Return each sentence's hypotheses, best first.

        Args:
            input_ids: int64 [B, S].
            attention_mask: bool [B, S], True = real.
            prefixes: per sentence, target tokens that every hypothesis begins with; their log-probabilities count.
            rows: per sentence, its number in the corpus, 0 .. B-1 by default; only random choices depend on it.

        Raises:
            ValueError: the model's logits are not finite, so that nothing can be ranked.
        """


def finite_or_error(results: list[list[Hypothesis]]) -> list[list[Hypothesis]]:
    """Return the results of a batch.

    Raises:
        ValueError: a sentence has no hypothesis with a score.
    """
    for position, hypotheses in enumerate(results):
        if not hypotheses or math.isnan(hypotheses[0].score):
            raise ValueError(
                f"Sentence {position} of the batch has no hypothesis because the model's logits are not finite. "
                "Look for NaN in its weights, or compute in a wider type than fp16."
            )
    return results
