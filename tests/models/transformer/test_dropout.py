import pytest
import torch

from seq2seq.models.transformer.dropout import Dropout, dropout
from tests.models.tiny import kept_for_the_backward


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_rate_and_expectation(probability: float) -> None:
    ones = torch.ones(1009, 503)
    dropped = dropout(ones, probability, training=True)
    # 507 527 elements: five standard deviations are below 0.0036 for the rate
    assert (dropped == 0).double().mean().item() == pytest.approx(probability, abs=0.0036)
    assert dropped.max().item() == pytest.approx(1 / (1 - probability), rel=1e-4)
    assert dropped.double().mean().item() == pytest.approx(1, abs=0.0036 / (1 - probability))


def test_elements_are_independent() -> None:
    kept = (dropout(torch.ones(400_000), 0.5, training=True) > 0).double() - 0.5
    for lag in range(1, 9):  # four elements share one random word
        assert (kept[lag:] * kept[:-lag]).mean().abs().item() < 5 * 0.25 / 400_000**0.5


def test_gradient_is_that_of_the_mask() -> None:
    hidden = torch.randn(7, 11, dtype=torch.float64, requires_grad=True)
    dropped = dropout(hidden, 0.3, training=True)
    dropped.sum().backward()
    torch.testing.assert_close(hidden.grad, dropped.detach() / hidden.detach())


def test_a_byte_an_element_is_kept_for_the_backward() -> None:
    with kept_for_the_backward() as kept:
        dropout(torch.randn(7, 11, requires_grad=True), 0.3, training=True)
    assert [(tensor.shape, tensor.element_size()) for tensor in kept] == [((7, 11), 1)]


def test_evaluation_and_zero_change_nothing() -> None:
    hidden = torch.randn(7, 11)
    assert dropout(hidden, 0.3, training=False) is hidden
    assert Dropout(0.0)(hidden) is hidden
    assert Dropout(0.3).eval()(hidden) is hidden


def test_follows_the_seed_and_keeps_the_type() -> None:
    hidden = torch.randn(3, 5, 7).to(torch.bfloat16)
    torch.manual_seed(3)
    first = dropout(hidden, 0.5, training=True)
    torch.manual_seed(3)
    assert torch.equal(first, dropout(hidden, 0.5, training=True))
    assert first.dtype == torch.bfloat16
    assert not torch.equal(first, dropout(hidden, 0.5, training=True))


def test_the_highest_probability_still_divides() -> None:
    assert dropout(torch.ones(5), 0.9999999, training=True).isfinite().all()
