"""Tokens weighted by how likely the model finds them: GOLD, TaiLr and MixCE.

A model and a `Batch` enter; the sum of weight times label-smoothed cross-entropy leaves, over the number of target
tokens. Weights depend on the model, but are constants to the gradient.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from seq2seq.config.declaring import Place, part
from seq2seq.data.batch import IGNORED_LABEL, Batch
from seq2seq.objectives.base import LossSum
from seq2seq.objectives.blockwise import blockwise, token_scores
from seq2seq.objectives.cross_entropy import CrossEntropy, LabelSmoothing
from seq2seq.objectives.functional import real_rows
from seq2seq.objectives.log_probs import token_log_probs

Scorer = Callable[[Batch], Tensor]
"""Returns the log-probability of each label, [B * G, T], without a gradient; 0 on padding."""


@dataclass(frozen=True)
class ModelScorer:
    """Log-probabilities of a fixed model in evaluation mode, under the decoder inputs of the batch."""

    model: nn.Module

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Tensor:
        batch = replace(batch, source_perturbation=None, target_perturbation=None)  # these are of another's vectors
        score = partial(token_log_probs, labels=batch.labels)
        log_probs: Tensor = self.model(**batch.model_inputs(), score=score).loss
        return log_probs


@dataclass(frozen=True)
class TokenReweighting(LabelSmoothing):
    """Cross-entropy of each target token times a weight that depends on p, the model's own probability of the token.

    Label smoothing belongs to what is weighted. The logs are `nll_sum` and `correct`, both unweighted, and
    `token_weight`.
    """

    def __call__(self, model: nn.Module, batch: Batch, step: int) -> LossSum:
        if self.is_neutral:
            return CrossEntropy(label_smoothing=self.label_smoothing)(model, batch, step)
        score = partial(
            reweighted_loss,
            labels=batch.labels,
            rewards=self.rewards(batch),
            token_weights=self.token_weights,
            label_smoothing=self.label_smoothing,
        )
        loss_sum, nll_sum, num_correct, token_weight = model(**batch.model_inputs(), score=score).loss
        weight = (batch.labels != IGNORED_LABEL).sum().float()
        return LossSum(loss_sum, weight, {"nll_sum": nll_sum, "correct": num_correct, "token_weight": token_weight})

    @property
    def is_neutral(self) -> bool:
        """Whether all weights are 1, whatever the model says."""
        raise AssertionError("each way of weighting says so itself")

    def token_weights(self, probabilities: Tensor) -> Tensor:
        """Return the weight of tokens with these probabilities."""
        raise AssertionError("each way of weighting says so itself")

    def rewards(self, batch: Batch) -> Tensor | None:
        """Return further factors of the weights, [B, T]; None = all are 1."""
        return None


@dataclass(frozen=True)
class TaiLr(TokenReweighting):
    """Weight max(p / (gamma + (1 - gamma) * p), m) (TaiLr, Ji et al. 2023).

    Raises:
        ValueError: an option is out of range.
    """

    gamma: float = 0.1
    """gamma, 0 to 1; 0 is cross-entropy, 1 gives weight p."""
    min_weight: float = 0.3
    """Least weight of a token, m."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_shares(self, "gamma", "min_weight")

    @property
    def is_neutral(self) -> bool:
        return self.gamma == 0 or self.min_weight == 1

    def token_weights(self, probabilities: Tensor) -> Tensor:
        return (probabilities / (self.gamma + (1.0 - self.gamma) * probabilities)).clamp(min=self.min_weight)


