"""What weights cost on a batch: its sources are decoded greedily and their texts compared with the references.

A model and a `Batch` enter; additive statistics leave, float64 [S], which sum over batches and processes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy
from torch import nn

from seq2seq.data.batch import IGNORED_LABEL, Batch
from seq2seq.decoding.greedy import Greedy


class TextCost(Protocol):
    """A cost of texts, as `metrics.cost` makes them: 0 is perfect, lower is better."""

    def statistics(self, hypotheses: Sequence[str], references: Sequence[str]) -> numpy.ndarray: ...
    def value(self, summed: numpy.ndarray) -> float: ...


class Detokenizer(Protocol):
    def decode(self, ids: Sequence[int]) -> str: ...


class BatchCost(Protocol):
    """A cost of weights."""

    def statistics(self, model: nn.Module, batch: Batch, max_length: int) -> numpy.ndarray:
        """Return the statistics of this model on a batch, float64 [S]; no hypothesis is longer than `max_length`."""

    def value(self, summed: numpy.ndarray) -> float:
        """Return the cost that summed statistics amount to."""


@dataclass(frozen=True)
class GreedyCost:
    """The cost of greedy hypotheses, detokenised; the references are the labels, detokenised likewise."""

    cost: TextCost
    tokenizer: Detokenizer

    def statistics(self, model: nn.Module, batch: Batch, max_length: int) -> numpy.ndarray:
        """See `BatchCost.statistics`.

        Args:
            model: implements `Seq2Seq`, from left to right.
        """
        searched: Any = model
        found = Greedy(max_length=max_length).search(searched, batch.input_ids, batch.attention_mask)
        hypotheses = [self.tokenizer.decode(list(best.tokens)) for best, *_ in found]
        references = [[i for i in row if i != IGNORED_LABEL] for row in batch.labels.tolist()]
        return self.cost.statistics(hypotheses, [self.tokenizer.decode(ids) for ids in references]).sum(0)

    def value(self, summed: numpy.ndarray) -> float:
        return self.cost.value(summed)
