import pytest
import torch
from torch import nn

from seq2seq.training.optimizer import build_optimizer, decay_groups
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


def test_frozen_parameters_and_empty_groups_are_left_out() -> None:
    model = nn.Linear(3, 2)
    model.weight.requires_grad_(False)
    assert [names_in(model, group) for group in decay_groups(model, 0.1)] == [{"bias"}]


def test_adamw_step_by_hand() -> None:
    """One step of Adam moves by the learning rate against the sign; decay first shrinks the weight by lr * decay."""
    model = nn.Linear(1, 1)
    nn.init.constant_(model.weight, 2.0)
    nn.init.constant_(model.bias, 2.0)
    optimizer = build_optimizer(model, learning_rate=0.5, weight_decay=0.1, epsilon=1e-12)
    model.weight.grad, model.bias.grad = torch.tensor([[3.0]]), torch.tensor([-3.0])
    optimizer.step()
    assert model.weight.item() == pytest.approx(2.0 * (1 - 0.05) - 0.5)
    assert model.bias.item() == pytest.approx(2.5)


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="learning_rate"):
        build_optimizer(nn.Linear(1, 1), learning_rate=0.0, epsilon=1e-8, weight_decay=0.0)
