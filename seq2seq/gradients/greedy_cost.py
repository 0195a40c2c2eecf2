"""What weights cost on a batch: its sources are decoded greedily and their texts compared with the references.

A model and a `Batch` enter; additive statistics leave, float64 [S], which sum over batches and processes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy
from torch import nn

from seq2seq.data.batch import IGNORED_LABEL, Batch
from seq2seq.decoding.algorithms.greedy import Greedy
from seq2seq.generation.hypothesis import found_or_error
from seq2seq.metrics.cost import Cost
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.transformer.side_by_side import SideBySide


class Detokenizer(Protocol):
    def decode(self, ids: Sequence[int]) -> str: ...


class BatchCost(Protocol):
    """A cost of weights."""

    def statistics(self, model: nn.Module, batch: Batch, max_length: int) -> numpy.ndarray:
        """Return the statistics of this model on a batch, float64 [S]; no hypothesis is longer than `max_length`."""

    def statistics_of_all(self, models: SideBySide, batch: Batch, max_length: int) -> numpy.ndarray:
        """Return the statistics of K models, float64 [K, S], each as by `statistics`."""

    def value(self, summed: numpy.ndarray) -> float:
        """Return the cost that summed statistics amount to."""


@dataclass(frozen=True)
class GreedyCost:
    """The cost of greedy hypotheses, detokenised; the references are the labels, detokenised likewise."""

    cost: Cost
    tokenizer: Detokenizer

    def statistics(self, model: nn.Module, batch: Batch, max_length: int) -> numpy.ndarray:
        """See `BatchCost.statistics`.

        Args:
            model: implements `Seq2Seq`, from left to right.
        """
        searched: Any = model
        return self._by_pair(searched, batch, max_length, num_models=1).sum(0)

    def statistics_of_all(self, models: SideBySide, batch: Batch, max_length: int) -> numpy.ndarray:
        by_pair = self._by_pair(models, batch, max_length, models.num_models)
        return by_pair.reshape(models.num_models, len(batch.input_ids), -1).sum(1)

    def _by_pair(self, model: Seq2Seq, batch: Batch, max_length: int, num_models: int) -> numpy.ndarray:
        """Return the statistics of every pair, float64 [num_models * B, S]; the model is given the batch so often."""
        sources, mask = (tensor.repeat(num_models, 1) for tensor in (batch.input_ids, batch.attention_mask))
        found = found_or_error(Greedy(max_length=max_length).search(model, sources, mask))
        hypotheses = [self.tokenizer.decode(list(best.tokens)) for best, *_ in found]
        labels = [[i for i in row if i != IGNORED_LABEL] for row in batch.labels.tolist()]
        references = [self.tokenizer.decode(ids) for ids in labels]
        return self.cost.statistics(hypotheses, references * num_models)

    def value(self, summed: numpy.ndarray) -> float:
        return self.cost.value(summed)
