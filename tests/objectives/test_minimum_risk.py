"""The risk's value and gradient by its own formula; what it depends on and what not."""

import pytest
import torch
from torch import Tensor

from seq2seq.data.batch import IGNORED_LABEL
from seq2seq.objectives.base import LossSum
from seq2seq.objectives.log_probs import token_log_probs
from seq2seq.objectives.minimum_risk import MinimumRisk, expected_cost
from tests.objectives.generated import candidate_search, pairs, searched_model, text_cost

LOG_PROBS = torch.tensor([[-3.0, -5.0, -4.0, 0.0], [-2.0, -9.0, 0.0, 0.0]], dtype=torch.float64)
COSTS = torch.tensor([[0.3, 0.1, 0.9, 0.0], [0.5, 0.2, 0.0, 0.0]], dtype=torch.float64)
IS_REAL = torch.tensor([[True, True, True, False], [True, True, False, False]])


@pytest.mark.parametrize("sharpness", [0.005, 0.7, 2.0])
def test_gradient_is_sharpness_times_q_times_the_cost_above_its_expectation(sharpness: float) -> None:
    log_probs = LOG_PROBS.clone().requires_grad_()
    risks = expected_cost(log_probs, COSTS, IS_REAL, sharpness)
    risks.sum().backward()
    powers = (sharpness * LOG_PROBS).exp() * IS_REAL
    weights = powers / powers.sum(1, keepdim=True)
    torch.testing.assert_close(risks, (weights * COSTS).sum(1), rtol=0, atol=1e-12)
    expected = sharpness * weights * (COSTS - risks.detach().unsqueeze(1))
    torch.testing.assert_close(log_probs.grad, expected, rtol=0, atol=1e-12)


def risk_and_gradient(log_probs: Tensor, costs: Tensor, is_real: Tensor, sharpness: float) -> tuple[Tensor, Tensor]:
    leaf = log_probs.clone().requires_grad_()
    risks = expected_cost(leaf, costs, is_real, sharpness)
    return risks.detach(), torch.autograd.grad(risks.sum(), leaf)[0]


def test_a_constant_added_to_all_costs_changes_no_gradient() -> None:
    risk, gradient = risk_and_gradient(LOG_PROBS, COSTS, IS_REAL, 0.5)
    shifted_risk, shifted = risk_and_gradient(LOG_PROBS, COSTS + 7, IS_REAL, 0.5)
    torch.testing.assert_close(shifted_risk, risk + 7, rtol=0, atol=1e-12)
    torch.testing.assert_close(shifted, gradient, rtol=0, atol=1e-12)


def test_the_order_of_candidates_does_not_matter() -> None:
    order = torch.tensor([2, 3, 0, 1])
    risk, gradient = risk_and_gradient(LOG_PROBS, COSTS, IS_REAL, 0.5)
    other_risk, other = risk_and_gradient(LOG_PROBS[:, order], COSTS[:, order], IS_REAL[:, order], 0.5)
    torch.testing.assert_close(other_risk, risk, rtol=0, atol=1e-12)
    torch.testing.assert_close(other, gradient[:, order], rtol=0, atol=1e-12)


def test_with_vanishing_sharpness_all_candidates_weigh_the_same() -> None:
    risk, _ = risk_and_gradient(LOG_PROBS, COSTS, IS_REAL, 1e-9)
    torch.testing.assert_close(risk, torch.tensor([1.3 / 3, 0.35], dtype=torch.float64), rtol=0, atol=1e-8)


def test_states_behind_the_end_of_a_candidate_have_no_effect() -> None:
    hidden = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(7, 3, dtype=torch.float64)
    labels = torch.tensor([[4, 2, IGNORED_LABEL, IGNORED_LABEL, IGNORED_LABEL], [3, 5, 6, 4, 2]])
    is_real = torch.ones(1, 2, dtype=torch.bool)

    def risk(states: Tensor) -> Tensor:
        log_probs = token_log_probs(states, weight, labels).sum(1).view(1, 2)
        return expected_cost(log_probs, torch.tensor([[0.2, 0.8]]), is_real, 1.0).sum()

    spoiled = hidden.detach().clone()
    spoiled[0, 2:] = 100.0
    assert risk(spoiled).item() == risk(hidden).item()
    (gradient,) = torch.autograd.grad(risk(hidden), hidden)
    assert not gradient[0, 2:].any()
    assert gradient[0, :2].all()


def test_micro_batches_add_up_to_the_whole() -> None:
    model, objective = (
        searched_model(),
        MinimumRisk(
            mle_weight=0.0, candidates=candidate_search(5), text_cost=text_cost(), sharpness=0.5, add_reference=True
        ),
    )
    whole = objective(model, pairs([0, 1, 2, 3, 4]), step=1)
    parts = sum((objective(model, pairs(rows), step=1) for rows in ([3, 1], [0], [2, 4])), LossSum.zero())
    assert whole.weight.item() == parts.weight.item() == 21
    torch.testing.assert_close(parts.loss_sum, whole.loss_sum, rtol=1e-9, atol=0, check_dtype=False)
    assert whole.logs.keys() == {"expected_cost", "sampled_cost", "distinct_candidates"}
    for name, value in whole.logs.items():
        torch.testing.assert_close(parts.logs[name], value, rtol=1e-6, atol=0)


def test_the_loss_is_the_expected_cost_of_enumerated_candidates() -> None:
    """One source: the log-probabilities of its candidates are had one by one, from an ordinary forward."""
    model, batch, cost = searched_model(), pairs([3]), text_cost()
    search = candidate_search(7)
    loss = MinimumRisk(mle_weight=0.0, candidates=search, text_cost=cost, sharpness=0.8)(model, batch, step=1)
    found = search(model, batch)
    risks, powers = [], []
    for labels, row_cost in zip(found.batch.labels, cost(found, batch)[0], strict=True):
        ids = labels[labels != IGNORED_LABEL]
        inputs = torch.cat([torch.tensor([1]), ids[:-1]]).unsqueeze(0)
        log_probs = model(batch.input_ids, batch.attention_mask, inputs).logits[0].detach().log_softmax(-1)
        powers.append(float(log_probs.gather(1, ids.unsqueeze(1)).sum().mul(0.8).exp()))
        risks.append(powers[-1] * float(row_cost))
    assert loss.weight.item() == 3
    assert loss.loss_sum.item() == pytest.approx(3 * sum(risks) / sum(powers), rel=1e-6)
    assert loss.logs["distinct_candidates"].item() == 3 * len(powers)


def test_sharpness_must_be_positive() -> None:
    with pytest.raises(ValueError, match="`sharpness` must be above 0"):
        MinimumRisk(mle_weight=0.0, candidates=candidate_search(2), text_cost=text_cost(), sharpness=0.0)
