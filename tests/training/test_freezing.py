"""Groups of parameters that stay as they are, each by a name that says what is in it."""

from typing import Any

import pytest
import torch
from torch import nn

from seq2seq.gradients.adversarial import AdversarialTraining
from seq2seq.gradients.base import Backprop
from seq2seq.objectives.cross_entropy import CrossEntropy
from seq2seq.training.freezing import GROUPS, Counts, check_groups, freeze
from seq2seq.training.options import TrainingOptions
from tests.models.tiny import tiny_model
from tests.objectives.batches import random_batch


def frozen_names(model: nn.Module) -> set[str]:
    return {name for name, p in model.named_parameters(remove_duplicate=False) if not p.requires_grad}


def frozen(*groups: str, tie: str = "none", **layers: int) -> set[str]:
    model = tiny_model(tie_embeddings=tie, positions="learned")
    freeze(model, groups, **layers)
    return frozen_names(model)


def test_each_group_is_what_it_is_called() -> None:
    names = {name for name, _ in tiny_model(tie_embeddings="none", positions="learned").named_parameters()}
    parts = ("tokens.weight", "positions.vectors.weight")
    assert frozen("embeddings") == {f"{stack}.embeddings.{part}" for stack in ("encoder", "decoder") for part in parts}
    assert frozen("output_layer") == {"lm_head.weight"}
    assert frozen("encoder") | frozen("decoder") | frozen("output_layer") == names
    assert not frozen("encoder") & frozen("decoder")
    attention = frozen("self_attention")
    assert "encoder.layers.0.self_attention.queries_keys_values.weight" in attention
    assert "decoder.layers.1.self_attention.output.bias" in attention
    assert all(".self_attention." in name for name in attention)
    assert {name.split(".")[4] for name in frozen("cross_attention")} == {"queries", "source_keys_values", "output"}
    assert {name.split(".")[4] for name in frozen("feed_forward")} == {"expand", "contract"}
    assert {name for name in names if "norm" in name} == frozen("norms")
    assert {name for name in names if name.endswith(".bias")} == frozen("biases")
    assert set(GROUPS) == {
        *("embeddings", "output_layer", "encoder", "decoder", "self_attention", "cross_attention", "feed_forward"),
        *("norms", "biases"),
    }


def test_the_first_layers_of_a_stack() -> None:
    found = frozen(decoder_layers=1, encoder_layers=1)
    assert {".".join(name.split(".")[:3]) for name in found} == {"encoder.layers.0", "decoder.layers.0"}
    assert len(frozen(decoder_layers=2)) == 2 * len(frozen(decoder_layers=1))
    with pytest.raises(ValueError, match="no parameters for layer 3 of `freeze_decoder_layers`"):
        frozen(decoder_layers=3)


def test_what_is_shared_is_frozen_everywhere() -> None:
    assert "lm_head.weight" in frozen("encoder", tie="all")
    assert "decoder.embeddings.tokens.weight" in frozen("encoder", tie="all")
    assert "decoder.embeddings.positions.vectors.weight" not in frozen("encoder", tie="all")
    assert "lm_head.weight" in frozen("embeddings", tie="target")
    assert "encoder.embeddings.tokens.weight" not in frozen("output_layer", tie="target")


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Nothing is left to train: .*`freeze: \[encoder\]`"):
        frozen("encoder", "decoder", tie="target")
    with pytest.raises(ValueError, match="`freeze` takes embeddings, .* but not 'embedding'"):
        TrainingOptions(freeze=("embedding",))
    with pytest.raises(ValueError, match="`freeze` names 'norms' twice"):
        check_groups(("norms", "norms"), "freeze")
    with pytest.raises(ValueError, match="`freeze_encoder_layers` must be 0 or more"):
        TrainingOptions(freeze_encoder_layers=-1)
    with pytest.raises(ValueError, match=r"no parameters for `freeze: \[embeddings\]`"):
        freeze(nn.Linear(2, 3), ["embeddings"])


def test_counts_are_told() -> None:
    model = nn.Linear(199, 5)
    assert str(Counts.of(model)) == "1,000 parameters"
    model.weight.requires_grad_(False)
    assert str(Counts.of(model)) == "1,000 parameters, 5 of them (0.5%) in training"


@pytest.mark.parametrize("rule", [Backprop(), AdversarialTraining()])
@pytest.mark.parametrize("groups", [("embeddings",), ("encoder", "norms"), ("decoder",), ("embeddings", "biases")])
def test_what_is_trained_gets_the_gradient_of_before_and_what_is_frozen_none(rule: Any, groups: Any) -> None:
    gradients = []
    for chosen in ((), groups):
        torch.manual_seed(3)
        model = tiny_model(tie_embeddings="target", dropout=0.0).train()
        freeze(model, chosen)
        rule(CrossEntropy(label_smoothing=0.1), model, random_batch(), 1, lambda loss: loss.backward())
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    everything, found = gradients
    assert {name for name, grad in found.items() if grad is None} == frozen_names(model) & found.keys()
    for name, gradient in found.items():
        if gradient is not None:
            assert gradient.equal(everything[name]), name