@dataclass(frozen=True)
class MixCE(TokenReweighting):
    """Weight eta + (1 - eta) * p (MixCE, Zhang et al. 2023).

    Raises:
        ValueError: an option is out of range.
    """

    eta: float = 0.5
    """Share of cross-entropy, eta; 1 is cross-entropy."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_shares(self, "eta")

    @property
    def is_neutral(self) -> bool:
        return self.eta == 1

    def token_weights(self, probabilities: Tensor) -> Tensor:
        return self.eta + (1.0 - self.eta) * probabilities


@dataclass(frozen=True)
class Gold(TokenReweighting):
    """Weight max(p, u) * Q (GOLD, Pang & He 2021), Q being the sum of gamma^j * r(t + j) over a token and what follows.

    With p_MLE the `scorer`'s probability, never counted as less than m, r is p_MLE (`sump`, their GOLD-s) or
    log p_MLE - log m (`logp`, their GOLD-p; the authors' baseline is an option of its own). The authors take p from a
    copy of the model that is renewed every 3000 updates; here it is the model's own at each update, with its dropout.
    Perplexity rises under GOLD: select checkpoints by a metric.

    Raises:
        ValueError: an option is out of range.
    """

    min_probability: float = 0.2
    """Least factor that the model's own probability becomes, u; 1 leaves the reward alone as weight."""
    reward: Literal["sump", "logp"] = "sump"
    """Whether a token's reward is the scorer's probabilities or their logarithms, added over what follows."""
    min_reward: float = 0.1
    """Least probability that a reward counts, m."""
    horizon: int = 5
    """Tokens behind a token that its reward looks at; with 0 it looks at the token alone."""
    discount: float = 1.0
    """gamma, what the reward of a token loses per position."""
    scorer: Place | None = None
    """Run or model folder that gives rewards, of the same tokenizer and order; by default all are 1."""
    score: Scorer | None = part(None)
    """What gives p_MLE; None: all Q are 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_shares(self, "min_probability", "min_reward", "discount")
        if self.reward not in ("sump", "logp"):
            raise ValueError(f"`reward` must be sump or logp, but is {self.reward!r}.")
        if self.reward == "logp" and self.min_reward == 0:
            raise ValueError("`min_reward` must be above 0 with `reward: logp`, which takes its logarithm.")
        if self.horizon < 0:
            raise ValueError(f"`horizon` must be 0 or more, but is {self.horizon}.")

    @property
    def is_neutral(self) -> bool:
        return self.min_probability == 1 and self.score is None

    def token_weights(self, probabilities: Tensor) -> Tensor:
        return probabilities.clamp(min=self.min_probability)

    def rewards(self, batch: Batch) -> Tensor | None:
        return None if self.score is None else self.discounted(self.score(batch), batch.labels)

    def discounted(self, log_probs: Tensor, labels: Tensor) -> Tensor:
        """Return Q of each token, [B, T], from the scorer's log-probabilities [B, T]."""
        floor, horizon = self.min_reward, self.horizon
        values = log_probs.exp().clamp(min=floor)
        if self.reward == "logp":
            values = (values / floor).log()
        ahead = functional.pad(values.masked_fill(labels == IGNORED_LABEL, 0.0), (0, horizon))
        return ahead.unfold(1, horizon + 1, 1) @ self.discount ** torch.arange(horizon + 1.0).to(values)


def _check_shares(objective: TokenReweighting, *names: str) -> None:
    for name in names:
        if not 0.0 <= getattr(objective, name) <= 1.0:
            raise ValueError(f"`{name}` must be between 0 and 1, but is {getattr(objective, name)}.")


def reweighted_loss(
    hidden: Tensor,
    weight: Tensor,
    labels: Tensor,
    rewards: Tensor | None,
    token_weights: Callable[[Tensor], Tensor],
    label_smoothing: float,
    bias: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Return the sums (loss, negative log-likelihood, number correct, weights).

    Args:
        hidden: [B, T, D].
        weight: the output layer's, [V, D].
        labels: int64 [B, T].
        rewards: [B, T], further factors of the weights.
        token_weights: from probabilities to weights.
        bias: the output layer's, [V], or None.
    """
    rows = real_rows(labels)
    labels_N = labels.flatten()[rows]
    rewards_N = None if rewards is None else rewards.flatten()[rows]

    def loss(logits_1NV: Tensor, part: slice) -> tuple[Tensor, ...]:
        tokens = token_scores(logits_1NV[0].log_softmax(-1), labels_N[part], label_smoothing)
        weights_N = token_weights((-tokens.nll.detach()).exp())
        if rewards_N is not None:
            weights_N = weights_N * rewards_N[part]
        loss_sum = (weights_N * tokens.loss).sum()
        return loss_sum, tokens.nll.sum(), tokens.is_correct.sum().to(loss_sum.dtype), weights_N.sum()

    return blockwise(hidden, weight, rows.unsqueeze(0), loss, bias)
