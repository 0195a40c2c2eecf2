from typing import Any

import pytest
import torch
from torch import nn

from seq2seq.training.optimizer import build_optimizer, decay_groups
from tests.models.tiny import tiny_model
from tests.training.fakes import TinyModel


def names_in(model: nn.Module, group: dict) -> set[str]:
    members = {id(parameter) for parameter in group["params"]}
    return {name for name, parameter in model.named_parameters() if id(parameter) in members}


def test_decay_spares_biases_norms_and_embeddings_also_where_tied() -> None:
    model = TinyModel()
    decayed, others = decay_groups(model, 0.1)
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    assert names_in(model, decayed) == {"hidden.weight"}
    assert names_in(model, others) == {"embedding.weight", "hidden.bias", "norm.weight", "norm.bias"}


class Mixing(nn.Module):
    """Owns parameters that start where they change nothing, which is not 0."""

    def __init__(self) -> None:
        super().__init__()
        self.mixing = nn.Parameter(torch.eye(3))
        self.scale = nn.Parameter(torch.ones(3, 1))
        self.gate = nn.Parameter(torch.ones(()))
        self.norm = nn.RMSNorm(3)
        self.product = nn.Linear(3, 3)


def test_decay_spares_what_a_module_owns_besides_products() -> None:
    decayed, others = decay_groups(Mixing(), 0.1)
    assert [len(group["params"]) for group in (decayed, others)] == [1, 5]
    model = Mixing()
    assert names_in(model, decay_groups(model, 0.1)[0]) == {"product.weight"}


@pytest.mark.parametrize(
    "options",
    [
        {"norm": "rms_norm", "norm_position": "post", "positions": "learned", "tie_embeddings": "none"},
        {"norm": "layer_norm", "positions": "rotary", "tie_embeddings": "target"},
        {"generation_order": "bidirectional", "interaction": "gate"},
        {"generation_order": "interleaved"},
    ],
)
def test_of_a_transformer_only_products_decay(options: dict[str, Any]) -> None:
    """Also of the output layer, unless it is an embedding too."""
    model = tiny_model(**options)
    found = names_in(model, decay_groups(model, 0.1)[0])
    matrices = {name for name, p in model.named_parameters() if p.ndim > 1 and "embedding" not in name}
    assert found == matrices
    assert ("lm_head.weight" in found) == (options.get("tie_embeddings") == "none")
    assert not any("norm" in name or name.endswith("bias") for name in found)


def test_frozen_parameters_and_empty_groups_are_left_out() -> None:
    model = nn.Linear(3, 2)
    model.weight.requires_grad_(False)
    assert [names_in(model, group) for group in decay_groups(model, 0.1)] == [{"bias"}]


def test_adamw_step_by_hand() -> None:
    """One step of Adam moves by the learning rate against the sign; decay first shrinks the weight by lr * decay."""
    model = nn.Linear(1, 1)
    nn.init.constant_(model.weight, 2.0)
    nn.init.constant_(model.bias, 2.0)
    optimizer = build_optimizer(model, learning_rate=0.5, weight_decay=0.1, betas=(0.9, 0.98), epsilon=1e-12)
    model.weight.grad, model.bias.grad = torch.tensor([[3.0]]), torch.tensor([-3.0])
    optimizer.step()
    assert model.weight.item() == pytest.approx(2.0 * (1 - 0.05) - 0.5)
    assert model.bias.item() == pytest.approx(2.5)


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="learning_rate"):
        build_optimizer(nn.Linear(1, 1), learning_rate=0.0, betas=(0.9, 0.98), epsilon=1e-8, weight_decay=0.0)
