"""The mix with likelihood, and the cost of candidates as text."""

from dataclasses import replace

import pytest
import torch

from seq2seq.data.batch import Batch
from seq2seq.objectives.base import LossSum
from seq2seq.objectives.candidates import as_rows
from seq2seq.objectives.cross_entropy import CrossEntropy
from seq2seq.objectives.minimum_risk import MinimumRisk
from seq2seq.objectives.sequences import SequenceObjective, TextCost
from tests.objectives.generated import EOS, PAD, START, candidate_search, pairs, read, searched_model, text_cost

ROWS = [0, 1, 2, 3, 4]


class Refusing(SequenceObjective):
    """An objective that is not to be asked."""

    def sequence_loss(self, model: torch.nn.Module, batch: Batch) -> LossSum:
        raise AssertionError("it was not to be called")


def gradients(loss: LossSum, model: torch.nn.Module) -> list[torch.Tensor]:
    return list(torch.autograd.grad(loss.loss_sum, list(model.parameters())))


def test_with_all_weight_it_is_cross_entropy_bit_for_bit() -> None:
    model, batch = searched_model(dropout=0.3), pairs(ROWS)
    torch.manual_seed(5)
    plain = CrossEntropy(label_smoothing=0.1)(model, batch, step=1)
    state = torch.get_rng_state()
    torch.manual_seed(5)
    mixed = Refusing(mle_weight=1.0, label_smoothing=0.1)(model, batch, step=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(mixed.loss_sum, plain.loss_sum)
    assert mixed.logs.keys() == plain.logs.keys()
    for mine, other in zip(gradients(mixed, model), gradients(plain, model), strict=True):
        assert torch.equal(mine, other)


def test_a_mix_is_the_weighted_sum_and_keeps_the_dropout_of_likelihood() -> None:
    model, batch = searched_model(dropout=0.3), pairs(ROWS)
    risk = MinimumRisk(mle_weight=0.0, candidates=candidate_search(3), text_cost=text_cost(), sharpness=0.5)
    torch.manual_seed(5)
    likelihood = CrossEntropy(label_smoothing=0.1)(model, batch, step=1)
    alone = risk(model, batch, step=1)
    torch.manual_seed(5)
    mixed = replace(risk, mle_weight=0.25)(model, batch, step=1)
    assert mixed.loss_sum.item() == pytest.approx((0.75 * alone.loss_sum + 0.25 * likelihood.loss_sum).item())
    assert mixed.weight.item() == likelihood.weight.item() == alone.weight.item()
    assert mixed.logs == likelihood.logs | alone.logs


def test_without_weight_there_is_no_likelihood() -> None:
    model, batch = searched_model(), pairs(ROWS)
    risk = MinimumRisk(mle_weight=0.0, candidates=candidate_search(3), text_cost=text_cost(), sharpness=0.5)
    assert "nll_sum" not in risk(model, batch, step=1).logs


@pytest.mark.parametrize(
    ("options", "message"), [({"mle_weight": 1.5}, "`mle_weight`"), ({"label_smoothing": 1.0}, "`label_smoothing`")]
)
def test_options_out_of_range_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Refusing(**options)


@pytest.mark.parametrize("from_right", [False, True])
def test_cost_is_that_of_texts_in_the_order_of_reading(from_right: bool) -> None:
    """References 3 8 5 10 and 6; costs of unlike lengths, with a row that is none."""
    batch = pairs([0, 1])
    assert read(batch.labels.clamp(min=0).tolist()) == ["3 8 5 10", "6"]
    rows = as_rows(batch, [{(3, 8, 4, EOS): 1, (3, 8, 5, 10, EOS): 1}, {(6, 6, 6): 2}], PAD, START)
    seen: list[list[int]] = []

    def decode(rows: list) -> list[str]:
        seen.extend(list(ids) for ids in rows)
        return read(rows)

    costs = TextCost(text_cost().cost, decode, from_right)(rows, batch)
    assert costs.tolist() == [[0.5, 0.0], [2.0, 0.0]]
    assert seen[0] == ([EOS, 4, 8, 3] if from_right else [3, 8, 4, EOS])
    assert seen[-1] == ([EOS, 6] if from_right else [6, EOS])
