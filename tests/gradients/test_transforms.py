import math

import pytest
import torch
from torch.nn import Parameter

from seq2seq.gradients.transforms import clip, flood, require_finite, scale_gradients, total_norm


def parameters_with_gradients() -> list[Parameter]:
    """Gradients (2, 3) and (6), whose norm is 7; and a parameter without one."""
    first, second, unused = Parameter(torch.zeros(2)), Parameter(torch.zeros(1, 1)), Parameter(torch.zeros(3))
    first.grad, second.grad = torch.tensor([2.0, 3.0]), torch.tensor([[6.0]])
    return [first, second, unused]


def gradients(parameters: list[Parameter]) -> list[float]:
    return torch.cat([p.grad.flatten() for p in parameters if p.grad is not None]).tolist()


@pytest.mark.parametrize("factor", [0.5, torch.tensor(0.5)])
def test_scale(factor: float | torch.Tensor) -> None:
    parameters = parameters_with_gradients()
    scale_gradients(parameters, factor)
    assert gradients(parameters) == [1.0, 1.5, 3.0]
    assert parameters[2].grad is None


def test_without_any_gradient_nothing_happens() -> None:
    parameters = [Parameter(torch.zeros(2))]
    scale_gradients(parameters, 2.0)
    assert clip(parameters, 1.0).item() == 0.0
    assert parameters[0].grad is None


def test_total_norm() -> None:
    assert total_norm(parameters_with_gradients()).item() == pytest.approx(7.0)


@pytest.mark.parametrize(("clip_norm", "factor"), [(3.5, 0.5), (7.0, 1.0), (21.0, 1.0), (0.0, 1.0)])
def test_clipping_by_hand(clip_norm: float, factor: float) -> None:
    parameters = parameters_with_gradients()
    norm = clip(parameters, clip_norm)
    assert norm.item() == pytest.approx(7.0)
    assert gradients(parameters) == pytest.approx([2 * factor, 3 * factor, 6 * factor])


def test_a_zero_gradient_stays_zero() -> None:
    parameters = parameters_with_gradients()
    scale_gradients(parameters, 0.0)
    clip(parameters, 1.0)
    assert gradients(parameters) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(("mean_loss", "sign"), [(2.0, 1.0), (0.5, -1.0), (1.0, 0.0)])
def test_flooding_is_the_sign_of_loss_minus_level(mean_loss: float, sign: float) -> None:
    """The same as autograd's gradient of |L - b| + b with b = 1, at L = b too."""
    parameters = parameters_with_gradients()
    flood(parameters, torch.tensor(mean_loss), 1.0)
    assert gradients(parameters) == [2 * sign, 3 * sign, 6 * sign]
    loss = torch.tensor(mean_loss, requires_grad=True)
    ((loss - 1.0).abs() + 1.0).backward()
    assert loss.grad is not None
    assert loss.grad.item() == sign


def test_finite_numbers_pass_without_a_description() -> None:
    asked: list[str] = []
    require_finite(1.0, 2.0, lambda: asked.append("described") or "")
    assert asked == []


@pytest.mark.parametrize(
    ("loss_sum", "norm", "what"), [(math.nan, 1.0, "loss became nan"), (1.0, math.inf, "gradient became inf")]
)
def test_what_is_not_finite_is_named(loss_sum: float, norm: float, what: str) -> None:
    with pytest.raises(FloatingPointError, match=f"{what} at step 7, rows 3, 5"):
        require_finite(loss_sum, norm, lambda: "step 7, rows 3, 5")


def test_gradients_are_scaled_alike_with_and_without_one_call_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    together, apart = parameters_with_gradients(), parameters_with_gradients()
    assert hasattr(torch, "_foreach_mul_"), "torch has no call for all any more: what we do is slower, but right"
    scale_gradients(together, 0.3)
    monkeypatch.delattr(torch, "_foreach_mul_")
    scale_gradients(apart, 0.3)
    assert gradients(apart) == gradients(together) != gradients(parameters_with_gradients())
