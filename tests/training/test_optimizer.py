from typing import Any

import numpy
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
    optimizer = build_optimizer(
        model, name="adamw", learning_rate=0.5, weight_decay=0.1, betas=(0.9, 0.98), epsilon=1e-12
    )
    model.weight.grad, model.bias.grad = torch.tensor([[3.0]]), torch.tensor([-3.0])
    optimizer.step()
    assert model.weight.item() == pytest.approx(2.0 * (1 - 0.05) - 0.5)
    assert model.bias.item() == pytest.approx(2.5)


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="learning_rate"):
        build_optimizer(
            nn.Linear(1, 1), name="adamw", learning_rate=0.0, betas=(0.9, 0.98), epsilon=1e-8, weight_decay=0.0
        )


def adafactor(model: nn.Module, weight_decay: float = 0.0) -> torch.optim.Optimizer:
    return build_optimizer(
        model, name="adafactor", learning_rate=0.01, betas=(0.9, 0.98), epsilon=1e-8, weight_decay=weight_decay
    )


def rms(values: numpy.ndarray) -> float:
    return float(numpy.sqrt(numpy.square(values).mean()))


def test_adafactor_is_that_of_the_paper() -> None:
    """Shazeer and Stern 2018, algorithms 4 and 5: factored squares, steps in parts of the weights' size, clipped."""
    torch.manual_seed(0)
    model = nn.Linear(3, 5)
    optimizer = adafactor(model, weight_decay=0.1)
    weights = {name: p.detach().double().numpy().copy() for name, p in model.named_parameters()}
    rows, columns, squares = numpy.zeros(5), numpy.zeros(3), numpy.zeros(5)
    for step in range(1, 5):
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape) * 1e-4 * 10**step
        gradients = {name: p.grad.double().numpy() for name, p in model.named_parameters()}  # type: ignore[union-attr]
        optimizer.step()
        decay = 1 - step**-0.8
        square = numpy.square(gradients["weight"])
        rows = decay * rows + (1 - decay) * square.mean(1)
        columns = decay * columns + (1 - decay) * square.mean(0)
        squares = decay * squares + (1 - decay) * numpy.square(gradients["bias"])
        estimates = {"weight": numpy.outer(rows, columns) / rows.mean(), "bias": squares}
        for name, estimate in estimates.items():
            update = gradients[name] / numpy.sqrt(estimate)
            update /= max(1.0, rms(update))
            size = max(1e-3, rms(weights[name])) * 0.01
            decayed = weights[name] * (1 - 0.01 * 0.1) if name == "weight" else weights[name]
            weights[name] = decayed - size * update
    for name, parameter in model.named_parameters():
        numpy.testing.assert_allclose(parameter.detach().numpy(), weights[name], rtol=1e-5)


def test_adafactor_does_not_depend_on_the_size_of_gradients_and_leaves_rows_without_any() -> None:
    """Also of a matrix so large that each gradient is far below 1, as of a clipped step; a word may be in no batch."""
    steps = []
    for size in (1.0, 1e-6):
        torch.manual_seed(0)
        embedding = nn.Embedding(7, 5)
        before = embedding.weight.detach().clone()
        optimizer = adafactor(embedding)
        embedding.weight.grad = torch.randn(7, 5) * size
        embedding.weight.grad[3] = 0.0
        optimizer.step()
        steps.append(embedding.weight.detach() - before)
        assert torch.equal(steps[-1][3], torch.zeros(5))
    torch.testing.assert_close(*steps)


def test_adafactor_remembers_a_row_and_a_column_of_a_matrix() -> None:
    model = nn.Linear(31, 17)
    optimizer = adafactor(model)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert sum(entry.numel() for entry in optimizer.state[model.weight].values()) == 31 + 17 + 1
