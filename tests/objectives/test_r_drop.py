import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div

from seq2seq.data.batch import IGNORED_LABEL
from seq2seq.objectives.cross_entropy import CrossEntropy
from seq2seq.objectives.r_drop import RDrop, loss_of_two_passes
from tests.objectives.differences import assert_gradients
from tests.objectives.neutrality import assert_is_cross_entropy
from tests.training.fakes import TinyModel, make_batch

B, T, D, V = 3, 5, 7, 11


def case(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(2 * B, T, D, generator=generator, dtype=dtype, requires_grad=True)
    weight = torch.randn(V, D, generator=generator, dtype=dtype, requires_grad=True)
    labels = torch.randint(V, (B, T), generator=generator)
    labels[0, 2:], labels[2, 4:] = IGNORED_LABEL, IGNORED_LABEL
    return hidden, weight, labels


def plain(hidden: Tensor, weight: Tensor, labels: Tensor, alpha: float, label_smoothing: float) -> Tensor:
    """The paper's loss, with all logits and torch's divergence."""
    real = labels != IGNORED_LABEL
    first, second = ((half @ weight.T)[real] for half in hidden.chunk(2))
    options: dict[str, Any] = {"reduction": "sum", "label_smoothing": label_smoothing}
    likelihoods = cross_entropy(first, labels[real], **options) + cross_entropy(second, labels[real], **options)
    log_p, log_q = first.log_softmax(-1), second.log_softmax(-1)
    there, back = (kl_div(q, p, reduction="sum", log_target=True) for p, q in ((log_p, log_q), (log_q, log_p)))
    return likelihoods + alpha * (there + back) / 2


def test_value_and_gradient_by_hand() -> None:
    """Passes p = (1/2, 1/2) and q = (1/4, 3/4), label 0, alpha 2.

    CE1 + CE2 = ln 2 + ln 4 = 3 ln 2. KL(p|q) + KL(q|p) = sum (p - q) ln(p/q) = (ln 2 - ln(2/3)) / 4 = ln(3) / 4.
    d/dz of the divergences' mean, first pass: (p d + p - q - p KL(p|q)) / 2, d = ln(p/q) = (ln 2, ln(2/3)).
    """
    states = torch.tensor([[[0.0, 0.0]], [[0.0, math.log(3.0)]]], dtype=torch.float64, requires_grad=True)
    labels, identity = torch.tensor([[0]]), torch.eye(2, dtype=torch.float64)
    loss, nll, _, divergence = loss_of_two_passes(states, identity, labels, 2.0, 0.0)
    loss.backward()
    assert nll.item() == pytest.approx(3 * math.log(2))
    assert divergence.item() == pytest.approx(math.log(3) / 8)
    assert loss.item() == pytest.approx(3 * math.log(2) + math.log(3) / 4)
    d = (math.log(2), math.log(2 / 3))
    kl = (d[0] + d[1]) / 2
    first = [0.5 * d[i] + 0.5 - (0.25, 0.75)[i] - 0.5 * kl for i in range(2)]
    assert states.grad is not None
    assert states.grad[0, 0].tolist() == pytest.approx([-0.5 + first[0], 0.5 + first[1]])


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_equals_the_papers_loss_and_passes_finite_differences(label_smoothing: float) -> None:
    hidden, weight, labels = case()
    others = [part.detach().clone().requires_grad_() for part in (hidden, weight)]
    found = loss_of_two_passes(hidden, weight, labels, 5.0, label_smoothing)[0]
    expected = plain(*others, labels, 5.0, label_smoothing)
    found.backward()
    expected.backward()
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    for mine, other in zip((hidden, weight), others, strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-10, atol=1e-12)
    assert_gradients(lambda h, w: loss_of_two_passes(h, w, labels, 5.0, label_smoothing)[0], hidden, weight)


def test_alpha_of_the_readme_is_half_of_the_papers_with_half_the_loss() -> None:
    hidden, weight, labels = case()
    without, divergence = (loss_of_two_passes(hidden, weight, labels, 0.0, 0.0)[i] for i in (0, 3))
    readme = 0.5 * without + 2.5 * divergence
    torch.testing.assert_close(readme, 0.5 * loss_of_two_passes(hidden, weight, labels, 5.0, 0.0)[0])


def test_without_dropout_it_is_twice_cross_entropy() -> None:
    model, batch = TinyModel(dropout=0.0), make_batch([0, 1, 2, 3, 4])
    loss, single = RDrop(5.0, label_smoothing=0.1)(model, batch, 1), CrossEntropy(label_smoothing=0.1)(model, batch, 1)
    assert loss.logs["divergence"].item() == pytest.approx(0.0, abs=1e-6)
    assert loss.loss_sum.item() == pytest.approx(2 * single.loss_sum.item(), rel=1e-6)
    assert loss.weight.item() == single.weight.item() == batch.num_target_tokens
    assert loss.logs["nll_sum"].item() == pytest.approx(single.logs["nll_sum"].item(), rel=1e-6)
    assert loss.logs["correct"].item() == single.logs["correct"].item()


def test_the_passes_differ_in_dropout_and_are_one_forward() -> None:
    shapes: list[tuple[int, ...]] = []

    class Watched(TinyModel):
        def forward(self, input_ids: Tensor, *arguments: Any, **options: Any) -> SimpleNamespace:
            shapes.append(tuple(input_ids.shape))
            return super().forward(input_ids, *arguments, **options)

    model, batch = Watched(dropout=0.3).train(), make_batch([0, 1, 2])
    torch.manual_seed(1)
    assert RDrop(5.0)(model, batch, 1).logs["divergence"].item() > 0.01
    assert shapes == [(6, batch.input_ids.shape[1])]


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_alpha_of_zero_is_cross_entropy_to_the_last_bit(label_smoothing: float) -> None:
    assert_is_cross_entropy(RDrop(0.0, label_smoothing=label_smoothing), label_smoothing)


def test_it_lowers_the_divergence() -> None:
    """Two equal models in everything but alpha: the divergence of the regularised one ends lower."""
    ends = []
    for alpha in (1e-9, 5.0):
        model: nn.Module = TinyModel(dropout=0.3).train()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
        for step in range(30):
            torch.manual_seed(step)
            loss = RDrop(alpha)(model, make_batch([0, 1, 2, 3, 4]), step)
            optimizer.zero_grad()
            (loss.loss_sum / loss.weight).backward()
            optimizer.step()
        ends.append(loss.logs["divergence"].item())
    assert ends[1] < 0.8 * ends[0]


@pytest.mark.parametrize(("options", "name"), [((-1.0, 0.0), "consistency_weight"), ((1.0, 1.0), "label_smoothing")])
def test_options_out_of_range_are_refused(options: tuple[float, ...], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        RDrop(options[0], label_smoothing=options[1])
