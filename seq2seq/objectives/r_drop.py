"""R-Drop: two forwards under different dropout should predict the same.

A model and a `Batch` enter; the loss of two passes leaves, over the number of target tokens of one.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from seq2seq.data.batch import IGNORED_LABEL, Batch
from seq2seq.objectives.base import LossSum
from seq2seq.objectives.blockwise import blockwise, token_scores
from seq2seq.objectives.cross_entropy import CrossEntropy, LabelSmoothing
from seq2seq.objectives.functional import real_rows


@dataclass(frozen=True)
class RDrop(LabelSmoothing):
    """CE1 + CE2 + alpha * (KL(p1 | p2) + KL(p2 | p1)) / 2 for each target token (Liang et al. 2021, section 2.1).

    Label smoothing is of both cross-entropies; the divergences are of the model's distributions as they are. Both
    passes are one forward of the batch beside itself, encoder included, so that their dropout differs. Both terms are
    divided by the target tokens of one pass: without dropout the loss is twice the cross-entropy. The README of the
    authors' code has half of both cross-entropies instead, so that its alpha of 2.5 is ours of 5, with half the loss;
    its sum of divergences over tokens beside a mean cross-entropy is not followed.

    Its logs are `nll_sum` and `correct`, the means of both passes, and `divergence`, the term after alpha, in nats.

    Raises:
        ValueError: `consistency_weight` is negative, or `label_smoothing` is not in [0, 1).
    """

    consistency_weight: float = 5.0
    """alpha of the paper, which is twice that of its authors' README; 0 is cross-entropy, in a single pass."""

    def __post_init__(self) -> None:
        if self.consistency_weight < 0:
            raise ValueError(f"`consistency_weight` must be 0 or more, but is {self.consistency_weight}.")
        super().__post_init__()

    def __call__(self, model: nn.Module, batch: Batch, step: int) -> LossSum:
        if self.consistency_weight == 0:
            return CrossEntropy(label_smoothing=self.label_smoothing)(model, batch, step)
        score = partial(
            loss_of_two_passes,
            labels=batch.labels,
            consistency_weight=self.consistency_weight,
            label_smoothing=self.label_smoothing,
        )
        loss_sum, nll_sum, num_correct, divergence = model(**batch.repeated(2).model_inputs(), score=score).loss
        weight = (batch.labels != IGNORED_LABEL).sum().float()
        return LossSum(loss_sum, weight, {"nll_sum": nll_sum / 2, "correct": num_correct / 2, "divergence": divergence})


def loss_of_two_passes(
    hidden: Tensor,
    weight: Tensor,
    labels: Tensor,
    consistency_weight: float,
    label_smoothing: float,
    bias: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Return the sums (loss, negative log-likelihood, number correct, mean of both divergences).

    Args:
        hidden: [2 * B, T, D], the first pass before the second.
        weight: the output layer's, [V, D].
        labels: int64 [B, T].
        bias: the output layer's, [V], or None.
    """
    rows = real_rows(labels)
    labels_N = labels.flatten()[rows]

    def loss(logits_2NV: Tensor, part: slice) -> tuple[Tensor, ...]:
        log_probs_2NV = logits_2NV.log_softmax(-1)
        tokens = token_scores(log_probs_2NV, labels_N[part].expand(2, -1), label_smoothing)
        # KL(p1 | p2) + KL(p2 | p1) = sum of (p1 - p2) * (log p1 - log p2): one pass over the vocabulary for both.
        (first_NV, second_NV), (log_first_NV, log_second_NV) = log_probs_2NV.exp(), log_probs_2NV
        divergence = ((first_NV - second_NV) * (log_first_NV - log_second_NV)).sum() / 2
        loss_sum = tokens.loss.sum() + consistency_weight * divergence
        return loss_sum, tokens.nll.sum(), tokens.is_correct.sum().to(loss_sum.dtype), divergence

    return blockwise(hidden, weight, torch.stack([rows, rows + labels.numel()]), loss, bias)
