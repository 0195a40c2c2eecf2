"""What objectives on whole candidates share: their log-probabilities, their cost as text, and the mix with likelihood.

Each of these objectives has a loss L_i per source i, which counts as often as its reference has tokens, n_i: the loss
sum is sum_i n_i L_i and the weight sum_i n_i, as that of cross-entropy. So sums add over any split into micro-batches
and processes, and their quotient is a mean over sources, the longer ones weighing more, as they do in a corpus score.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from seq2seq.config.declaring import part
from seq2seq.data.batch import IGNORED_LABEL, Batch
from seq2seq.metrics.cost import Cost
from seq2seq.objectives.base import LossSum
from seq2seq.objectives.candidates import CandidatePool, unpadded
from seq2seq.objectives.cross_entropy import CrossEntropy, LabelSmoothing
from seq2seq.objectives.log_probs import token_log_probs


@dataclass(frozen=True, kw_only=True)
class SequenceObjective(LabelSmoothing):
    """(1 - m) times an objective on what is generated, plus m times cross-entropy of the batch, m being `mle_weight`.

    At m = 1 it is cross-entropy and nothing else; at m = 0 there is no pass for it. Cross-entropy comes first, so its
    dropout is that of a run without the other objective.

    Raises:
        ValueError: an option is out of range.
    """

    mle_weight: float = 0.1
    """Share of cross-entropy of the reference in the loss, 0 to 1; 1 leaves nothing else."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.mle_weight <= 1.0:
            raise ValueError(f"`mle_weight` must be in [0, 1], but is {self.mle_weight}.")
        super().__post_init__()

    def sequence_loss(self, model: nn.Module, batch: Batch) -> LossSum:
        """Return the loss of what the model generates."""
        raise AssertionError("each objective says so itself")

    def __call__(self, model: nn.Module, batch: Batch, step: int) -> LossSum:
        if self.mle_weight == 0.0:
            return self.sequence_loss(model, batch)
        likelihood = CrossEntropy(label_smoothing=self.label_smoothing)(model, batch, step)
        if self.mle_weight == 1.0:
            return likelihood
        loss = self.sequence_loss(model, batch)
        loss_sum = (1.0 - self.mle_weight) * loss.loss_sum + self.mle_weight * likelihood.loss_sum
        return LossSum(loss_sum, likelihood.weight, likelihood.logs | loss.logs)


@dataclass(frozen=True, kw_only=True)
class CostObjective(SequenceObjective):
    """An objective on the cost of what is generated."""

    cost: str = "bleu"
    """Metric whose cost is minimised: 1 - score / 100, or the error rate / 100; one of those of `validation.metrics`.
    Sentence BLEU is taken with effective order. Or `word_rotators_distance` or `word_movers_distance` between word
    vectors, which are the target embeddings of the model that the training starts from (needs the package POT)."""
    text_cost: "TextCost" = part(None)
    """What measures it."""


@dataclass(frozen=True)
class TextCost:
    """The cost of token ids, as text.

    Args:
        decode: texts of token ids in the order of reading; special tokens are left out.
        from_right: whether rows hold their tokens from right to left.
    """

    cost: Cost
    decode: Callable[[Sequence[Sequence[int]]], Sequence[str]]
    from_right: bool = False

    def __call__(self, candidates: CandidatePool, references: Batch) -> Tensor:
        """Return the cost of each candidate against its source's reference, float32 [B, N]; 0 where there is none."""
        is_real = candidates.is_real
        hypotheses = self._texts([ids for ids in unpadded(candidates.batch.labels) if ids])
        places = is_real.nonzero()[:, 0].tolist()
        targets = self._texts(unpadded(references.labels))
        costs = torch.from_numpy(self.cost.per_segment(hypotheses, [targets[place] for place in places]))
        filled = torch.zeros(is_real.shape, device=is_real.device)
        filled[is_real] = costs.to(is_real.device, torch.float32)
        return filled

    def _texts(self, rows: Sequence[Sequence[int]]) -> Sequence[str]:
        """Return the texts of rows; end of sentence is no part of a text, so it may come first."""
        return self.decode([ids[::-1] for ids in rows] if self.from_right else rows)


def row_log_probs(model: nn.Module, batch: Batch) -> Tensor:
    """Return the log-probability of each label of a batch, at least float32 [B * N, T], 0 on ignored ones."""
    log_probs: Tensor = model(**batch.model_inputs(), score=partial(token_log_probs, labels=batch.labels)).loss
    return log_probs


def candidate_log_probs(model: nn.Module, candidates: CandidatePool) -> Tensor:
    """Return the log-probability of each candidate, [B, N], up to and with its end; 0 where there is none."""
    return row_log_probs(model, candidates.batch).sum(1).view(candidates.counts.shape)


def added_up(batch: Batch, losses: Tensor, **logs: Tensor) -> LossSum:
    """Return losses and logs per source, [B], added with the number of target tokens as each source's weight."""
    num_tokens = (batch.labels != IGNORED_LABEL).sum(1)
    sums = {name: (num_tokens * values).sum().float() for name, values in logs.items()}
    return LossSum((num_tokens * losses).sum(), num_tokens.sum().float(), sums)


def mean_cost(costs: Tensor, candidates: CandidatePool) -> Tensor:
    """Return the mean cost of what was found for each source, duplicates and all, [B]."""
    return (costs * candidates.counts).sum(1) / candidates.counts.sum(1)
