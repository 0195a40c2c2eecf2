"""Gradients of every objective in bfloat16, against float64 on the same numbers.

States and weights hold bfloat16 numbers, so what differs is the arithmetic. Two rulers: what torch's own operations
lose under autocast, and a bound that follows from the unit roundoff of bfloat16, 2^-8.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from seq2seq.data.batch import IGNORED_LABEL
from seq2seq.objectives.functional import label_smoothed_nll
from seq2seq.objectives.log_probs import token_log_probs
from seq2seq.objectives.minimum_risk import expected_cost
from seq2seq.objectives.r_drop import loss_of_two_passes
from seq2seq.objectives.ranking import ranking_loss
from seq2seq.objectives.reinforce import leave_one_out, policy_gradient_loss
from seq2seq.objectives.token_reweighting import Gold, MixCE, TaiLr, TokenReweighting, reweighted_loss
from seq2seq.objectives.unlikelihood import negative_candidates, unlikelihood, unlikelihood_loss

UNIT_ROUNDOFF = 2.0**-8
B, T, D = 6, 7, 29
WORSE_THAN_TORCH = 1.1

Loss = Callable[[Tensor, Tensor], Tensor]
"""From hidden states [B, T, D] and output weights [V, D] to a loss."""
OfLogProbs = Callable[[Tensor], Tensor]
"""From log-probabilities [B, T, V] to a loss."""


def numbers(size: int, spread: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return states, weights and labels, some padding; at a greater spread labels are likelier, up to near 1."""
    generator = torch.Generator().manual_seed(size)
    weight = torch.randn(size, D, generator=generator).bfloat16().float()
    labels = torch.randint(size, (B, T), generator=generator)
    labels[:, 4] = labels[:, 1]  # said before
    towards = torch.rand(B, T, 1, generator=generator) * spread / D
    hidden = towards * weight[labels] + 0.1 * torch.randn(B, T, D, generator=generator)
    labels[1, 2:], labels[3, 6:] = IGNORED_LABEL, IGNORED_LABEL
    return hidden.bfloat16().float(), weight, labels


def gradients(loss: Loss, hidden: Tensor, weight: Tensor, dtype: torch.dtype) -> list[Tensor]:
    """Return the gradients of both, in float64; products are in bfloat16 where the numbers are float32."""
    parts = [part.to(dtype, copy=True).requires_grad_() for part in (hidden, weight)]
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.float32):
        loss(*parts).backward()
    return [part.grad.double() for part in parts if part.grad is not None]


def errors(found: list[Tensor], exact: list[Tensor]) -> list[float]:
    """Return the relative error of each gradient, as a whole."""
    return [float((one - other).norm() / other.norm()) for one, other in zip(found, exact, strict=True)]


def by_torch(loss: OfLogProbs) -> Loss:
    """Return a loss of log-probabilities as torch alone would have it."""

    def of_states(hidden: Tensor, weight: Tensor) -> Tensor:
        logits = hidden @ weight.T
        return loss(logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32)))

    return of_states


# ---- what is compared ------------------------------------------------------------------------------------------------


def smoothed(log_probs: Tensor, labels: Tensor, label_smoothing: float) -> Tensor:
    """Return the label-smoothed negative log-likelihood of each token, [B, T]; 0 on padding."""
    picked = log_probs.gather(2, labels.clamp(min=0).unsqueeze(2)).squeeze(2)
    loss = -(1 - label_smoothing) * picked - label_smoothing * log_probs.mean(2)
    return loss.masked_fill(labels == IGNORED_LABEL, 0.0)


def reweighting(options: TokenReweighting, labels: Tensor, label_smoothing: float) -> tuple[Loss, OfLogProbs]:
    def ours(hidden: Tensor, weight: Tensor) -> Tensor:
        return reweighted_loss(hidden, weight, labels, None, options.token_weights, label_smoothing)[0]

    def plain(log_probs: Tensor) -> Tensor:
        weights = options.token_weights((-smoothed(log_probs, labels, 0.0)).exp().detach())
        return (weights * smoothed(log_probs, labels, label_smoothing)).sum()

    return ours, plain


