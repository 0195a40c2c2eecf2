"""Policy gradients on a toy whose samples can be enumerated."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seq2seq.objectives.base import Objective
from seq2seq.objectives.candidates import CandidateSearch
from seq2seq.objectives.cross_entropy import CrossEntropy
from seq2seq.objectives.reinforce import Reinforce, leave_one_out, policy_gradient_loss
from seq2seq.objectives.sequences import mean_cost
from tests.objectives.generated import candidate_search, pairs, searched_model, text_cost

OUTCOMES = list(itertools.product(range(3), repeat=2))
"""All sequences of two tokens out of three words."""


def test_leave_one_out_by_hand() -> None:
    costs, counts = torch.tensor([[0.2, 0.8, 0.0]]), torch.tensor([[2.0, 1.0, 0.0]])
    torch.testing.assert_close(leave_one_out(costs, counts)[:, :2], torch.tensor([[0.5, 0.2]]))


def test_two_identical_samples_have_no_gradient() -> None:
    log_probs, counts = torch.tensor([[-3.0]], requires_grad=True), torch.tensor([[2.0]])
    costs = torch.tensor([[0.7]])
    policy_gradient_loss(log_probs, costs, counts, leave_one_out(costs, counts)).sum().backward()
    assert log_probs.grad is not None
    assert log_probs.grad.item() == 0.0


def outcome_log_probs(first: Tensor, second: Tensor) -> Tensor:
    """Return log P of each outcome, [9]; the second token's logits [3, 3] depend on the first."""
    first_log_probs, second_log_probs = first.log_softmax(0), second.log_softmax(1)
    return torch.stack([first_log_probs[a] + second_log_probs[a, b] for a, b in OUTCOMES])


@pytest.mark.parametrize("baseline", ["leave_one_out", "greedy"])
@pytest.mark.parametrize("num_samples", [2, 3])
def test_the_expected_gradient_is_that_of_the_expected_cost(baseline: str, num_samples: int) -> None:
    logits = [torch.randn(3, dtype=torch.float64), torch.randn(3, 3, dtype=torch.float64)]
    parameters = [part.requires_grad_() for part in logits]
    costs = torch.rand(9, dtype=torch.float64)
    log_probs = outcome_log_probs(*parameters)
    exact = torch.autograd.grad((log_probs.exp() * costs).sum(), parameters, retain_graph=True)

    expected_loss = torch.zeros((), dtype=torch.float64)
    for drawn in itertools.product(range(9), repeat=num_samples):
        counts = torch.bincount(torch.tensor(drawn), minlength=9).double().unsqueeze(0)
        others = leave_one_out(costs.unsqueeze(0), counts) if baseline == "leave_one_out" else costs[log_probs.argmax()]
        probability = log_probs[list(drawn)].sum().exp().detach()
        loss = policy_gradient_loss(log_probs.unsqueeze(0), costs.unsqueeze(0), counts, others)
        expected_loss = expected_loss + probability * loss.sum()
    estimated = torch.autograd.grad(expected_loss, parameters)
    for mine, other in zip(estimated, exact, strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("baseline", ["leave_one_out", "greedy"])
def test_steps_lower_the_cost_of_samples_of_a_trained_model(baseline: Any) -> None:
    model, batch = searched_model(), pairs([0, 1, 3])
    take_steps(model, CrossEntropy(label_smoothing=0.0), torch.optim.Adam(model.parameters(), lr=1e-2), 14)
    before = sampled_cost(model)
    objective = Reinforce(mle_weight=0.0, candidates=candidate_search(16), text_cost=text_cost(), baseline=baseline)
    take_steps(model, objective, torch.optim.SGD(model.parameters(), lr=0.03), 12)
    assert sampled_cost(model) < 0.85 * before
    assert ("greedy_cost" in objective(model, batch, step=1).logs) == (baseline == "greedy")


def take_steps(model: nn.Module, objective: Objective, optimizer: torch.optim.Optimizer, num_steps: int) -> None:
    for step in range(num_steps):
        torch.manual_seed(step)
        loss = objective(model, pairs([0, 1, 3]), step)
        optimizer.zero_grad()
        (loss.loss_sum / loss.weight).backward()
        optimizer.step()


def sampled_cost(model: nn.Module) -> float:
    torch.manual_seed(99)
    found = candidate_search(80)(model, pairs([0, 1, 3]))
    return mean_cost(text_cost()(found, pairs([0, 1, 3])), found).mean().item()


def test_micro_batches_add_up_to_the_whole() -> None:
    model, objective = (
        searched_model(),
        Reinforce(mle_weight=0.0, candidates=candidate_search(5), text_cost=text_cost("bleu"), baseline="greedy"),
    )
    whole = objective(model, pairs([0, 1, 2, 3, 4]), step=1)
    first, second = objective(model, pairs([4, 1]), step=1), objective(model, pairs([0, 2, 3]), step=1)
    torch.testing.assert_close((first + second).loss_sum, whole.loss_sum, rtol=1e-9, atol=0)
    assert whole.logs.keys() == {"sampled_cost", "greedy_cost", "distinct_candidates"}


@pytest.mark.parametrize(
    ("search", "baseline", "message"),
    [
        (candidate_search(1), "leave_one_out", "`num_candidates` of at least 2"),
    ],
)
def test_candidates_that_are_no_samples_or_too_few(search: CandidateSearch, baseline: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Reinforce(mle_weight=0.0, candidates=search, text_cost=text_cost(), baseline=baseline)
    Reinforce(mle_weight=0.0, candidates=candidate_search(1), text_cost=text_cost(), baseline="greedy")
