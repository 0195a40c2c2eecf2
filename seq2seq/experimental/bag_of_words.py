"""The bag of words of a target, predicted from the source alone, beside its tokens.

`zlpr` scores a set of labels out of many: scores enter, a loss per set leaves. `BagOfWords` adds it to cross-entropy.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from seq2seq.data.batch import IGNORED_LABEL, Batch
from seq2seq.objectives.base import LossSum
from seq2seq.objectives.cross_entropy import CrossEntropy, LabelSmoothing
from seq2seq.objectives.functional import TokenLoss, label_smoothed_nll


def zlpr(scores: Tensor, is_positive: Tensor) -> Tensor:
    """Return log(1 + sum over others of exp(s)) + log(1 + sum over positives of exp(-s)), [...].

    ZLPR (Su et al. 2022): positives are pushed above 0 and all others below, as far as the worst of them needs.

    Args:
        scores: [..., V]; -inf takes a class that is not positive out of the loss.
        is_positive: bool [..., V].
    """
    others = scores.masked_fill(is_positive, -torch.inf)
    positives = (-scores).masked_fill(~is_positive, -torch.inf)
    return _log_one_plus_sum(others) + _log_one_plus_sum(positives)


def _log_one_plus_sum(scores: Tensor) -> Tensor:
    """Return log(1 + sum of exp(s)) over the last dimension."""
    return functional.pad(scores, (0, 1)).logsumexp(-1)


@dataclass(frozen=True)
class BagOfWords(LabelSmoothing):
    """Cross-entropy, plus lambda times `zlpr` of each source's set of target tokens.

    The scores of the set are the mean of the encoder's states times the output layer, so nothing is learnt besides the
    model. The term is one per source and not per token, and is divided by target tokens like the rest. The logs are
    those of `CrossEntropy`, and `bag_of_words`, the term before lambda, in nats.

    Raises:
        ValueError: `bag_of_words_weight` is negative, or `label_smoothing` is not in [0, 1).
        RuntimeError: the model is sharded and has taken its output layer back after the forward.
    """

    bag_of_words_weight: float = 0.1
    """lambda, weight of the set's loss, of which there is one per source; 0 is cross-entropy."""

    def __post_init__(self) -> None:
        if self.bag_of_words_weight < 0:
            raise ValueError(f"`bag_of_words_weight` must be 0 or more, but is {self.bag_of_words_weight}.")
        super().__post_init__()

    def __call__(self, model: nn.Module, batch: Batch, step: int) -> LossSum:
        if self.bag_of_words_weight == 0:
            return CrossEntropy(label_smoothing=self.label_smoothing)(model, batch, step)
        nll = partial(label_smoothed_nll, labels=batch.labels, label_smoothing=self.label_smoothing)
        output = model(
            **batch.model_inputs(),
            score=lambda hidden, weight, bias=None: (*nll(hidden, weight, bias=bias), weight),
        )
        (*sums, weight_VD), hidden_BSD = output.loss, output.encoder_last_hidden_state
        if weight_VD.untyped_storage().size() == 0:
            raise RuntimeError("`bag_of_words` needs the output layer after the forward; FSDP cannot be used with it.")
        mask_BS1 = batch.attention_mask.unsqueeze(2)
        pooled_BD = (hidden_BSD * mask_BS1).sum(1) / mask_BS1.sum(1).clamp(min=1)
        scores_BV = pooled_BD.float() @ weight_VD.float().T
        bags = zlpr(scores_BV, bags_of_words(batch.labels.reshape(len(batch), -1), len(weight_VD))).sum()
        loss = TokenLoss(*sums)
        num_tokens = (batch.labels != IGNORED_LABEL).sum().float()
        logs = {"nll_sum": loss.nll_sum, "correct": loss.num_correct, "bag_of_words": bags.detach()}
        return LossSum(loss.loss_sum + self.bag_of_words_weight * bags, num_tokens, logs)


def bags_of_words(labels: Tensor, vocab_size: int) -> Tensor:
    """Return bool [B, V], whether a token is among the labels [B, T]; padding is not."""
    bags = torch.zeros(len(labels), vocab_size + 1, dtype=torch.bool, device=labels.device)
    bags.scatter_(1, labels.masked_fill(labels == IGNORED_LABEL, vocab_size), True)
    return bags[:, :-1]
