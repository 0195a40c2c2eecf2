"""The margin loss on three candidates by hand."""

import pytest
import torch

from seq2seq.objectives.ranking import Ranking, ranking_loss
from seq2seq.objectives.sequences import candidate_log_probs
from tests.objectives.generated import candidate_search, pairs, searched_model, text_cost

COSTS = torch.tensor([[0.5, 0.1, 0.9]])
"""Ranks 1, 0 and 2."""
ALL = torch.ones(1, 3, dtype=torch.bool)


def test_nothing_is_lost_where_all_margins_hold() -> None:
    scores = torch.tensor([[-0.75, -0.25, -1.25]], requires_grad=True)
    loss = ranking_loss(scores, COSTS, ALL, margin=0.5)
    loss.sum().backward()
    assert loss.tolist() == [0.0]
    assert scores.grad is not None
    assert not scores.grad.any()


def test_three_candidates_by_hand() -> None:
    """Scores of ranks 0, 1, 2: -1, -0.9, -2, with margin 0.5.

    Pair 0-1: -0.9 + 1 + 0.5 = 0.6. Pair 0-2: -2 + 1 + 2 * 0.5 = 0. Pair 1-2: -2 + 0.9 + 0.5 < 0.
    """
    scores = torch.tensor([[-0.9, -1.0, -2.0]], dtype=torch.float64, requires_grad=True)
    loss = ranking_loss(scores, COSTS, ALL, margin=0.5)
    loss.sum().backward()
    assert loss.item() == pytest.approx(0.6)
    assert scores.grad is not None
    assert scores.grad[0, :2].tolist() == [1.0, -1.0]


def test_a_wider_gap_of_ranks_wants_a_wider_margin() -> None:
    scores = torch.tensor([[-1.0, -1.0, -1.0]])
    assert ranking_loss(scores, COSTS, ALL, margin=0.25).item() == 0.25 + 0.25 + 0.5


def test_equal_costs_ask_for_no_order_and_share_a_rank() -> None:
    scores, costs = torch.tensor([[-1.0, -2.0, -3.0]]), torch.tensor([[0.5, 0.5, 0.1]])
    # The third must be above the first by 0.5 and above the second by 0.5.
    assert ranking_loss(scores, costs, ALL, margin=0.5).item() == (2.0 + 0.5) + (1.0 + 0.5)
    assert ranking_loss(scores, torch.ones(1, 3), ALL, margin=0.5).item() == 0.0


def test_the_order_of_candidates_and_rows_that_are_none_do_not_matter() -> None:
    scores, costs = torch.randn(5, 7), torch.randint(4, (5, 7)).float()
    is_real = torch.rand(5, 7) < 0.7
    loss = ranking_loss(scores, costs, is_real, 0.1)
    order = torch.randperm(7)
    torch.testing.assert_close(ranking_loss(scores[:, order], costs[:, order], is_real[:, order], 0.1), loss)
    spoiled = torch.where(is_real, costs, -9.0)
    torch.testing.assert_close(ranking_loss(scores, spoiled, is_real, 0.1), loss)


@pytest.mark.parametrize("length_exponent", [0.0, 0.6])
def test_scores_are_log_probs_by_a_power_of_the_length(length_exponent: float) -> None:
    model, batch, cost = searched_model(), pairs([0, 2, 3]), text_cost()
    search = candidate_search(4, "diverse_beam")
    loss = Ranking(
        mle_weight=0.0,
        candidates=search,
        text_cost=cost,
        margin=0.3,
        length_exponent=length_exponent,
        add_reference=True,
    )(model, batch, 1)
    found = search(model, batch, add_reference=True)
    scores = candidate_log_probs(model, found) / found.lengths.clamp(min=1) ** length_exponent
    per_source = ranking_loss(scores, cost(found, batch), found.is_real, 0.3)
    assert (per_source > 0).any()
    assert loss.loss_sum.item() == pytest.approx((per_source * torch.tensor([5, 7, 3])).sum().item())
    assert loss.weight.item() == 15
    assert loss.logs.keys() == {"sampled_cost", "top_cost", "distinct_candidates"}
    highest = scores.masked_fill(~found.is_real, -torch.inf).argmax(1)
    costs = cost(found, batch)[range(3), highest]
    assert loss.logs["top_cost"].item() == pytest.approx((costs * torch.tensor([5, 7, 3])).sum().item())


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="`margin` must not be negative"):
        Ranking(mle_weight=0.0, candidates=candidate_search(2), text_cost=text_cost(), margin=-0.1)
    with pytest.raises(ValueError, match="candidates must be two"):
        Ranking(mle_weight=0.0, candidates=candidate_search(1), text_cost=text_cost())
    Ranking(mle_weight=0.0, candidates=candidate_search(1), text_cost=text_cost(), add_reference=True)
