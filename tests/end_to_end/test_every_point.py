"""A run that is stopped before any change to a file goes on to the same weights, log and files as one that is not."""

import pytest

from tests.end_to_end.every_point import KEPT
from tests.end_to_end.test_kills import run_python


@pytest.mark.parametrize(
    ("kept", "signal_number", "first", "every"),
    [
        ("mean", 9, 41, 170),
        *(pytest.param(kept, number, 1, 1, marks=pytest.mark.slow) for kept in KEPT for number in (9, 15)),
    ],
)
def test_stops_before_changes_to_files_change_nothing(kept: str, signal_number: int, first: int, every: int) -> None:
    options = {"--signal": signal_number, "--first": first, "--every": every}
    words = [str(word) for option in options.items() for word in option]
    done = run_python("-m", "tests.end_to_end.every_point", kept, *words)
    assert done.returncode == 0, done.stderr[-3000:]
    *problems, num_changes = done.stdout.splitlines()
    assert problems == []
    assert int(num_changes) > 100
