"""Random configurations end in a trained model and decoded lines, or in one line before any work."""

from pathlib import Path

import pytest

from tests.end_to_end.random_configurations import random_case
from tests.end_to_end.random_running import DONE, REFUSED, Ended, outcomes, refused

QUICK, CHUNK, NUM_CASES = 10, 50, 1000


def assert_right(seeds: range, folder: Path) -> None:
    """Fail with all cases that went otherwise than they should, each with its seed and configuration."""
    found = list(outcomes(seeds, folder))
    wrong = [f"{text}\n  {case}" for case, text in found if text not in (DONE, REFUSED)]
    assert not wrong, f"{len(wrong)} of {len(seeds)} cases:\n" + "\n".join(wrong)
    assert sum(text == DONE for _, text in found) >= len(seeds) // 4, "too few are right to say anything"


def test_a_seed_is_a_case() -> None:
    cases = [random_case(seed) for seed in range(NUM_CASES)]
    assert [str(random_case(seed)) for seed in range(20)] == [str(case) for case in cases[:20]]
    assert len({str(case) for case in cases}) == NUM_CASES
    assert 300 < sum(case.spoiled is not None for case in cases) < 500
    assert {case.processes for case in cases} == {1, 2, 3}


@pytest.mark.parametrize(
    ("ended", "worked", "expected"),
    [
        (Ended(2, ["wrong"]), False, REFUSED),
        (Ended(2, ["wrong"]), True, "train: refused late: wrong"),
        (Ended(2, ["wrong", "again"]), False, "train: not one line: ['wrong', 'again']"),
        (Ended(2), False, "train: not one line: []"),
        (Ended(1, ["wrong"]), False, "train: wrong code: 1"),
        (Ended(None, escaped="KeyError: 'a'"), False, "train: escaped: KeyError: 'a'"),
    ],
)
def test_a_refusal_is_one_line_before_any_work(ended: Ended, worked: bool, expected: str) -> None:
    assert refused("train", ended, worked=worked) == expected


def test_some_configurations(tmp_path: Path) -> None:
    assert_right(range(QUICK), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, NUM_CASES, CHUNK))
def test_many_configurations(start: int, tmp_path: Path) -> None:
    assert_right(range(start, start + CHUNK), tmp_path)
