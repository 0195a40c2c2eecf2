import pytest
import torch
from torch import Tensor
from torch.nn import functional

from seq2seq.models.transformer.norms import RMSNorm
from tests.models.tiny import kept_for_the_backward


def case(dtype: torch.dtype) -> tuple[RMSNorm, Tensor]:
    norm = RMSNorm(7, eps=1e-3, dtype=dtype)
    with torch.no_grad():
        norm.weight.copy_(torch.randn(7))
    return norm, torch.randn(3, 5, 7, dtype=dtype, requires_grad=True)


def test_root_mean_squares_are_those_of_torch_with_and_without_gradients() -> None:
    norm, hidden = case(torch.float32)
    expected = functional.rms_norm(hidden, (7,), norm.weight, 1e-3)
    assert torch.equal(norm(hidden), expected)
    with torch.no_grad():
        assert torch.equal(norm(hidden), expected)


@pytest.mark.parametrize("is_trained", [True, False])
def test_gradients_of_root_mean_squares_are_those_of_torch(is_trained: bool) -> None:
    norm, hidden = case(torch.float64)
    norm.weight.requires_grad_(is_trained)
    wanted = (hidden, norm.weight) if is_trained else (hidden,)
    upstream = torch.randn(3, 5, 7, dtype=torch.float64)
    expected = torch.autograd.grad(functional.rms_norm(hidden, (7,), norm.weight, 1e-3), wanted, upstream)
    for found, of_torch in zip(torch.autograd.grad(norm(hidden), wanted, upstream), expected, strict=True):
        torch.testing.assert_close(found, of_torch, rtol=0, atol=1e-12)


def test_root_mean_squares_keep_their_input_alone_for_the_backward() -> None:
    norm, hidden = case(torch.float32)
    with kept_for_the_backward() as kept:
        norm(hidden)
    assert [tensor is hidden for tensor in kept if tensor.shape == hidden.shape] == [True]


def test_half_precision_is_left_to_torch() -> None:
    norm, hidden = case(torch.bfloat16)
    assert torch.equal(norm(hidden), functional.rms_norm(hidden, (7,), norm.weight, 1e-3))
