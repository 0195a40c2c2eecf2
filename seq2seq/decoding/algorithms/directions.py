"""Searches that generate from the right, and the results of either direction in the order of reading.

What a search returns always reads from left to right: tokens and their log-probabilities are turned here.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from seq2seq.data.generation_order import LEFT, RIGHT
from seq2seq.decoding.algorithms.driver import Algorithm, Audience, Sources
from seq2seq.generation.hypothesis import Hypothesis
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
class Silent:
    """An `Audience` that may leave, but hears nothing."""

    of: Audience

    def gone(self) -> Collection[int]:
        return self.of.gone()

    def listening(self) -> Collection[int]:
        return ()

    def hear(self, place: int, tokens: Sequence[int]) -> None:
        raise AssertionError("nobody listens")


@dataclass(frozen=True)
class FromSide:
    """A search that begins at one end of the target, with a model that may know other orders.

    Args:
        side: `LEFT` or `RIGHT`.
    """

    inner: Algorithm[Any]
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
        found = dict(self.found(model, Sources(input_ids, attention_mask, prefixes, rows)))
        return [found[position] for position in range(len(input_ids))]

    def found(
        self, model: Seq2Seq, sources: Sources, audience: Audience | None = None
    ) -> Iterator[tuple[int, list[Hypothesis]]]:
        """See `driver.Algorithm.found`; who listens hears nothing of what begins at the right end."""
        if self.side == LEFT:
            yield from self.inner.found(model.from_side(LEFT), sources, audience)
            return
        refuse_prefixes(sources.prefixes, "r2l")
        for place, hypotheses in self.inner.found(model.from_side(RIGHT), sources, audience and Silent(audience)):
            yield place, [read_from_right(hypothesis) for hypothesis in hypotheses]
