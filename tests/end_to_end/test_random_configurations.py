"""Random configurations end in a trained model and decoded lines, or in one line before any work."""

from pathlib import Path

import pytest

from tests.end_to_end.random_configurations import DONE, REFUSED, outcomes, random_case

QUICK: tuple[int, ...] = (0, 1, 2, 3, 5, 6, 7, 9, 11)
CHUNK, NUM_CASES = 50, 1000


def assert_right(seeds: tuple[int, ...] | range, folder: Path) -> None:
    """Fail with all cases that went otherwise than they should, each with its seed and configuration."""
    found = list(outcomes(seeds, folder))
    wrong = [f"{text}\n  {case}" for case, text in found if text not in (DONE, REFUSED)]
    assert not wrong, f"{len(wrong)} of {len(seeds)} cases:\n" + "\n".join(wrong)
    assert sum(text == DONE for _, text in found) >= len(seeds) // 4, "too few are right to say anything"


def test_a_seed_is_a_case() -> None:
    assert [str(random_case(seed)) for seed in range(20)] == [str(random_case(seed)) for seed in range(20)]
    assert len({str(random_case(seed)) for seed in range(20)}) == 20
    assert 250 < sum(random_case(seed).spoiled is not None for seed in range(1000)) < 550
    assert {random_case(seed).processes for seed in range(NUM_CASES)} == {1, 2, 3}


def test_some_configurations(tmp_path: Path) -> None:
    assert_right(QUICK, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, NUM_CASES, CHUNK))
def test_many_configurations(start: int, tmp_path: Path) -> None:
    assert_right(range(start, start + CHUNK), tmp_path)
