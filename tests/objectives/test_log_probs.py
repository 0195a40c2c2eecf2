"""Against an ordinary log-softmax, in blocks that do not divide the rows."""

import pytest
import torch
from torch import Tensor

from seq2seq.data.batch import IGNORED_LABEL
from seq2seq.objectives import log_probs
from seq2seq.objectives.log_probs import token_log_probs

B, T, D, V = 3, 5, 7, 11


def random_case() -> tuple[Tensor, Tensor, Tensor]:
    labels = torch.randint(V, (B, T))
    labels[0, 2:], labels[2, 4:] = IGNORED_LABEL, IGNORED_LABEL
    return torch.randn(B, T, D, dtype=torch.float64), torch.randn(V, D, dtype=torch.float64), labels


def reference(hidden: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    chosen = (hidden @ weight.T).log_softmax(-1).gather(2, labels.clamp(min=0).unsqueeze(2)).squeeze(2)
    return chosen.masked_fill(labels == IGNORED_LABEL, 0.0)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of three rows and chunks of two; there are 11 real tokens."""
    monkeypatch.setattr(log_probs, "ENTRIES_OF_A_BLOCK", {"cpu": 3 * V})
    monkeypatch.setattr(log_probs, "ENTRIES_AT_A_TIME", {"cpu": 2 * V})


@pytest.mark.usefixtures("small_blocks")
def test_values_and_gradients_are_those_of_a_log_softmax() -> None:
    hidden, weight, labels = random_case()
    ours, theirs = ([part.clone().requires_grad_() for part in (hidden, weight)] for _ in range(2))
    found, expected = token_log_probs(*ours, labels), reference(*theirs, labels)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    upstream = torch.randn(B, T, dtype=torch.float64)
    upstream[1, 1:3] = 0.0
    found.backward(upstream)
    expected.backward(upstream)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=0, atol=1e-12)


@pytest.mark.usefixtures("small_blocks")
def test_gradients_agree_with_finite_differences() -> None:
    hidden, weight, labels = random_case()
    assert torch.autograd.gradcheck(
        lambda *inputs: token_log_probs(*inputs, labels), (hidden.requires_grad_(), weight.requires_grad_())
    )


def test_padding_changes_nothing_whatever_its_states() -> None:
    hidden, weight, labels = random_case()
    spoiled = hidden.clone()
    spoiled[labels == IGNORED_LABEL] = torch.nan
    spoiled.requires_grad_()
    found = token_log_probs(spoiled, weight, labels)
    assert torch.equal(found, token_log_probs(hidden, weight, labels))
    found.sum().backward()
    assert spoiled.grad is not None
    assert (spoiled.grad[labels == IGNORED_LABEL] == 0).all()


def test_nothing_but_padding_is_zero_with_zero_gradients() -> None:
    hidden, weight, labels = random_case()
    hidden.requires_grad_()
    found = token_log_probs(hidden, weight, torch.full_like(labels, IGNORED_LABEL))
    found.sum().backward()
    assert not found.any()
    assert hidden.grad is not None
    assert not hidden.grad.any()


def test_autocast_sets_the_type_of_products_and_not_of_values_and_gradients() -> None:
    hidden, weight, labels = random_case()
    hidden, weight = hidden.float().requires_grad_(), weight.float().requires_grad_()
    exact = token_log_probs(hidden, weight, labels)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = token_log_probs(hidden, weight, labels)
    assert exact.dtype == rounded.dtype == torch.float32
    assert 0 < (exact - rounded).abs().max() < 0.1
    gradients = [torch.autograd.grad(values.sum(), (hidden, weight)) for values in (exact, rounded)]
    for exact_gradient, rounded_gradient in zip(*gradients, strict=True):
        assert rounded_gradient.dtype == torch.float32
        torch.testing.assert_close(rounded_gradient, exact_gradient, rtol=0.05, atol=0.05)


def test_large_logits_do_not_overflow() -> None:
    found = token_log_probs(torch.tensor([[[1e4, -1e4, 0.0]]]), torch.eye(3), torch.tensor([[1]]))
    assert found.item() == pytest.approx(-2e4)
