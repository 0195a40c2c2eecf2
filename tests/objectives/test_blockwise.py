import weakref

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from seq2seq.data.batch import IGNORED_LABEL
from seq2seq.objectives import blockwise as module
from seq2seq.objectives import functional
from seq2seq.objectives.blockwise import BlockLoss, blockwise, token_scores
from seq2seq.objectives.functional import label_smoothed_nll, real_rows
from tests.objectives.differences import assert_gradients

B, T, D, V = 3, 5, 7, 11


def case(seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Return hidden states, output weights, and labels of 11 real tokens."""
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(B, T, D, generator=generator, dtype=dtype, requires_grad=True)
    weight = torch.randn(V, D, generator=generator, dtype=dtype, requires_grad=True)
    labels = torch.randint(V, (B, T), generator=generator)
    labels[0, 2:], labels[2, 4:] = IGNORED_LABEL, IGNORED_LABEL
    return hidden, weight, labels


def smoothed(labels: Tensor, label_smoothing: float) -> tuple[Tensor, BlockLoss]:
    """Return the rows and the function of label-smoothed negative log-likelihood."""
    rows = real_rows(labels)
    labels_N = labels.flatten()[rows]

    def loss(logits: Tensor, part: slice) -> tuple[Tensor, ...]:
        tokens = token_scores(logits[0].log_softmax(-1), labels_N[part], label_smoothing)
        return tokens.loss.sum(), tokens.nll.sum(), tokens.is_correct.sum().to(logits.dtype)

    return rows.unsqueeze(0), loss


def test_what_is_frozen_gets_no_gradient_and_the_other_stays_the_same() -> None:
    hidden, weight, labels = case()
    blockwise(hidden, weight, *smoothed(labels, 0.1))[0].backward()
    for frozen in (0, 1):
        leaves = [part.detach().clone().requires_grad_() for part in (hidden, weight)]
        leaves[frozen].requires_grad_(False)
        blockwise(*leaves, *smoothed(labels, 0.1))[0].backward()
        assert leaves[frozen].grad is None
        assert torch.equal(leaves[1 - frozen].grad, (hidden, weight)[1 - frozen].grad)  # type: ignore[arg-type]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of five rows in chunks of two (pairs: two and one), of which none divides the 11 real tokens."""
    monkeypatch.setattr(module, "ENTRIES_OF_A_BLOCK", {"cpu": 5 * V})
    monkeypatch.setattr(module, "ENTRIES_AT_A_TIME", {"cpu": 2 * V * module.KEPT_BY_AUTOGRAD})


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
def test_equals_an_ordinary_output_layer(label_smoothing: float) -> None:
    hidden, weight, labels = case()
    others = [part.detach().clone().requires_grad_() for part in (hidden, weight)]
    loss_sum, nll_sum, num_correct = blockwise(hidden, weight, *smoothed(labels, label_smoothing))
    logits = torch.nn.functional.linear(*others).flatten(0, 1)
    expected = cross_entropy(logits, labels.flatten(), reduction="sum", label_smoothing=label_smoothing)
    (-2.5 * loss_sum).backward()
    (-2.5 * expected).backward()
    torch.testing.assert_close(loss_sum, expected, rtol=1e-13, atol=0)
    torch.testing.assert_close(nll_sum, cross_entropy(logits, labels.flatten(), reduction="sum"), rtol=1e-13, atol=0)
    assert num_correct.item() == (logits.argmax(-1) == labels.flatten()).sum()
    for mine, other in zip((hidden, weight), others, strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-12, atol=1e-14)


@pytest.mark.usefixtures("small_blocks")
def test_units_of_two_rows_pass_finite_differences() -> None:
    """A loss of pairs that is neither additive over the pair nor symmetric."""
    hidden, weight, _ = case(1)
    rows = torch.tensor([[0, 4, 2, 11, 5, 8, 3], [14, 1, 6, 7, 9, 13, 10]])
    factors = torch.arange(1.0, 8.0, dtype=torch.float64)

    def loss(logits: Tensor, part: slice) -> tuple[Tensor, ...]:
        first, second = logits.log_softmax(-1)
        value = ((first.exp() * (first - second)).sum(-1) * factors[part]).sum()
        return value, value.detach().abs()

    def plain(hidden: Tensor, weight: Tensor) -> Tensor:
        logits = (hidden.flatten(0, 1) @ weight.T)[rows]
        return loss(logits, slice(0, 7))[0]

    torch.testing.assert_close(blockwise(hidden, weight, rows, loss)[0], plain(hidden, weight), rtol=1e-13, atol=0)
    assert_gradients(lambda h, w: blockwise(h, w, rows, loss)[0], hidden, weight)


def test_agrees_with_the_loss_that_is_differentiated_by_hand() -> None:
    hidden, weight, labels = case(2, torch.float32)
    others = [part.detach().clone().requires_grad_() for part in (hidden, weight)]
    loss = blockwise(hidden, weight, *smoothed(labels, 0.1))
    expected = label_smoothed_nll(*others, labels, 0.1)
    for mine, other in zip(loss, expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-6, atol=0)
    loss[0].backward()
    expected.loss_sum.backward()
    for mine, other in zip((hidden, weight), others, strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-5, atol=1e-6)


def test_only_the_loss_has_a_gradient_and_only_where_one_is_wanted() -> None:
    hidden, weight, labels = case()
    sums = blockwise(hidden, weight, *smoothed(labels, 0.1))
    assert [value.requires_grad for value in sums] == [True, False, False]
    with torch.no_grad():
        without = blockwise(hidden, weight, *smoothed(labels, 0.1))
    assert not any(value.requires_grad for value in without)
    for one, other in zip(sums, without, strict=True):
        assert torch.equal(one, other)


def test_it_can_be_differentiated_once() -> None:
    hidden, weight, labels = case()
    loss_sum = blockwise(hidden, weight, *smoothed(labels, 0.0))[0]
    loss_sum.backward(retain_graph=True)
    with pytest.raises(AssertionError, match="twice"):
        loss_sum.backward()


def test_nothing_but_padding_is_zero() -> None:
    hidden, weight, labels = case()
    sums = blockwise(hidden, weight, *smoothed(torch.full_like(labels, IGNORED_LABEL), 0.1))
    sums[0].backward()
    assert [value.item() for value in sums] == [0.0, 0.0, 0.0]
    assert hidden.grad is not None
    assert not hidden.grad.any()


def test_padding_changes_nothing_whatever_its_states() -> None:
    hidden, weight, labels = case()
    spoiled = hidden.detach().clone()
    spoiled[labels == IGNORED_LABEL] = torch.nan
    loss = blockwise(spoiled.requires_grad_(), weight, *smoothed(labels, 0.1))[0]
    loss.backward()
    assert torch.equal(loss, blockwise(hidden, weight, *smoothed(labels, 0.1))[0])
    assert spoiled.grad is not None
    assert (spoiled.grad[labels == IGNORED_LABEL] == 0).all()


def test_autocast_sets_the_type_of_products_and_not_of_sums_and_gradients() -> None:
    hidden, weight, labels = case(3, torch.float32)
    exact = blockwise(hidden, weight, *smoothed(labels, 0.1))[0]
    with torch.autocast("cpu", torch.bfloat16):
        rounded = blockwise(hidden, weight, *smoothed(labels, 0.1))[0]
    assert 0 < abs(rounded.item() - exact.item()) < 0.05 * exact.item()
    assert rounded.dtype == torch.float32
    rounded.backward()
    assert hidden.grad is not None
    assert weight.grad is not None
    assert (hidden.grad.dtype, weight.grad.dtype) == (torch.float32, torch.float32)


@pytest.mark.parametrize("by_hand", [False, True])
def test_one_block_of_logits_is_there_at_a_time(by_hand: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, weight, labels = case()
    owner = functional if by_hand else module
    monkeypatch.setitem(functional.ENTRIES_OF_A_BLOCK, "cpu", 2 * len(weight))
    blocks: list[weakref.ref[Tensor]] = []
    make = functional.logits_of

    def watched(*arguments: Tensor) -> Tensor:
        assert all(block() is None for block in blocks), "an earlier block is still there"
        logits = make(*arguments)
        blocks.append(weakref.ref(logits))
        return logits

    monkeypatch.setattr(owner, "logits_of", watched)
    if by_hand:
        label_smoothed_nll(hidden, weight, labels, 0.1)
    else:
        blockwise(hidden, weight, *smoothed(labels, 0.1))
    assert len(blocks) > 2
