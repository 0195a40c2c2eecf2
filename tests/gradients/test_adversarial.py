from typing import Any

import pytest
import torch

from seq2seq.gradients.adversarial import AdversarialTraining
from tests.gradients.around_tokens import (
    INVARIANTS,
    Line,
    Noting,
    a_data_parallel_model_shares_gradients_once,
    all_passes_have_the_dropout_of_plain_training,
    full_loss,
    half_square,
    is_backprop_bit_for_bit,
    one_token,
    parts_add_up_to_the_whole,
    run,
)
from tests.models.tiny import tiny_model
from tests.objectives.batches import random_batch


@pytest.mark.parametrize("norm_over", ["batch", "row"])
def test_adversarial_step_by_hand(norm_over: Any) -> None:
    """g = (a . e) a = (9, 12), of length 15; e + 0.5 g / 15 = (1.3, 0.4), where a . e = 5.5."""
    loss, gradients = run(AdversarialTraining("source", 0.5, norm_over), half_square, Line(), one_token())
    assert loss.loss_sum.item() == pytest.approx(5.5**2 / 2)
    assert loss.logs["clean_loss"].item() == pytest.approx(4.5)
    assert gradients[0].tolist() == pytest.approx([5.5 * 1.3, 5.5 * 0.4])


def test_without_a_move_it_is_backprop_bit_for_bit() -> None:
    is_backprop_bit_for_bit(AdversarialTraining(perturbation_size=0.0))


def test_all_passes_have_the_dropout_of_plain_training() -> None:
    all_passes_have_the_dropout_of_plain_training(AdversarialTraining(perturbation_size=1e-7))


def test_parts_add_up_to_the_whole() -> None:
    parts_add_up_to_the_whole(AdversarialTraining(norm_over="row"))


@pytest.mark.parametrize("invariant", INVARIANTS, ids=lambda invariant: invariant.__name__)
def test_what_holds_for_every_rule(invariant: Any) -> None:
    invariant(AdversarialTraining(perturbation_size=2.0))


def test_a_data_parallel_model_shares_gradients_once() -> None:
    a_data_parallel_model_shares_gradients_once(AdversarialTraining(perturbation_size=2.0), num_passes=1)


@pytest.mark.parametrize("where", ["source", "target", "both"])
@pytest.mark.parametrize("norm_over", ["batch", "row"])
@pytest.mark.parametrize("rows_per_source", [1, 2])
def test_moves_have_the_length_asked_for_and_raise_the_loss(where: Any, norm_over: Any, rows_per_source: int) -> None:
    model, batch = tiny_model(), random_batch(5, rows_per_source)
    objective = Noting(full_loss)
    loss, _ = run(AdversarialTraining(where, 0.25, norm_over), objective, model, batch)
    moved = objective.seen[-1]
    assert (moved.source_perturbation is not None) == (where != "target")
    assert (moved.target_perturbation is not None) == (where != "source")
    parts = [part.reshape(5, -1) for part in (moved.source_perturbation, moved.target_perturbation) if part is not None]
    lengths = torch.cat(parts, 1).norm(dim=1)
    if norm_over == "row":
        torch.testing.assert_close(lengths, torch.full((5,), 0.25).double())
    else:
        assert lengths.norm().item() == pytest.approx(0.25)
    assert loss.loss_sum > loss.logs["clean_loss"]


def test_an_objective_that_ignores_token_vectors_is_refused() -> None:
    with pytest.raises(ValueError, match="where: target"):
        run(AdversarialTraining("target"), half_square, Line(), one_token())


@pytest.mark.parametrize("options", [{"perturbation_size": -0.1}, {"where": "nowhere"}, {"norm_over": "token"}])
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"`{next(iter(options))}`"):
        AdversarialTraining(**options)
