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
    assert schedule(step, 0.0) == pytest.approx(factor, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "step", "time_share", "factor"),
    [
        ("constant", 2, 0.02, 0.5),  # half of the warm-up by steps, a fifth of it by time
        ("constant", 1, 0.05, 0.5),
        ("constant", 1, 0.1, 1.0),
        ("linear", 5, 0.1, 0.9),  # an eighth of the way by steps, at its begin by time
        ("linear", 4, 0.55, 0.6),  # half of nine tenths
        ("linear", 8, 0.2, 0.6),
        ("linear", 5, 1.0, 0.2),
        ("linear", 5, 1.5, 0.2),
        ("cosine", 4, 0.55, 0.6),
        ("inverse_square_root", 16, 0.9, 0.5),
    ],
)
def test_time_shortens_the_warm_up_and_brings_the_rate_down(
    name: ScheduleName, step: int, time_share: float, factor: float
) -> None:
    schedule = schedule_named(name, warmup_steps=4, max_steps=12, learning_rate=0.5, final_learning_rate=0.1)
    assert schedule(step, time_share) == pytest.approx(factor, rel=1e-12)


@pytest.mark.parametrize(("max_steps", "warmup_steps"), [(3, 0), (70, 7), (10_000, 1000), (100_000, 1000)])
def test_a_warm_up_without_a_length_fits_the_steps(max_steps: int, warmup_steps: int) -> None:
    options = {"max_steps": max_steps, "learning_rate": 1.0, "final_learning_rate": 0.0}
    chosen, given = (schedule_named("linear", warmup_steps=steps, **options) for steps in (None, warmup_steps))
    assert [chosen(step, 0.0) for step in range(1, max_steps + 1)] == [
        given(step, 0.0) for step in range(1, max_steps + 1)
    ]


@pytest.mark.parametrize("name", ["inverse_square_root", "cosine", "linear", "constant"])
def test_without_warmup_the_first_step_has_the_full_rate_or_nearly(name: ScheduleName) -> None:
    schedule = schedule_named(name, warmup_steps=0, max_steps=1000, learning_rate=1.0, final_learning_rate=0.0)
    assert schedule(1, 0.0) == pytest.approx(1.0, abs=2e-3)
    assert schedule(500, 0.0) <= schedule(1, 0.0)


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
