import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from seq2seq.data.batch import IGNORED_LABEL
from seq2seq.objectives.unlikelihood import LEAST_COMPLEMENT, Unlikelihood, negative_candidates, unlikelihood_loss
from tests.objectives.differences import assert_gradients
from tests.objectives.neutrality import assert_is_cross_entropy
from tests.training.fakes import TinyModel, make_batch

B, T, D, V = 3, 5, 7, 11
PADDING = IGNORED_LABEL


def case(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(B, T, D, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(V, D, generator=generator, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([[4, 7, 4, 4, 2], [5, 2, PADDING, PADDING, PADDING], [3, 8, 8, 3, PADDING]])
    return hidden, weight, labels


def plain(hidden: Tensor, weight: Tensor, labels: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Loss and penalty by loops over tokens and sets."""
    log_probs = (hidden @ weight.T).log_softmax(-1)
    penalty = hidden.new_zeros(())
    for b in range(B):
        row = [token for token in labels[b].tolist() if token != PADDING]
        for t, token in enumerate(row):
            for candidate in set(row[:t]) - {token}:
                penalty = penalty - (1 - log_probs[b, t, candidate].exp()).clamp(min=LEAST_COMPLEMENT).log()
    nll = cross_entropy(log_probs.flatten(0, 1), labels.flatten(), reduction="sum")
    return nll + alpha * penalty, penalty


def test_candidates_are_the_set_of_earlier_tokens_of_the_row_but_the_label() -> None:
    candidates = negative_candidates(case()[2])
    labels = case()[2]
    found = [
        [sorted(labels[b][candidates[b, t]].tolist()) for t in range(T) if labels[b, t] != PADDING] for b in range(B)
    ]
    assert found == [[[], [4], [7], [7], [4, 7]], [[], [5]], [[], [3], [3], [8]]]


def test_value_and_gradient_by_hand() -> None:
    """Labels 0, 1 at probabilities (1/2, 1/4, 1/4) twice, alpha 3: the second token has the candidate 0.

    Loss = ln 2 + ln 4 + 3 * -ln(1 - 1/2) = 6 ln 2. The penalty's gradient by logit z_k is p_c / (1 - p_c) *
    (1[k = c] - p_k) = (1/2, -1/4, -1/4); the second token's is (1/2, -3/4, 1/4) + 3 * that.
    """
    state = [math.log(2.0), 0.0, 0.0]
    hidden = torch.tensor([[state, state]], dtype=torch.float64, requires_grad=True)
    identity = torch.eye(3, dtype=torch.float64)
    loss, nll, num_correct, penalty = unlikelihood_loss(hidden, identity, torch.tensor([[0, 1]]), 3.0, 0.0)
    loss.backward()
    assert nll.item() == pytest.approx(3 * math.log(2))
    assert penalty.item() == pytest.approx(math.log(2))
    assert loss.item() == pytest.approx(6 * math.log(2))
    assert num_correct.item() == 1
    assert hidden.grad is not None
    assert hidden.grad[0, 0].tolist() == pytest.approx([-0.5, 0.25, 0.25])
    assert hidden.grad[0, 1].tolist() == pytest.approx([2.0, -1.5, -0.5])


def test_equals_loops_over_sets_and_passes_finite_differences() -> None:
    hidden, weight, labels = case()
    others = [part.detach().clone().requires_grad_() for part in (hidden, weight)]
    found, _, _, penalty = unlikelihood_loss(hidden, weight, labels, 0.7, 0.0)
    expected, expected_penalty = plain(*others, labels, 0.7)
    found.backward()
    expected.backward()
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(penalty, expected_penalty.detach(), rtol=1e-12, atol=0)
    for mine, other in zip((hidden, weight), others, strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-10, atol=1e-12)
    assert_gradients(lambda h, w: unlikelihood_loss(h, w, labels, 0.7, 0.2)[0], hidden, weight)


def test_only_candidates_are_made_less_likely() -> None:
    """The penalty alone, by the probability of each token: positive for candidates, 0 for all others."""
    labels = torch.tensor([[4, 7, 5, 2]])
    hidden = torch.randn(1, 4, V, dtype=torch.float64, requires_grad=True)
    identity = torch.eye(V, dtype=torch.float64)
    gradients = []
    for alpha in (1.0, 0.0):
        unlikelihood_loss(hidden, identity, labels, alpha, 0.0)[0].backward()
        assert hidden.grad is not None
        gradients.append(hidden.grad.clone())
        hidden.grad = None
    by_logit, probabilities = gradients[0] - gradients[1], hidden.detach().softmax(-1)
    # d penalty / dz = p * (g - p . g) with g = d penalty / dp, so g is by_logit / p up to a constant per token
    by_probability = by_logit / probabilities
    by_probability = by_probability - by_probability[..., :1]  # token 0 is never a candidate
    for t, candidates in enumerate([[], [4], [4, 7], [4, 5, 7]]):
        raised = (by_probability[0, t] > 1e-9).nonzero().flatten().tolist()
        assert raised == candidates
        assert by_probability[0, t].min() > -1e-9


def test_an_all_but_certain_candidate_costs_a_bounded_penalty() -> None:
    hidden = torch.tensor([[[0.0, 0.0], [50.0, 0.0]]], requires_grad=True)
    loss, _, _, penalty = unlikelihood_loss(hidden, torch.eye(2), torch.tensor([[0, 1]]), 1.0, 0.0)
    loss.backward()
    assert penalty.item() == pytest.approx(-math.log(LEAST_COMPLEMENT))
    assert hidden.grad is not None
    assert hidden.grad.isfinite().all()


def test_as_an_objective() -> None:
    model, batch = TinyModel(), make_batch([0, 1, 2, 3, 4])
    loss = Unlikelihood(0.5, label_smoothing=0.1)(model, batch, 1)
    neutral = Unlikelihood(0.0, label_smoothing=0.1)(model, batch, 1)
    assert loss.weight.item() == batch.num_target_tokens
    expected = neutral.loss_sum + 0.5 * loss.logs["unlikelihood"]
    torch.testing.assert_close(loss.loss_sum, expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(loss.logs["nll_sum"], neutral.logs["nll_sum"], rtol=1e-6, atol=0)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_alpha_of_zero_is_cross_entropy_to_the_last_bit(label_smoothing: float) -> None:
    assert_is_cross_entropy(Unlikelihood(0.0, label_smoothing=label_smoothing), label_smoothing)


@pytest.mark.parametrize(("options", "name"), [((-1.0, 0.0), "unlikelihood_weight"), ((1.0, -0.1), "label_smoothing")])
def test_options_out_of_range_are_refused(options: tuple[float, ...], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Unlikelihood(options[0], label_smoothing=options[1])
