"""The signature that all searches share."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from seq2seq.generation.hypothesis import Hypothesis
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
        """Return each sentence's hypotheses, best first; of one that failed, the failure alone.

        Args:
            input_ids: int64 [B, S].
            attention_mask: bool [B, S], True = real.
            prefixes: per sentence, target tokens that every hypothesis begins with; their log-probabilities count.
            rows: per sentence, its number in the corpus, 0 .. B-1 by default; only random choices depend on it.
        """
