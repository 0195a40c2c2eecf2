"""Token-level unlikelihood: what a target has already said is made less likely.

A model and a `Batch` enter; cross-entropy plus a penalty leaves, over the number of target tokens.
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

LEAST_COMPLEMENT = 1e-5
"""The least that 1 - p counts as, as in the authors' code: a token that is all but certain costs 11.5 nats and has no
gradient."""


@dataclass(frozen=True)
class Unlikelihood(LabelSmoothing):
    """-log p(y_t) - alpha * sum over c in C_t of log(1 - p(c)) (Welleck et al. 2020, the token-level objective).

    C_t is the set of the previous target tokens of the same row, without y_t. The authors' code takes its context from
    a stream of sentences, so that C_t crosses their borders; here it does not.

    Its logs are `nll_sum`, `correct`, and `unlikelihood`, the penalty before alpha, in nats.

    Raises:
        ValueError: `unlikelihood_weight` is negative, or `label_smoothing` is not in [0, 1).
    """

    unlikelihood_weight: float = 1.0
    """alpha; 0 is cross-entropy."""

    def __post_init__(self) -> None:
        if self.unlikelihood_weight < 0:
            raise ValueError(f"`unlikelihood_weight` must be 0 or more, but is {self.unlikelihood_weight}.")
        super().__post_init__()

    def __call__(self, model: nn.Module, batch: Batch, step: int) -> LossSum:
        if self.unlikelihood_weight == 0:
            return CrossEntropy(label_smoothing=self.label_smoothing)(model, batch, step)
        score = partial(
            unlikelihood_loss,
            labels=batch.labels,
            unlikelihood_weight=self.unlikelihood_weight,
            label_smoothing=self.label_smoothing,
        )
        loss_sum, nll_sum, num_correct, penalty = model(**batch.model_inputs(), score=score).loss
        weight = (batch.labels != IGNORED_LABEL).sum().float()
        return LossSum(loss_sum, weight, {"nll_sum": nll_sum, "correct": num_correct, "unlikelihood": penalty})


def unlikelihood(log_probs: Tensor) -> Tensor:
    """Return -log(1 - p) of log-probabilities of any shape, held by `LEAST_COMPLEMENT`."""
    return -(-torch.expm1(log_probs)).clamp(min=LEAST_COMPLEMENT).log()


def negative_candidates(labels: Tensor) -> Tensor:
    """Return bool [B, T, T]: whether the token at the last index belongs to C_t of the middle one.

    Of equal tokens only the first does, since C_t is a set.
    """
    is_equal = labels.unsqueeze(2) == labels.unsqueeze(1)
    is_first = ~is_equal.tril(-1).any(2) & (labels != IGNORED_LABEL)
    return (is_first.unsqueeze(1) & ~is_equal).tril(-1)


def unlikelihood_loss(
    hidden: Tensor,
    weight: Tensor,
    labels: Tensor,
    unlikelihood_weight: float,
    label_smoothing: float,
    bias: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Return the sums (loss, negative log-likelihood, number correct, penalty).

    Args:
        hidden: [B, T, D].
        weight: the output layer's, [V, D].
        labels: int64 [B, T].
        bias: the output layer's, [V], or None.
    """
    rows = real_rows(labels)
    labels_N, is_candidate_NT = labels.flatten()[rows], negative_candidates(labels).flatten(0, 1)[rows]
    previous_NT = labels.clamp(min=0)[rows // labels.shape[1]]

    def loss(logits_1NV: Tensor, part: slice) -> tuple[Tensor, ...]:
        log_probs_NV = logits_1NV[0].log_softmax(-1)
        tokens = token_scores(log_probs_NV, labels_N[part], label_smoothing)
        penalties_NT = unlikelihood(log_probs_NV.gather(1, previous_NT[part]))
        penalty = torch.where(is_candidate_NT[part], penalties_NT, 0.0).sum()
        loss_sum = tokens.loss.sum() + unlikelihood_weight * penalty
        return loss_sum, tokens.nll.sum(), tokens.is_correct.sum().to(loss_sum.dtype), penalty

    return blockwise(hidden, weight, rows.unsqueeze(0), loss, bias)
