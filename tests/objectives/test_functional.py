import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.profiler import ProfilerActivity, profile

from seq2seq.data.batch import IGNORED_LABEL
from seq2seq.objectives import functional
from seq2seq.objectives.functional import TokenLoss, label_smoothed_nll

B, T, D, V = 3, 5, 7, 11


def of_logits(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> TokenLoss:
    """Return the loss of given logits: those of an output layer that is the identity."""
    return label_smoothed_nll(logits, torch.eye(logits.shape[-1], dtype=logits.dtype), labels, label_smoothing)


def random_case(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(B, T, V, generator=generator) * 3
    labels = torch.randint(V, (B, T), generator=generator)
    labels[0, 2:], labels[2, 4:] = IGNORED_LABEL, IGNORED_LABEL
    return logits, labels


def test_value_and_gradient_by_hand() -> None:
    """Probabilities 1/2, 1/4, 1/4 and label 0 with e = 0.3: the target distribution is 0.8, 0.1, 0.1.

    Loss = 0.8 ln 2 + 0.2 ln 4 = 1.2 ln 2; gradient = p - q = (-0.3, 0.15, 0.15).
    """
    logits = torch.tensor([[[math.log(2.0), 0.0, 0.0]]], requires_grad=True)
    loss = of_logits(logits, torch.tensor([[0]]), 0.3)
    loss.loss_sum.backward()
    assert loss.loss_sum.item() == pytest.approx(1.2 * math.log(2.0), rel=1e-6)
    assert loss.nll_sum.item() == pytest.approx(math.log(2.0), rel=1e-6)
    assert loss.num_correct.item() == 1
    assert logits.grad is not None
    assert logits.grad.flatten().tolist() == pytest.approx([-0.3, 0.15, 0.15], rel=1e-6)


def test_what_is_frozen_gets_no_gradient_and_the_other_stays_the_same() -> None:
    hidden, (_, labels) = torch.randn(B, T, D), random_case()
    weight = torch.randn(V, D)
    found = {}
    for needed in ((True, True), (True, False), (False, True)):
        leaves = [part.clone().requires_grad_(wanted) for part, wanted in zip((hidden, weight), needed, strict=True)]
        (2.0 * label_smoothed_nll(leaves[0], leaves[1], labels, 0.1).loss_sum).backward()
        found[needed] = [leaf.grad for leaf in leaves]
    both_hidden, both_weight = found[True, True]
    assert both_hidden is not None
    assert both_weight is not None
    assert torch.equal(found[True, False][0], both_hidden)
    assert torch.equal(found[False, True][1], both_weight)
    assert found[True, False][1] is found[False, True][0] is None


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("upstream", [1.0, -2.5])
def test_equals_torch_cross_entropy(label_smoothing: float, upstream: float) -> None:
    logits, labels = random_case()
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss = of_logits(ours, labels, label_smoothing)
    expected = cross_entropy(theirs.flatten(0, 1), labels.flatten(), reduction="sum", label_smoothing=label_smoothing)
    (loss.loss_sum * upstream).backward()
    (expected * upstream).backward()
    torch.testing.assert_close(loss.loss_sum, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-6)
    nll = cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")
    torch.testing.assert_close(loss.nll_sum, nll, rtol=1e-6, atol=0)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
def test_both_gradients_equal_those_of_an_ordinary_output_layer(
    label_smoothing: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In blocks of three rows and chunks of two, of which neither divides the 11 real tokens."""
    monkeypatch.setattr(functional, "ENTRIES_OF_A_BLOCK", {"cpu": 3 * V})
    monkeypatch.setattr(functional, "ENTRIES_AT_A_TIME", {"cpu": 2 * 3})
    _, labels = random_case()
    parts = [torch.randn(B, T, D, dtype=torch.float64), torch.randn(V, D, dtype=torch.float64)]
    ours, theirs = ([part.clone().requires_grad_() for part in parts] for _ in range(2))
    loss = label_smoothed_nll(*ours, labels, label_smoothing)
    logits = torch.nn.functional.linear(*theirs).flatten(0, 1)
    expected = cross_entropy(logits, labels.flatten(), reduction="sum", label_smoothing=label_smoothing)
    (-2.5 * loss.loss_sum).backward()
    (-2.5 * expected).backward()
    assert loss.loss_sum.item() == pytest.approx(expected.item(), rel=1e-6)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-5, atol=1e-6)


def test_autocast_sets_the_type_of_products_and_not_of_gradients() -> None:
    hidden, weight = torch.randn(1, T, D, requires_grad=True), torch.randn(V, D, requires_grad=True)
    labels = torch.arange(T).unsqueeze(0)
    exact = label_smoothed_nll(hidden, weight, labels, 0.1)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = label_smoothed_nll(hidden, weight, labels, 0.1)
    assert 0 < abs(rounded.loss_sum.item() - exact.loss_sum.item()) < 0.05 * exact.loss_sum.item()
    rounded.loss_sum.backward()
    assert hidden.grad is not None
    assert weight.grad is not None
    assert (hidden.grad.dtype, weight.grad.dtype) == (torch.float32, torch.float32)


def test_gradient_agrees_with_finite_differences() -> None:
    logits, labels = random_case(1)
    ours = logits.clone().requires_grad_()
    of_logits(ours, labels, 0.2).loss_sum.backward()
    assert ours.grad is not None
    exact = logits.double()
    for index in [(0, 1, 4), (1, 3, 7), (2, 0, 10), (2, 4, 0)]:
        step = torch.zeros_like(exact)
        step[index] = 1e-5
        high, low = (
            cross_entropy(x.flatten(0, 1), labels.flatten(), reduction="sum", label_smoothing=0.2)
            for x in (exact + step, exact - step)
        )
        assert ours.grad[index].item() == pytest.approx((high - low).item() / 2e-5, abs=1e-5)


def test_number_correct_is_counted_over_real_tokens() -> None:
    logits, labels = random_case(2)
    real = labels != IGNORED_LABEL
    labels[1, 0] = logits[1, 0].argmax()
    expected = int(((logits.argmax(-1) == labels) & real).sum())
    assert expected > 0
    assert of_logits(logits, labels, 0.1).num_correct.item() == expected


def test_padding_changes_nothing_whatever_its_logits() -> None:
    logits, labels = random_case()
    spoiled = logits.clone()
    spoiled[labels == IGNORED_LABEL] = math.nan
    spoiled.requires_grad_()
    loss = of_logits(spoiled, labels, 0.1)
    loss.loss_sum.backward()
    assert loss.loss_sum.item() == of_logits(logits, labels, 0.1).loss_sum.item()
    assert spoiled.grad is not None
    assert (spoiled.grad[labels == IGNORED_LABEL] == 0).all()


def test_logits_are_left_as_they_were() -> None:
    logits, labels = random_case()
    before = logits.clone()
    of_logits(logits, labels, 0.1)
    assert torch.equal(logits, before)


def test_low_precision_logits_are_summed_in_float32() -> None:
    """4096 tokens with p = 1/2: a bfloat16 sum would stop growing near 256 * ln 2 steps."""
    logits = torch.zeros(1, 4096, 2, dtype=torch.bfloat16, requires_grad=True)
    loss = of_logits(logits, torch.zeros(1, 4096, dtype=torch.int64))
    loss.loss_sum.backward()
    assert loss.loss_sum.dtype == torch.float32
    assert loss.loss_sum.item() == pytest.approx(4096 * math.log(2.0), rel=1e-6)
    assert logits.grad is not None
    assert logits.grad.dtype == torch.bfloat16


def test_large_logits_do_not_overflow() -> None:
    loss = of_logits(torch.tensor([[[1e4, -1e4, 0.0]]]), torch.tensor([[1]]))
    assert loss.loss_sum.item() == pytest.approx(2e4)


def test_nothing_but_padding_is_zero() -> None:
    logits = torch.randn(2, 3, V, requires_grad=True)
    loss = of_logits(logits, torch.full((2, 3), IGNORED_LABEL), 0.1)
    loss.loss_sum.backward()
    assert loss.loss_sum.item() == 0.0
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("likely", [0.85, 0.88, 0.895])
def test_gradients_in_bfloat16_are_as_precise_as_those_of_torch(likely: float) -> None:
    """Near p(label) = 1 - e little is left of the label's gradient, so it must not be rounded before it is made.

    All products are of the same bfloat16 numbers; the reference is float64. Rounded too early, the error is a sixth
    larger than torch's.
    """
    size, width, generator = 8000, 64, torch.Generator().manual_seed(0)
    weight = torch.randn(size, width, generator=generator).bfloat16().float()
    labels = torch.randint(size, (1, 7), generator=generator)
    low, high = torch.zeros(1, 7, 1), torch.ones(1, 7, 1)
    for _ in range(30):  # bisect for states at which the labels are that likely
        middle = (low + high) / 2
        shares = ((middle * weight[labels]) @ weight.T).softmax(-1).gather(2, labels.unsqueeze(2))
        low, high = torch.where(shares < likely, middle, low), torch.where(shares < likely, high, middle)
    hidden = (low * weight[labels]).bfloat16().float()

    def errors(loss: Callable[[Tensor, Tensor], Tensor]) -> list[float]:
        exact = [part.double().requires_grad_() for part in (hidden, weight)]
        cross_entropy((exact[0] @ exact[1].T)[0], labels[0], reduction="sum", label_smoothing=0.1).backward()
        parts = [part.clone().requires_grad_() for part in (hidden, weight)]
        with torch.autocast("cpu", torch.bfloat16):
            loss(*parts).backward()
        return [float((p.grad - e.grad).norm() / e.grad.norm()) for p, e in zip(parts, exact, strict=True)]

    def torchs(hidden: Tensor, weight: Tensor) -> Tensor:
        return cross_entropy((hidden @ weight.T)[0], labels[0], reduction="sum", label_smoothing=0.1)

    ours = errors(lambda hidden, weight: label_smoothed_nll(hidden, weight, labels, 0.1).loss_sum)
    for mine, other in zip(ours, errors(torchs), strict=True):
        assert mine < 1.1 * other


def test_without_gradients_the_weight_is_not_copied() -> None:
    _, labels = random_case()
    hidden, weight = torch.randn(B, T, D), torch.randn(V, D)
    with torch.no_grad(), profile(activities=[ProfilerActivity.CPU], record_shapes=True, acc_events=True) as profiled:
        label_smoothed_nll(hidden, weight, labels, 0.1)
    copies = [event for event in profiled.events() if event.name in ("aten::copy_", "aten::clone")]
    assert [event.input_shapes for event in copies if [V, D] in event.input_shapes] == []
