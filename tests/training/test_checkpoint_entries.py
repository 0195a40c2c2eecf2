"""What a hand may have written into a checkpoint, with checksums that are right, is named and not followed."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq.training.checkpoint import TrainingState
from seq2seq.training.checkpoint_entries import check_entries, is_best, optimizer_state
from seq2seq.training.tracking import window_values
from seq2seq.training.validation import BestSoFar

FILE = Path("run/3-state.json")
WINDOW = {"seconds": 1.0, "skipped_steps": 0.0, "steps": 1.0, "gradient_norm": 1.0, "loss_sum": 1.0, "weight": 2.0}


def test_what_training_writes_is_right() -> None:
    check_entries(asdict(TrainingState()), FILE)
    state = TrainingState(
        3, 6, {"epoch": 0, "batch": 1, "number": 6}, 1.5, BestSoFar(0.5, 2, 1, 3, 0.4), WINDOW, [1, 3]
    )
    check_entries(asdict(state) | {"num_averaged": 3, "aliases": {"a": "b"}, "loss_scaler": None}, FILE)
    assert window_values(WINDOW)["seconds_per_step"] == 1.0
    assert is_best(asdict(BestSoFar()))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("step", value) for value in (None, -1, 1.5, "1", True, 10**30, [])),
        *(("num_micro_batches", value) for value in ("a", 2**53)),
        *(("seconds", value) for value in ("a", None, -1, float("inf"), float("nan"))),
        *(("best", value) for value in (None, [], {"step": "a"}, {"value": "a"}, {"num_since": None}, {"loss": []})),
        *(("window", value) for value in ([], {"seconds": "a"}, {"steps": 1.0}, {"seconds": 1.0, "skipped_steps": 0})),
        ("window", {name: value for name, value in WINDOW.items() if name != "weight"}),
        *(("regular", value) for value in (None, ["a"], [-1], {"a": 1})),
        *(("data", value) for value in ([], {"train": 1})),
        *(("aliases", value) for value in (None, ["a"], {"a": 1})),
        *(("loss_scaler", value) for value in (1, "a", [])),
    ],
)
def test_what_training_does_not_write_is_named(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"run/3-state.json is damaged.*`{name}` is ") as caught:
        check_entries({name: value}, FILE)
    assert len(str(caught.value)) < 200


WEIGHT = torch.zeros(2, 3)
GOOD = {"weight/step": torch.tensor(1.0), "weight/exp_avg": WEIGHT}


def test_what_an_optimizer_has_learnt_is_by_parameter() -> None:
    assert optimizer_state(GOOD, {"weight": WEIGHT}, FILE).keys() == {"weight"}
    assert optimizer_state(GOOD, {"weight": WEIGHT}, FILE)["weight"].keys() == {"step", "exp_avg"}


def test_of_a_matrix_rows_and_columns_may_be_learnt() -> None:
    learnt = {
        "weight/row_var": torch.zeros(2, 1),
        "weight/col_var": torch.zeros(1, 3),
        "bias/variance": torch.zeros(2),
        "norm/variance": torch.zeros(3),
    }
    parameters = {"weight": WEIGHT, "bias": torch.zeros(2), "norm": torch.zeros(3)}
    assert optimizer_state(learnt, parameters, FILE)["weight"].keys() == {"row_var", "col_var"}
    with pytest.raises(ValueError, match="not hold the same of each parameter"):
        optimizer_state(learnt | {"norm/step": torch.tensor(1.0)}, parameters, FILE)
    with pytest.raises(ValueError, match="does not fit this model: bias/variance"):
        optimizer_state(learnt | {"bias/variance": torch.zeros(1)}, parameters, FILE)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight/exp_avg": torch.zeros(3, 2)}, r"does not fit this model: weight/exp_avg is \(3, 2\) there"),
        ({"other/exp_avg": WEIGHT}, "does not fit this model: other/exp_avg"),
        ({"weight": WEIGHT}, "does not fit this model: weight"),
        ({"weight/exp_avg": WEIGHT.long()}, "weight/exp_avg is of torch.int64"),
        ({"other_weight/step": torch.tensor(1.0)}, "not hold the same of each parameter"),
    ],
)
def test_what_was_learnt_of_another_model_is_refused(changes: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        optimizer_state(GOOD | changes, {"weight": WEIGHT, "other_weight": WEIGHT}, FILE)
