import math
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch.nn.functional import cross_entropy

from seq2seq.objectives.cross_entropy import CrossEntropy
from seq2seq.training.validation import BestSoFar, Validation
from tests.training.fakes import TinyModel, make_batch


def make_validation(model: TinyModel | None = None, **options: Any) -> Validation:
    batches = lambda: [make_batch([0, 1, 2]), make_batch([3]), make_batch([4, 5])]  # noqa: E731
    defaults: dict[str, Any] = {"batches": batches, "select_by": "loss", "patience": 0}
    return Validation(
        accelerator=Accelerator(cpu=True),
        model=model or TinyModel(dropout=0.5),
        objective=CrossEntropy(label_smoothing=0.1),
        **(defaults | options),
    )


def test_loss_is_the_mean_over_all_tokens_without_dropout() -> None:
    model = TinyModel(dropout=0.5)
    values = make_validation(model).run(step=1).values
    batch = make_batch([0, 1, 2, 3, 4, 5])
    logits, labels = model.eval()(**batch.model_inputs()).logits.flatten(0, 1), batch.labels.flatten()
    assert values["loss"] == pytest.approx(cross_entropy(logits, labels, label_smoothing=0.1).item(), rel=1e-6)
    nll = cross_entropy(logits, labels).item()
    assert values["nll"] == pytest.approx(nll, rel=1e-6)
    assert values["perplexity"] == pytest.approx(math.exp(nll), rel=1e-5)
    correct = (logits.argmax(-1) == labels).sum().item()
    assert values["token_accuracy"] == pytest.approx(correct / batch.num_target_tokens)


@pytest.mark.parametrize("was_training", [True, False])
def test_mode_is_evaluation_inside_and_as_before_outside(was_training: bool) -> None:
    model = TinyModel().train(was_training)
    values = make_validation(model, decode=lambda: {"mode": float(model.training)}).run(step=1).values
    assert values["mode"] == 0.0
    assert model.training is was_training


def test_no_graph_is_built() -> None:
    assert not make_validation(decode=lambda: {"grad": float(torch.is_grad_enabled())}).run(step=1).values["grad"]


def test_decoded_scores_join_the_values() -> None:
    values = make_validation(decode=lambda: {"bleu": 31.5}, select_by="bleu").run(step=1).values
    assert values["bleu"] == 31.5


def test_a_decode_that_fails_leaves_the_loss(capsys: pytest.CaptureFixture[str]) -> None:
    def failing() -> dict[str, float]:
        raise ZeroDivisionError("no words")

    validation = make_validation(decode=failing, select_by="bleu")
    values, problem = validation.run(step=3)
    assert problem == "ZeroDivisionError: no words"
    assert values == make_validation().run(step=3).values
    best = BestSoFar(value=7.0, step=1, num_since=1, last_step=2)
    assert not validation.note(best, 3, values)
    assert best == BestSoFar(value=7.0, step=1, num_since=1, last_step=3), "neither a best nor a try without one"


def test_what_was_not_measured_cannot_select() -> None:
    with pytest.raises(ValueError, match=r"`validation.select_by` is 'bleu', but .* loss, token_accuracy, nll"):
        make_validation(select_by="bleu").run(step=1)


def test_nothing_to_validate_on_is_an_error() -> None:
    with pytest.raises(ValueError, match="no validation pairs"):
        make_validation(batches=lambda: []).run(step=1)


@pytest.mark.parametrize(
    ("select_by", "values", "best_step"),
    [
        ("loss", [3.0, 2.0, 2.5], 2),
        ("ter", [60.0, 70.0, 50.0], 3),
        ("word_error_rate", [0.2, 0.1, 0.3], 2),
        ("bleu", [1.0, 5.0, 3.0], 2),
        ("exact_match", [1.0, 1.0, 1.0], 1),
        ("loss", [math.nan, 5.0, math.nan], 2),
    ],
)
def test_best_goes_by_the_direction_of_its_value(select_by: str, values: list[float], best_step: int) -> None:
    validation, best = make_validation(select_by=select_by), BestSoFar()
    for step, value in enumerate(values, start=1):
        validation.note(best, step, {select_by: value, "other": -step})
    assert best.step == best_step
    assert best.num_since == len(values) - best_step
    assert best.last_step == 3


@pytest.mark.parametrize(
    ("losses", "best_step"),
    [([3.0, 2.0, 1.0], 3), ([3.0, 1.0, 2.0], 2), ([1.0, 1.0, 1.0], 1), ([math.nan, 5.0, math.nan], 1)],
)
@pytest.mark.parametrize("select_by", ["bleu", "word_error_rate"])
def test_equal_values_are_told_apart_by_the_loss(select_by: str, losses: list[float], best_step: int) -> None:
    validation, best = make_validation(select_by=select_by, patience=2), BestSoFar()
    for step, loss in enumerate(losses, start=1):
        validation.note(best, step, {select_by: 0.0, "loss": loss})
    assert best.step == best_step
    assert best.num_since == len(losses) - best_step


def test_a_better_value_is_better_with_any_loss() -> None:
    validation, best = make_validation(select_by="bleu"), BestSoFar()
    for step, (value, loss) in enumerate([(1.0, 1.0), (2.0, 3.0), (1.5, 0.1), (2.0, 2.0)], start=1):
        validation.note(best, step, {"bleu": value, "loss": loss})
    assert (best.step, best.value, best.loss) == (4, 2.0, 2.0)


@pytest.mark.parametrize(
    ("patience", "num_since", "over"), [(0, 99, False), (2, 1, False), (2, 2, True), (1, 0, False)]
)
def test_patience(patience: int, num_since: int, over: bool) -> None:
    assert make_validation(patience=patience).is_over(BestSoFar(num_since=num_since)) is over


def test_a_bleu_of_zero_is_remarked_on_where_it_chooses() -> None:
    validation = make_validation(select_by="bleu")
    assert "set `validation.select_by` to chrf or exact_match" in validation.remark({"bleu": 0.0, "loss": 1.0})
    assert validation.remark({"bleu": 0.1}) == validation.remark({"loss": 0.0}) == ""
    assert make_validation(select_by="loss").remark({"bleu": 0.0, "loss": 0.0}) == ""
