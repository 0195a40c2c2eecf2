"""Searches that generate from the right, and the results of either direction in the order of reading.

What a search returns always reads from left to right: tokens and their log-probabilities are turned here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from seq2seq.decoding.hypothesis import Hypothesis
from seq2seq.decoding.search import Search
from seq2seq.models.interface import Seq2Seq


def read_from_right(hypothesis: Hypothesis) -> Hypothesis:
    """Return a hypothesis whose tokens were generated from the right; end of sentence stays at the end."""
    words = len(hypothesis.tokens) - hypothesis.finished
    return replace(
        hypothesis,
        tokens=(*reversed(hypothesis.tokens[:words]), *hypothesis.tokens[words:]),
        token_log_probs=(*reversed(hypothesis.token_log_probs[:words]), *hypothesis.token_log_probs[words:]),
        direction="r2l",
    )


def refuse_prefixes(prefixes: Sequence[Sequence[int]] | None, order: str) -> None:
    """Raise ValueError if there are prefixes: an order other than from the left does not begin with them."""
    if prefixes is not None and any(prefixes):
        raise ValueError(f"Forced prefixes are for generation from the left; leave them out with the order `{order}`.")


@dataclass(frozen=True)
class FromLeft:
    """A search that begins at the left end, with a model that may know other orders."""

    inner: Search

    @property
    def width(self) -> int:
        return self.inner.width

    def search(
        self,
        model: Seq2Seq,
        input_ids: Tensor,
        attention_mask: Tensor,
        prefixes: Sequence[Sequence[int]] | None = None,
        rows: Sequence[int] | None = None,
    ) -> list[list[Hypothesis]]:
        """See `search.Search`; raises ValueError if the model was not trained to begin there."""
        return self.inner.search(model.from_side(0), input_ids, attention_mask, prefixes, rows)


@dataclass(frozen=True)
class FromRight:
    """A search that begins at the right end."""

    inner: Search

    @property
    def width(self) -> int:
        return self.inner.width

    def search(
        self,
        model: Seq2Seq,
        input_ids: Tensor,
        attention_mask: Tensor,
        prefixes: Sequence[Sequence[int]] | None = None,
        rows: Sequence[int] | None = None,
    ) -> list[list[Hypothesis]]:
        """See `search.Search`; raises ValueError if the model was not trained to begin there, or has prefixes."""
        refuse_prefixes(prefixes, "r2l")
        found = self.inner.search(model.from_side(1), input_ids, attention_mask, None, rows)
        return [[read_from_right(hypothesis) for hypothesis in hypotheses] for hypotheses in found]
