import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from seq2seq.data.batch import IGNORED_LABEL, Batch
from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig
from seq2seq.objectives.token_reweighting import Gold, MixCE, ModelScorer, TaiLr, TokenReweighting, reweighted_loss
from tests.objectives.neutrality import assert_is_cross_entropy, effects
from tests.training.fakes import VOCAB_SIZE, TinyModel, make_batch

B, T, D, V = 3, 5, 7, 11


def uniform(batch: Batch) -> Tensor:
    """A scorer that finds each token alike, with a probability of 1/2."""
    return torch.full(batch.labels.shape, math.log(0.5)).masked_fill(batch.labels == IGNORED_LABEL, 0.0)


@pytest.mark.parametrize(
    ("kind", "options", "probability", "weight"),
    [
        (TaiLr, {"gamma": 0.5, "min_weight": 0.1}, 0.25, 0.4),  # 1/4 / (1/2 + 1/2 * 1/4)
        (TaiLr, {"gamma": 1.0, "min_weight": 0.1}, 0.25, 0.25),
        (TaiLr, {"gamma": 0.5, "min_weight": 0.6}, 0.25, 0.6),
        (TaiLr, {"gamma": 0.5, "min_weight": 0.0}, 0.0, 0.0),
        (MixCE, {"eta": 0.2}, 0.25, 0.4),  # 1/5 + 4/5 * 1/4
        (Gold, {"min_probability": 0.2}, 0.25, 0.25),
        (Gold, {"min_probability": 0.3}, 0.25, 0.3),
    ],
)
def test_weights_by_hand(
    kind: type[TokenReweighting], options: dict[str, Any], probability: float, weight: float
) -> None:
    found = kind(**options).token_weights(torch.tensor(probability, dtype=torch.float64))
    assert found.item() == pytest.approx(weight)


def test_rewards_by_hand() -> None:
    """Probabilities 0.5, 0.05, 0.8 and padding: 0.05 counts as 0.1; two tokens ahead, each worth half of the last."""
    log_probs = torch.tensor([[0.5, 0.05, 0.8, 1.0]], dtype=torch.float64).log()
    labels = torch.tensor([[5, 6, 2, IGNORED_LABEL]])
    options: dict[str, Any] = {"min_reward": 0.1, "horizon": 2, "discount": 0.5}
    sums = Gold(reward="sump", **options).discounted(log_probs, labels)
    assert sums[0].tolist() == pytest.approx([0.5 + 0.05 + 0.2, 0.1 + 0.4, 0.8, 0.0])
    logs = Gold(reward="logp", **options).discounted(log_probs, labels)
    assert logs[0].tolist() == pytest.approx([math.log(5) + math.log(8) / 4, math.log(8) / 2, math.log(8), 0.0])
    nearby = Gold(**(options | {"horizon": 0})).discounted(log_probs, labels)
    assert nearby[0].tolist() == pytest.approx([0.5, 0.1, 0.8, 0.0])


