"""Searches that generate from the right, and the results of either direction in the order of reading.

What a search returns always reads from left to right: tokens and their log-probabilities are turned here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from seq2seq.data.generation_order import LEFT, RIGHT
from seq2seq.decoding.parts.search import Hypothesis, Search
from seq2seq.models.interface import Seq2Seq, UnsuitableModel


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
    """Raise UnsuitableModel if there are prefixes: an order other than from the left does not begin with them."""
    if prefixes is not None and any(prefixes):
        raise UnsuitableModel(
            f"Forced prefixes are for generation from the left; leave them out with the order `{order}`."
        )


@dataclass(frozen=True)
class FromSide:
    """A search that begins at one end of the target, with a model that may know other orders.

    Args:
        side: `LEFT` or `RIGHT`.
    """

    inner: Search
    side: int

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
        """See `search.Search`.

        Raises:
            ValueError: the model was not trained to begin there, or there are prefixes for the right end.
        """
        if self.side == RIGHT:
            refuse_prefixes(prefixes, "r2l")
        found = self.inner.search(model.from_side(self.side), input_ids, attention_mask, prefixes, rows)
        return found if self.side == LEFT else [[read_from_right(h) for h in hypotheses] for hypotheses in found]
