from pathlib import Path

import pytest

from seq2seq.assembly.continuing import Continuation, check_pairs
from seq2seq.data.micro_batches import Position
from seq2seq.training.checkpoint import TrainingState
from seq2seq.training.validation import BestSoFar

RECORD = {"train": "7 pairs a", "validation": "5 pairs b", "batch_tokens": "512", "num_processes": "1"}
BEST = BestSoFar(1.5, 10, 3, 20)


def epoch_again(position: Position) -> Position:
    return {"epoch": position["epoch"], "batch": 0}


def state_of(data: dict[str, str]) -> TrainingState:
    return TrainingState(23, position={"epoch": 2, "batch": 11}, best=BEST, data=data)


def continuation(record: dict[str, str] = RECORD, *, accepts_changes: bool = False) -> Continuation:
    return Continuation(Path("runs/x"), record, epoch_again, accepts_changes)


@pytest.mark.parametrize("before", [RECORD, {}])
def test_nothing_has_changed_or_nothing_is_known(before: dict[str, str]) -> None:
    """A checkpoint that says nothing of its data goes on, and the next one says it."""
    state = state_of(before)
    assert continuation()(state) == {}
    assert state == state_of(RECORD)


def test_a_new_run_has_nothing_to_compare() -> None:
    state = TrainingState()
    assert continuation()(state) == {}
    assert state == TrainingState(data=RECORD)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("train", r"The training pairs of runs/x have changed .*`data.train` held x, now 7 pairs a\).*accept_changed"),
        ("validation", r"The validation pairs of runs/x have changed .*`data.validation` held x, now 5 pairs b\)"),
    ],
)
def test_other_pairs_are_refused_in_one_line(name: str, message: str) -> None:
    for refuse in (
        lambda: continuation()(state_of(RECORD | {name: "x"})),
        lambda: check_pairs(Path("runs/x"), RECORD | {name: "x"}, RECORD, accepts_changes=False),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            refuse()
        assert "\n" not in str(caught.value)


def test_other_training_pairs_that_are_accepted_begin_the_epoch_anew() -> None:
    state = state_of(RECORD | {"train": "x"})
    assert continuation(accepts_changes=True)(state) == {"train": ["x", "7 pairs a"]}
    assert (state.position, state.best, state.data) == ({"epoch": 2, "batch": 0}, BEST, RECORD)
    assert continuation()(state) == {}, "accepted once and for all"


def test_other_validation_pairs_that_are_accepted_have_no_best_yet() -> None:
    state = state_of(RECORD | {"validation": "x"})
    assert continuation(accepts_changes=True)(state) == {"validation": ["x", "5 pairs b"]}
    assert (state.position, state.best) == ({"epoch": 2, "batch": 11}, BestSoFar(last_step=20))


def test_other_batches_are_taken_and_named() -> None:
    state = state_of(RECORD | {"batch_tokens": "1024", "num_processes": "3"})
    assert continuation()(state) == {"batch_tokens": ["1024", "512"], "num_processes": ["3", "1"]}
    assert (state.position, state.data) == ({"epoch": 2, "batch": 11}, RECORD)
