import math

import pytest

from seq2seq.training.schedules import ScheduleName, schedule_named

HALF_ROOT = math.sqrt(0.5)


@pytest.mark.parametrize(
    ("name", "step", "factor"),
    [
        ("constant", 1, 0.25),
        ("constant", 3, 0.75),
        ("constant", 4, 1.0),
        ("constant", 12, 1.0),
        ("inverse_square_root", 1, 0.25),
        ("inverse_square_root", 4, 1.0),
        ("inverse_square_root", 16, 0.5),
        ("inverse_square_root", 100, 0.2),
        ("linear", 2, 0.5),
        ("linear", 4, 1.0),
        ("linear", 8, 0.6),  # half-way from 1 to 0.2
        ("linear", 12, 0.2),
        ("linear", 99, 0.2),
        ("cosine", 2, 0.5),
        ("cosine", 4, 1.0),
        ("cosine", 6, 0.6 + 0.4 * HALF_ROOT),  # cos(pi / 4) on the way from 1 to 0.2
        ("cosine", 8, 0.6),
        ("cosine", 12, 0.2),
        ("cosine", 99, 0.2),
    ],
)
def test_values(name: ScheduleName, step: int, factor: float) -> None:
    schedule = schedule_named(name, warmup_steps=4, max_steps=12, learning_rate=0.5, final_learning_rate=0.1)
    assert schedule(step) == pytest.approx(factor, rel=1e-12)


@pytest.mark.parametrize("name", ["inverse_square_root", "cosine", "linear", "constant"])
def test_without_warmup_the_first_step_has_the_full_rate_or_nearly(name: ScheduleName) -> None:
    schedule = schedule_named(name, warmup_steps=0, max_steps=1000, learning_rate=1.0, final_learning_rate=0.0)
    assert schedule(1) == pytest.approx(1.0, abs=2e-3)
    assert schedule(500) <= schedule(1)


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"name": "exponential", "warmup_steps": 1, "max_steps": 2}, "schedule"),
        ({"name": "constant", "warmup_steps": -1, "max_steps": 2}, "warmup_steps"),
        ({"name": "cosine", "warmup_steps": 2, "max_steps": 2}, "max_steps"),
        ({"name": "linear", "warmup_steps": 1, "max_steps": 2, "final_learning_rate": 2.0}, "final_learning_rate"),
    ],
)
def test_bad_options_are_named(options: dict, option: str) -> None:
    with pytest.raises(ValueError, match=f"`{option}`"):
        schedule_named(**({"learning_rate": 1.0, "final_learning_rate": 0.0} | options))
