from typing import Any

import numpy
import pytest
import torch
from torch import nn

from seq2seq.training.muon import BLOCK_ROWS, MATRICES, TURNS, Muon, orthogonal
from seq2seq.training.optimizer import build_optimizer
from tests.models.tiny import tiny_model


def muon(model: nn.Module, **options: Any) -> Muon:
    defaults: dict[str, Any] = {"learning_rate": 0.1, "betas": (0.9, 0.98), "epsilon": 1e-8, "weight_decay": 0.0}
    optimizer = build_optimizer(model, name="muon", **(defaults | options))
    assert isinstance(optimizer, Muon)
    return optimizer


def names_in(model: nn.Module, group: dict) -> set[str]:
    members = {id(parameter) for parameter in group["params"]}
    return {name for name, parameter in model.named_parameters() if id(parameter) in members}


@pytest.mark.parametrize("shape", [(17, 31), (31, 17), (19, 19), (1, 7), (7, 1)])
def test_orthogonal_keeps_singular_vectors_and_makes_values_about_1(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    left, _, right = torch.linalg.svd(torch.randn(shape, dtype=torch.float64), full_matrices=False)
    values = torch.logspace(-0.9, 0.3, min(shape), dtype=torch.float64)
    [found] = orthogonal([((left * values) @ right).float()])
    inside = left.T @ found.double() @ right.T
    assert found.shape == shape
    assert values.min() > 0.02 * values.norm(), "what so few turns are for"
    assert ((inside.diagonal() > 0.67) & (inside.diagonal() < 1.21)).all()
    torch.testing.assert_close(inside - inside.diagonal().diag(), torch.zeros_like(inside), atol=1e-5, rtol=0)


def test_orthogonal_does_not_depend_on_size_and_leaves_nothing_as_it_is() -> None:
    torch.manual_seed(0)
    matrix = torch.randn(5, 7)
    large, small, nothing = orthogonal([matrix * 1e6, matrix * 1e-12, torch.zeros(5, 7)])
    torch.testing.assert_close(large, small)
    assert torch.equal(nothing, torch.zeros(5, 7))


def by_hand(gradient: numpy.ndarray) -> numpy.ndarray:
    """Return what Newton and Schulz's polynomial makes of a matrix, by its singular values."""
    left, values, right = numpy.linalg.svd(gradient, full_matrices=False)
    values = values / numpy.linalg.norm(values)
    for _ in range(3):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    return (left * values) @ right


def test_steps_of_a_matrix_are_those_of_the_paper_by_blocks_of_rows() -> None:
    """Jordan et al. 2024 with the size of Liu et al. 2025: 0.2 sqrt(max(R, C)) for each block of rows."""
    torch.manual_seed(0)
    model = nn.Linear(29, BLOCK_ROWS + 11, bias=False)
    optimizer = muon(model, weight_decay=0.3)
    weight = model.weight.detach().double().numpy().copy()
    momentum = numpy.zeros_like(weight)
    for _ in range(3):
        model.weight.grad = torch.randn_like(model.weight) * 1e-3
        gradient = model.weight.grad.double().numpy()
        optimizer.step()
        momentum = 0.95 * momentum + 0.05 * gradient
        ahead = 0.05 * gradient + 0.95 * momentum
        weight *= 1 - 0.1 * 0.3
        for rows in (slice(0, BLOCK_ROWS), slice(BLOCK_ROWS, None)):
            longer = max(ahead[rows].shape)
            weight[rows] -= 0.1 * 0.2 * numpy.sqrt(longer) * by_hand(ahead[rows])
    numpy.testing.assert_allclose(model.weight.detach().numpy(), weight, rtol=1e-4, atol=1e-6)


def test_steps_of_one_matrix_of_few_rows_are_those_of_torch() -> None:
    """Whose products are of bfloat16, so that they agree to two digits or so, after as many turns."""
    torch.manual_seed(0)
    ours, theirs = nn.Linear(23, 19, bias=False), nn.Linear(23, 19, bias=False)
    theirs.load_state_dict(ours.state_dict())
    before = ours.weight.detach().clone()
    options: dict[str, Any] = {"adjust_lr_fn": "match_rms_adamw", "ns_steps": TURNS}
    optimizers = [muon(ours), torch.optim.Muon(theirs.parameters(), 0.1, 0.0, **options)]
    for _ in range(3):
        ours.weight.grad = torch.randn(19, 23)
        theirs.weight.grad = ours.weight.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    moved, expected = ours.weight - before, theirs.weight - before
    assert (moved - expected).norm() < 0.05 * expected.norm()


def test_everything_but_products_moves_by_adamw() -> None:
    torch.manual_seed(0)
    model, twin = tiny_model(), tiny_model()
    twin.load_state_dict(model.state_dict())
    optimizer = muon(model)
    adamw = build_optimizer(twin, name="adamw", learning_rate=0.1, betas=(0.9, 0.98), epsilon=1e-8, weight_decay=0.0)
    for (_, parameter), (_, other) in zip(model.named_parameters(), twin.named_parameters(), strict=True):
        parameter.grad = torch.randn_like(parameter)
        other.grad = parameter.grad.clone()
    optimizer.step()
    adamw.step()
    [matrices] = [names_in(model, group) for group in optimizer.param_groups if group[MATRICES]]
    assert matrices == {name for name, p in model.named_parameters() if p.ndim > 1 and "embedding" not in name}
    for (name, parameter), (_, other) in zip(model.named_parameters(), twin.named_parameters(), strict=True):
        assert torch.equal(parameter, other) == (name not in matrices), name


def test_an_output_layer_of_its_own_moves_by_adamw_and_decays() -> None:
    model = tiny_model(tie_embeddings="none")
    groups = muon(model, weight_decay=0.2).param_groups
    [of_output] = [group for group in groups if "lm_head.weight" in names_in(model, group)]
    assert names_in(model, of_output) == {"lm_head.weight"}
    assert (of_output[MATRICES], of_output["weight_decay"]) == (False, 0.2)
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_a_matrix_without_a_gradient_stays() -> None:
    model = nn.Linear(3, 5)
    before = model.weight.detach().clone()
    optimizer = muon(model, weight_decay=0.5)
    model.bias.grad = torch.ones(5)
    optimizer.step()
    assert torch.equal(model.weight, before)
    assert model.weight not in optimizer.state


def test_groups_are_whole_again_after_a_step_that_failed() -> None:
    def fails() -> float:
        raise RuntimeError("no loss")

    optimizer = muon(nn.Linear(3, 5))
    with pytest.raises(RuntimeError, match="no loss"):
        optimizer.step(fails)
    assert len(optimizer.param_groups) == 2