def token_level(name: str, labels: Tensor, label_smoothing: float) -> tuple[Loss, OfLogProbs]:
    """Return an objective on tokens, of states as it is trained with and of log-probabilities as it is written."""
    if name == "cross_entropy":
        return (
            lambda hidden, weight: label_smoothed_nll(hidden, weight, labels, label_smoothing).loss_sum,
            lambda log_probs: smoothed(log_probs, labels, label_smoothing).sum(),
        )
    if name == "unlikelihood":
        candidates = negative_candidates(labels)

        def penalised(log_probs: Tensor) -> Tensor:
            previous = log_probs.gather(2, labels.clamp(min=0).unsqueeze(1).expand(-1, T, -1))
            penalties = torch.where(candidates & (labels != IGNORED_LABEL).unsqueeze(2), unlikelihood(previous), 0.0)
            return smoothed(log_probs, labels, label_smoothing).sum() + penalties.sum()

        return lambda hidden, weight: unlikelihood_loss(hidden, weight, labels, 1.0, label_smoothing)[0], penalised
    if name == "r_drop":
        half = labels[: B // 2]

        def of_both(log_probs: Tensor) -> Tensor:
            first, second = log_probs.chunk(2)
            apart = ((first.exp() - second.exp()) * (first - second)).sum(2).masked_fill(half == IGNORED_LABEL, 0.0)
            loss = smoothed(first, half, label_smoothing) + smoothed(second, half, label_smoothing)
            return loss.sum() + 5.0 * apart.sum() / 2

        return lambda hidden, weight: loss_of_two_passes(hidden, weight, half, 5.0, label_smoothing)[0], of_both
    options = {"tailr": TaiLr(), "mixce": MixCE(), "gold": Gold()}[name]
    return reweighting(options, labels, label_smoothing)


def sequence_level(name: str, labels: Tensor) -> Callable[[Tensor], Tensor]:
    """Return an objective on candidates, two sources with three each, of the log-probabilities of tokens [B, T]."""
    costs, counts = torch.tensor([[0.2, 0.9, 0.5], [0.7, 0.1, 0.4]]), torch.tensor([[2.0, 1.0, 1.0], [1.0, 3.0, 1.0]])
    is_real = torch.ones_like(costs, dtype=torch.bool)
    losses: dict[str, Callable[[Tensor], Tensor]] = {
        "minimum_risk": lambda scores: expected_cost(scores, costs.to(scores), is_real, 0.5),
        "ranking": lambda scores: ranking_loss(scores / T, costs.to(scores), is_real, 0.1),
        "reinforce": lambda scores: policy_gradient_loss(
            scores, costs.to(scores), counts.to(scores), leave_one_out(costs, counts).to(scores)
        ),
        "likelihood": lambda scores: scores,
    }
    if name == "sequence_unlikelihood":
        return lambda log_probs: unlikelihood(log_probs).masked_fill(labels == IGNORED_LABEL, 0.0).sum()
    return lambda log_probs: losses[name](log_probs.sum(1).view(2, 3)).sum()


# ---- tests -----------------------------------------------------------------------------------------------------------

SIZES_AND_SPREADS = [(97, 1.0), (97, 300.0), (8000, 12.0), (8000, 500.0)]
"""The last labels are all but certain, and their logits hundreds."""


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize(("size", "spread"), SIZES_AND_SPREADS)
@pytest.mark.parametrize("name", ["cross_entropy", "tailr", "mixce", "gold", "unlikelihood", "r_drop"])
def test_objectives_on_tokens_lose_no_more_than_torch(
    name: str, size: int, spread: float, label_smoothing: float
) -> None:
    hidden, weight, labels = numbers(size, spread)
    ours, plain = token_level(name, labels, label_smoothing)
    exact = gradients(by_torch(plain), hidden, weight, torch.float64)
    torchs = errors(gradients(by_torch(plain), hidden, weight, torch.float32), exact)
    for mine, other in zip(errors(gradients(ours, hidden, weight, torch.float32), exact), torchs, strict=True):
        assert mine <= WORSE_THAN_TORCH * other


@pytest.mark.parametrize(("size", "spread"), SIZES_AND_SPREADS)
@pytest.mark.parametrize("name", ["likelihood", "minimum_risk", "ranking", "reinforce", "sequence_unlikelihood"])
def test_objectives_on_candidates_lose_no_more_than_torch(name: str, size: int, spread: float) -> None:
    hidden, weight, labels = numbers(size, spread)
    loss = sequence_level(name, labels)

    def plain(log_probs: Tensor) -> Tensor:
        return loss(-smoothed(log_probs, labels, 0.0))

    def ours(hidden: Tensor, weight: Tensor) -> Tensor:
        return loss(token_log_probs(hidden, weight, labels))

    exact = gradients(by_torch(plain), hidden, weight, torch.float64)
    torchs = errors(gradients(by_torch(plain), hidden, weight, torch.float32), exact)
    for mine, other in zip(errors(gradients(ours, hidden, weight, torch.float32), exact), torchs, strict=True):
        assert mine <= WORSE_THAN_TORCH * other


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize(("size", "spread"), SIZES_AND_SPREADS)
def test_each_number_of_the_gradient_is_within_what_rounding_allows(
    size: int, spread: float, label_smoothing: float
) -> None:
    """Logits z, their gradient g and what the products with it make are each rounded once, and nothing else is.

    A logit is off by u |z|, so p by p (u |z| + sum of p u |z|) to first order, and g by u |g| more. The smoothing's
    part of either gradient is made in float32 and added to a product that was rounded.
    """
    hidden, weight, labels = numbers(size, spread)
    found = gradients(lambda h, w: label_smoothed_nll(h, w, labels, label_smoothing).loss_sum, hidden, weight,
                      torch.float32)  # fmt: skip
    real = labels.flatten() != IGNORED_LABEL
    states, weights = hidden.double().flatten(0, 1)[real], weight.double()
    logits = states @ weights.T
    shares = logits.softmax(1)
    gradient = shares.clone()
    gradient[range(len(gradient)), labels.flatten()[real]] -= 1 - label_smoothing
    off_logits = UNIT_ROUNDOFF * logits.abs()
    off = shares * (off_logits + (shares * off_logits).sum(1, keepdim=True)) + UNIT_ROUNDOFF * gradient.abs()
    off *= 1.1  # second order, and float32
    by_states, by_weights = gradient @ weights, gradient.T @ states
    exact = [by_states - label_smoothing * weights.mean(0), by_weights - label_smoothing / size * states.sum(0)]
    bounds = [
        off @ weights.abs() + UNIT_ROUNDOFF * (by_states.abs() + off @ weights.abs()) + 1e-6,
        off.T @ states.abs() + UNIT_ROUNDOFF * (by_weights.abs() + off.T @ states.abs()) + 1e-6,
    ]
    for one, other, bound in zip([found[0].flatten(0, 1)[real], found[1]], exact, bounds, strict=True):
        assert ((one - other).abs() <= bound).all(), float(((one - other).abs() / bound).max())


def test_torchs_cross_entropy_is_the_same_ruler() -> None:
    """What stands for torch above is what `cross_entropy` computes."""
    hidden, weight, labels = numbers(97, 1.0)
    flat = lambda h, w: cross_entropy((h @ w.T).flatten(0, 1), labels.flatten(), reduction="sum", label_smoothing=0.1)  # noqa: E731
    plain = by_torch(lambda log_probs: smoothed(log_probs, labels, 0.1).sum())
    for one, other in zip(*(gradients(loss, hidden, weight, torch.float64) for loss in (flat, plain)), strict=True):
        torch.testing.assert_close(one, other)
