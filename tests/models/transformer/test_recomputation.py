"""Layers that compute their activations twice have the losses and the gradients of those that keep them, to the bit."""

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seq2seq.experimental.gradient_penalty import GradientPenalty
from seq2seq.gradients.adversarial import AdversarialTraining
from seq2seq.gradients.base import Backprop, GradientRule
from seq2seq.models.transformer.packing import decoding_copy
from seq2seq.models.transformer.recomputation import recompute_layers
from seq2seq.objectives.base import Objective
from seq2seq.objectives.cross_entropy import CrossEntropy
from seq2seq.objectives.decoder_inputs import WithDecoderInputs
from seq2seq.objectives.first_pass import Mixing
from seq2seq.objectives.gold_schedules import GoldSchedule
from seq2seq.objectives.r_drop import RDrop
from seq2seq.objectives.scheduled_sampling import ScheduledSampling
from tests.models.tiny import tiny_model
from tests.objectives.batches import SPECIAL_IDS, random_batch

CROSS_ENTROPY = CrossEntropy(label_smoothing=0.1)
DROPOUT = {"dropout": 0.3, "attention_dropout": 0.2, "activation_dropout": 0.1, "token_dropout": 0.1}


def model_of(*, recomputes: bool, **options: Any) -> nn.Module:
    torch.manual_seed(5)
    model = tiny_model(**DROPOUT, **options).float().train()
    if recomputes:
        recompute_layers(model)
    return model


def step(
    model: nn.Module, objective: Objective, rule: GradientRule, *, bf16: bool = False
) -> tuple[Tensor, list[Tensor], Tensor]:
    """Return the loss, all gradients, and the random state that they leave behind."""
    torch.manual_seed(7)
    with torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
        loss = rule(objective, model, random_batch(), 1, torch.Tensor.backward)
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return loss.loss_sum, gradients, torch.get_rng_state()


def scheduled_sampling() -> Objective:
    gold = GoldSchedule(step_schedule="constant", gold_floor=0.5)
    return WithDecoderInputs(CROSS_ENTROPY, ScheduledSampling(SPECIAL_IDS, 23**0.5, gold=gold, mixture=Mixing("soft")))


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize(
    ("objective", "rule"),
    [
        (CROSS_ENTROPY, Backprop()),
        (RDrop(), Backprop()),
        (scheduled_sampling(), Backprop()),
        (CROSS_ENTROPY, AdversarialTraining()),
        (CROSS_ENTROPY, GradientPenalty()),
    ],
    ids=["cross_entropy", "r_drop", "scheduled_sampling", "adversarial", "penalty"],
)
def test_losses_and_gradients_are_the_same_to_the_bit(objective: Objective, rule: GradientRule, bf16: bool) -> None:
    (kept_loss, kept, state), (loss, found, other_state) = (
        step(model_of(recomputes=recomputes), objective, rule, bf16=bf16) for recomputes in (False, True)
    )
    assert torch.equal(kept_loss, loss)
    assert len(kept) == len(found) > 40
    assert all(torch.equal(*pair) for pair in zip(kept, found, strict=True))
    assert torch.equal(state, other_state)


@pytest.mark.parametrize(
    "options", [{"generation_order": "interleaved"}, {"norm_position": "post", "positions": "rotary"}]
)
def test_of_other_networks_too(options: dict[str, Any]) -> None:
    kept, found = (step(model_of(recomputes=again, **options), CROSS_ENTROPY, Backprop())[1] for again in (False, True))
    assert all(torch.equal(*pair) for pair in zip(kept, found, strict=True))


def test_layers_run_twice_in_training_and_once_elsewhere() -> None:
    model: Any = model_of(recomputes=True)
    calls: list[str] = []
    model.decoder.layers[1].feed_forward.register_forward_hook(lambda *_: calls.append("decoder"))
    model.encoder.layers[0].feed_forward.register_forward_hook(lambda *_: calls.append("encoder"))
    step(model, CROSS_ENTROPY, Backprop())
    assert calls == ["encoder", "decoder", "decoder", "encoder"]
    calls.clear()
    with torch.no_grad():
        CROSS_ENTROPY(model, random_batch(), 1)
    CROSS_ENTROPY(model.eval(), random_batch(), 1).loss_sum.backward()
    assert calls == ["encoder", "decoder"] * 2
    assert not decoding_copy(model, torch.float32).training
