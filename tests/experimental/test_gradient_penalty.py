from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seq2seq.data.batch import Batch
from seq2seq.experimental import gradient_penalty
from seq2seq.experimental.gradient_penalty import GradientPenalty
from seq2seq.gradients.base import Backprop, ForPrecision
from seq2seq.objectives.cross_entropy import CrossEntropy
from tests.gradients.around_tokens import (
    INVARIANTS,
    Line,
    a_data_parallel_model_shares_gradients_once,
    all_passes_have_the_dropout_of_plain_training,
    flat,
    full_loss,
    half_square,
    is_backprop_bit_for_bit,
    one_token,
    parts_add_up_to_the_whole,
    run,
)
from tests.models.tiny import tiny_model
from tests.objectives.batches import random_batch


def test_penalty_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """|g|^2 = (a . e)^2 |a|^2 = 225; its gradient in a is 2 (a . e) |a|^2 e + 2 (a . e)^2 a = (204, 72).

    With weight 2 and L's own gradient (a . e) e = (3, 0), that is (207, 72), and the loss 4.5 + 225.
    """
    loss, gradients = run(GradientPenalty("source", 2.0), half_square, Line(), one_token())
    assert loss.loss_sum.item() == pytest.approx(229.5)
    assert loss.logs["gradient_penalty"].item() == pytest.approx(225.0)
    assert gradients[0].tolist() == pytest.approx([207.0, 72.0], rel=1e-5)
    monkeypatch.setitem(gradient_penalty.RELATIVE_STEPS, "fp32", 1e-6)
    assert run(GradientPenalty("source", 2.0), half_square, Line(), one_token())[1][0].tolist() == pytest.approx(
        [207.0, 72.0], rel=1e-8
    )


# ---- against differentiating twice ----


def exact_penalty(model: nn.Module, batch: Batch, where: str, weight: float) -> tuple[Tensor, list[Tensor]]:
    """Return loss and gradients of L + weight / 2 |dL/de|^2 by double backward."""
    sides = ("source", "target") if where == "both" else (where,)
    shapes = {"source": batch.input_ids.shape, "target": batch.labels.shape}
    zeros: dict[str, Any] = {
        f"{side}_perturbation": torch.zeros(*shapes[side], 23).double().requires_grad_() for side in sides
    }
    model.zero_grad()
    with pytest.MonkeyPatch.context() as patch:  # what saves memory is differentiated once
        patch.setattr("seq2seq.models.transformer.layers.saves_memory", lambda *arguments: False)
        loss = full_loss(model, replace(batch, **zeros)).loss_sum
    found = torch.autograd.grad(loss, list(zeros.values()), create_graph=True)
    total = loss + 0.5 * weight * sum(part.square().sum() for part in found)
    total.backward()
    return total.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("where", ["source", "target", "both"])
@pytest.mark.parametrize("rows_per_source", [1, 2])
def test_penalty_equals_double_backward(where: Any, rows_per_source: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model(activation="gelu", dropout=0.0, positions="sinusoidal")
    batch = random_batch(3, rows_per_source)
    value, expected = exact_penalty(model, batch, where, 0.7)
    errors = []
    for step in (4e-2, 2e-2, 1e-3):
        monkeypatch.setitem(gradient_penalty.RELATIVE_STEPS, "fp32", step)
        loss, found = run(GradientPenalty(where, 0.7), full_loss, model, batch)
        assert loss.loss_sum.item() == pytest.approx(value.item(), rel=1e-9)
        errors.append(float((flat(found) - flat(expected)).norm() / flat(expected).norm()))
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.3), "the error falls with the square of the step"
    assert errors[2] < 1e-4


def test_penalty_of_the_real_loss_at_its_own_step() -> None:
    """The loss of training sums in float32, and is differentiable once."""
    model = tiny_model(activation="gelu", dropout=0.0, positions="sinusoidal")
    batch = random_batch()
    _, plain = run(Backprop(), full_loss, model, batch)
    _, expected = exact_penalty(model, batch, "both", 0.7)
    _, found = run(GradientPenalty("both", 0.7), CrossEntropy(label_smoothing=0.0), model, batch)
    of_penalty = flat(expected) - flat(plain)
    error = flat(found) - flat(expected)
    assert float(error.norm() / of_penalty.norm()) < 2e-3


def test_penalty_in_half_precision_points_the_same_way() -> None:
    model = tiny_model(activation="gelu", dropout=0.0, positions="sinusoidal").float()
    batch = random_batch()

    def of_penalty(precision: Any) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            with_penalty = flat(
                run(GradientPenalty("both", 3.0, precision), CrossEntropy(label_smoothing=0.0), model, batch)[1]
            )
            return with_penalty - flat(run(Backprop(), CrossEntropy(label_smoothing=0.0), model, batch)[1])

    assert float(torch.cosine_similarity(of_penalty("fp32"), of_penalty("bf16"), dim=0)) > 0.9


def test_it_is_told_what_the_model_computes_in() -> None:
    rule = GradientPenalty("target", 2.0)
    assert isinstance(rule, ForPrecision)
    assert rule.for_precision("bf16") == GradientPenalty("target", 2.0, "bf16")


# ---- invariants ----


def test_without_a_weight_it_is_backprop_bit_for_bit() -> None:
    is_backprop_bit_for_bit(GradientPenalty(penalty_weight=0.0))


def test_all_passes_have_the_dropout_of_plain_training() -> None:
    all_passes_have_the_dropout_of_plain_training(GradientPenalty(penalty_weight=1e-7))


def test_parts_add_up_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(gradient_penalty.RELATIVE_STEPS, "fp32", 1e-4)
    parts_add_up_to_the_whole(GradientPenalty())


@pytest.mark.parametrize("invariant", INVARIANTS, ids=lambda invariant: invariant.__name__)
def test_what_holds_for_every_rule(invariant: Any) -> None:
    invariant(GradientPenalty(penalty_weight=0.7))


def test_a_data_parallel_model_shares_gradients_once() -> None:
    a_data_parallel_model_shares_gradients_once(GradientPenalty(penalty_weight=0.7), num_passes=2)


@pytest.mark.parametrize("options", [{"penalty_weight": -1.0}, {"where": "nowhere"}])
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"`{next(iter(options))}`"):
        GradientPenalty(**options)
