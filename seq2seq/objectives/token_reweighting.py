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

from seq2seq.data.batch import IGNORED_LABEL, Batch
from seq2seq.objectives.base import LossSum
from seq2seq.objectives.blockwise import blockwise, token_scores
from seq2seq.objectives.cross_entropy import CrossEntropy
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
class TokenReweighting:
    """Cross-entropy of each target token times a weight, where p is the model's own probability of the token.

    `tailr`: max(p / (gamma + (1 - gamma) * p), m) (TaiLr, Ji et al. 2023). `mixce`: eta + (1 - eta) * p (MixCE, Zhang
    et al. 2023). `gold`: max(p, u) * Q (GOLD, Pang & He 2021), where Q is the sum of gamma^j * r(t + j) over the token
    and the next tokens of its row up to a horizon. With p_MLE the `scorer`'s probability, never counted as less than
    m, r is p_MLE (`sump`, their GOLD-s) or log p_MLE - log m (`logp`, their GOLD-p; the authors' baseline is an option
    of its own). The authors take p from a copy of the model that is renewed every 3000 updates; here it is the
    model's own at each update, with its dropout. Perplexity rises under GOLD: select checkpoints by a metric.

    Label smoothing belongs to what is weighted. Its logs are `nll_sum` and `correct`, both unweighted, and
    `token_weight`.

    Raises:
        ValueError: an option is out of range, or there is a scorer for another weighting than `gold`.
    """

    weighting: Literal["gold", "tailr", "mixce"]
    tailr_gamma: float = 0.0
    """gamma; 0 is cross-entropy, 1 gives weight p."""
    tailr_min_weight: float = 0.0
    """m"""
    mixce_eta: float = 1.0
    """eta; 1 is cross-entropy."""
    gold_min_probability: float = 1.0
    """u; 1 leaves the reward alone as weight."""
    gold_reward: Literal["sump", "logp"] = "sump"
    gold_min_reward: float = 0.1
    """m of the reward, a probability."""
    gold_horizon: int = 5
    """Tokens behind this one that its reward looks at."""
    gold_discount: float = 1.0
    """gamma of the reward."""
    scorer: Scorer | None = None
    """What gives p_MLE; None: all Q are 1."""
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        CrossEntropy(self.label_smoothing)  # which has the same bounds
        if self.weighting not in ("gold", "tailr", "mixce"):
            raise ValueError(f"`weighting` must be gold, tailr or mixce, but is {self.weighting!r}.")
        if self.gold_reward not in ("sump", "logp"):
            raise ValueError(f"`gold_reward` must be sump or logp, but is {self.gold_reward!r}.")
        shares = ("tailr_gamma", "tailr_min_weight", "mixce_eta", "gold_min_probability", "gold_min_reward")
        for name in (*shares, "gold_discount"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"`{name}` must be between 0 and 1, but is {getattr(self, name)}.")
        if self.gold_reward == "logp" and self.gold_min_reward == 0:
            raise ValueError("`gold_min_reward` must be above 0 with `gold_reward: logp`, which takes its logarithm.")
        if self.gold_horizon < 0:
            raise ValueError(f"`gold_horizon` must be 0 or more, but is {self.gold_horizon}.")
        if self.scorer is not None and self.weighting != "gold":
            raise ValueError(f"`scorer` gives the reward of `weighting: gold`; leave it out with {self.weighting}.")

    def __call__(self, model: nn.Module, batch: Batch, step: int) -> LossSum:
        if self.is_neutral:
            return CrossEntropy(self.label_smoothing)(model, batch, step)
        rewards = None if self.scorer is None else self.rewards(self.scorer(batch), batch.labels)
        score = partial(
            reweighted_loss,
            labels=batch.labels,
            rewards=rewards,
            token_weights=self.token_weights,
            label_smoothing=self.label_smoothing,
        )
        loss_sum, nll_sum, num_correct, token_weight = model(**batch.model_inputs(), score=score).loss
        weight = (batch.labels != IGNORED_LABEL).sum().float()
        return LossSum(loss_sum, weight, {"nll_sum": nll_sum, "correct": num_correct, "token_weight": token_weight})

    @property
    def is_neutral(self) -> bool:
        """Whether all weights are 1, whatever the model says."""
        if self.weighting == "tailr":
            return self.tailr_gamma == 0 or self.tailr_min_weight == 1
        if self.weighting == "mixce":
            return self.mixce_eta == 1
        return self.gold_min_probability == 1 and self.scorer is None

    def token_weights(self, probabilities: Tensor) -> Tensor:
        """Return the weight of tokens with these probabilities; for `gold`, what the reward is multiplied with."""
        if self.weighting == "tailr":
            gamma = self.tailr_gamma
            return (probabilities / (gamma + (1.0 - gamma) * probabilities)).clamp(min=self.tailr_min_weight)
        if self.weighting == "mixce":
            return self.mixce_eta + (1.0 - self.mixce_eta) * probabilities
        return probabilities.clamp(min=self.gold_min_probability)

    def rewards(self, log_probs: Tensor, labels: Tensor) -> Tensor:
        """Return Q of each token, [B, T], from the scorer's log-probabilities [B, T]."""
        floor, horizon = self.gold_min_reward, self.gold_horizon
        values = log_probs.exp().clamp(min=floor)
        if self.gold_reward == "logp":
            values = (values / floor).log()
        ahead = functional.pad(values.masked_fill(labels == IGNORED_LABEL, 0.0), (0, horizon))
        return ahead.unfold(1, horizon + 1, 1) @ self.gold_discount ** torch.arange(horizon + 1.0).to(values)


def reweighted_loss(
    hidden: Tensor,
    weight: Tensor,
    labels: Tensor,
    rewards: Tensor | None,
    token_weights: Callable[[Tensor], Tensor],
    label_smoothing: float,
) -> tuple[Tensor, ...]:
    """Return the sums (loss, negative log-likelihood, number correct, weights).

    Args:
        hidden: [B, T, D].
        weight: the output layer's, [V, D].
        labels: int64 [B, T].
        rewards: [B, T], further factors of the weights.
        token_weights: from probabilities to weights.
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

    return blockwise(hidden, weight, rows.unsqueeze(0), loss)