def test_value_and_gradient_by_hand() -> None:
    """p = (1/2, 1/4, 1/4), label 1 at half weight: loss ln 4 / 2, gradient (p - one_hot) / 2."""
    hidden = torch.tensor([[[math.log(2.0), 0.0, 0.0]]], dtype=torch.float64, requires_grad=True)
    identity, labels = torch.eye(3, dtype=torch.float64), torch.tensor([[1]])
    halves = lambda p: torch.full_like(p, 0.5)  # noqa: E731
    loss, nll, _, weights = reweighted_loss(hidden, identity, labels, None, halves, 0.0)
    loss.backward()
    assert (loss.item(), nll.item(), weights.item()) == pytest.approx((math.log(2), math.log(4), 0.5))
    assert hidden.grad is not None
    assert hidden.grad.flatten().tolist() == pytest.approx([0.25, -0.375, 0.125])


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (TaiLr, {"gamma": 0.3, "min_weight": 0.05}),
        (MixCE, {"eta": 0.2}),
        (Gold, {"min_probability": 0.05}),
    ],
)
def test_weights_depend_on_the_model_and_carry_no_gradient(
    kind: type[TokenReweighting], options: dict[str, Any]
) -> None:
    """Compared with plain code under constant weights; with live ones the gradient would be another."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(B, T, D, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(V, D, generator=generator, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(V, (B, T), generator=generator)
    labels[0, 2:] = IGNORED_LABEL
    rewards = torch.rand(B, T, generator=generator, dtype=torch.float64)
    weighting = kind(**options)

    def plain(*, live: bool) -> Tensor:
        log_probs = (hidden @ weight.T).log_softmax(-1)
        real = labels != IGNORED_LABEL
        picked = log_probs[real].gather(1, labels[real].unsqueeze(1)).squeeze(1)
        probabilities = (picked if live else picked.detach()).exp()
        smoothed = cross_entropy(log_probs[real], labels[real], reduction="none", label_smoothing=0.2)
        return (weighting.token_weights(probabilities) * rewards[real] * smoothed).sum()

    found = reweighted_loss(hidden, weight, labels, rewards, weighting.token_weights, 0.2)[0]
    gradients = torch.autograd.grad(found, (hidden, weight))
    expected = torch.autograd.grad(plain(live=False), (hidden, weight))
    torch.testing.assert_close(found, plain(live=False), rtol=1e-12, atol=0)
    torch.testing.assert_close(gradients, expected, rtol=1e-10, atol=1e-12)
    live = torch.autograd.grad(plain(live=True), (hidden, weight))
    assert not torch.allclose(gradients[0], live[0], rtol=1e-2)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (TaiLr, {"gamma": 0.0, "min_weight": 0.3}),
        (MixCE, {"eta": 1.0}),
        (Gold, {"min_probability": 1.0}),
    ],
)
def test_weights_of_one_are_cross_entropy_to_the_last_bit(
    kind: type[TokenReweighting], options: dict[str, Any], label_smoothing: float
) -> None:
    assert_is_cross_entropy(kind(**options, label_smoothing=label_smoothing), label_smoothing)


def test_equal_rewards_scale_the_loss() -> None:
    """Rewards of 1/2 a token, no look ahead: half of cross-entropy, by the path that is not short."""
    halved = effects(Gold(min_probability=1.0, horizon=0, score=uniform, label_smoothing=0.0))
    whole = effects(Gold(min_probability=1.0, label_smoothing=0.0))
    assert halved["token_weight"].item() == pytest.approx(halved["weight"].item() / 2)
    torch.testing.assert_close(halved["loss_sum"], whole["loss_sum"] / 2)
    torch.testing.assert_close(halved["embedding.weight"], whole["embedding.weight"] / 2, rtol=1e-4, atol=1e-6)
    assert torch.equal(halved["generator"], whole["generator"])


def test_a_models_scores_leave_dropout_gradients_and_perturbations_alone() -> None:
    torch.manual_seed(0)
    options: dict[str, Any] = {"d_model": 8, "num_heads": 2, "ffn_size": 16, "encoder_layers": 1, "decoder_layers": 1}
    model = Seq2SeqTransformer(Seq2SeqTransformerConfig(vocab_size=VOCAB_SIZE, dropout=0.5, **options)).eval()
    batch = make_batch([0, 1, 2])
    state = torch.get_rng_state()
    perturbed = replace(batch, target_perturbation=torch.ones(*batch.labels.shape, 8))
    found = ModelScorer(model)(perturbed)
    assert torch.equal(torch.get_rng_state(), state)
    assert not found.requires_grad
    logits = model(**batch.model_inputs()).logits
    expected = -cross_entropy(logits.transpose(1, 2), batch.labels, reduction="none", ignore_index=IGNORED_LABEL)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-5, atol=1e-6)


def test_as_an_objective() -> None:
    model, batch = TinyModel(), make_batch([0, 1, 2, 3, 4])
    loss = MixCE(eta=0.3, label_smoothing=0.0)(model, batch, 1)
    neutral = MixCE(eta=1.0, label_smoothing=0.0)(model, batch, 1)
    assert loss.weight.item() == neutral.weight.item() == batch.num_target_tokens
    torch.testing.assert_close(loss.logs["nll_sum"], neutral.logs["nll_sum"], rtol=1e-6, atol=0)
    assert 0.3 * loss.weight < loss.logs["token_weight"] < loss.weight
    assert loss.loss_sum < neutral.loss_sum


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (TaiLr, {"gamma": 1.1}, "`gamma` must be between 0 and 1"),
        (TaiLr, {"min_weight": -0.1}, "`min_weight`"),
        (MixCE, {"eta": -1.0}, "`eta`"),
        (Gold, {"min_probability": 2.0}, "`min_probability`"),
        (Gold, {"min_reward": 2.0}, "`min_reward`"),
        (Gold, {"discount": 2.0}, "`discount`"),
        (Gold, {"horizon": -1}, "`horizon`"),
        (Gold, {"reward": "p"}, "`reward` must be sump or logp"),
        (Gold, {"reward": "logp", "min_reward": 0.0}, "takes its logarithm"),
        (TaiLr, {"label_smoothing": 1.0}, "`label_smoothing`"),
    ],
)
def test_options_out_of_range_are_refused(kind: type[TokenReweighting], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**options)
