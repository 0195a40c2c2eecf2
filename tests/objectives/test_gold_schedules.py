import math
from typing import Any

import pytest
import torch

from seq2seq.objectives.gold_schedules import GoldSchedule


def probability(schedule: GoldSchedule, step: int, position: int) -> float:
    return float(schedule(step, torch.tensor([position]))[0])


@pytest.mark.parametrize(
    ("kind", "at_20", "at_90"),
    [
        ("constant", 0.0, 0.0),
        ("linear", 0.5, -1.25),
        ("exponential", math.exp(-0.5), math.exp(-2.25)),
        ("inverse_sigmoid", 40 / (40 + math.exp(0.5)), 40 / (40 + math.exp(2.25))),
    ],
)
@pytest.mark.parametrize("floor", [0.0, 0.3])
def test_curves_by_hand_over_steps_and_over_positions(kind: Any, at_20: float, at_90: float, floor: float) -> None:
    by_step = GoldSchedule("step", step_schedule=kind, decay_steps=40, gold_floor=floor)
    by_position = GoldSchedule("position", position_schedule=kind, decay_positions=40, gold_floor=floor)
    for elapsed, expected in ((20, at_20), (90, at_90)):
        assert probability(by_step, elapsed, 7) == pytest.approx(max(floor, expected))
        assert probability(by_position, 7, elapsed) == pytest.approx(max(floor, expected))


def test_published_curves_in_our_terms() -> None:
    """0.99 ** t, k / (k + exp(i / k)), and 0.99 ** (t * (1 - f(i))) with f inverse sigmoid at k = 20000."""
    position_scale = -1 / math.log(0.99)
    both = GoldSchedule("step_and_position", decay_steps=20000, decay_positions=position_scale)
    for step, position in ((1, 5), (100_000, 13), (200_000, 31), (300_000, 50)):
        f = 20000 / (20000 + math.exp(step / 20000))
        assert probability(both, step, position) == pytest.approx(0.99 ** (position * (1 - f)))
    assert position_scale == pytest.approx(99.5, abs=0.01)


def test_steps_are_counted_behind_those_of_nothing_but_gold() -> None:
    late = GoldSchedule(step_schedule="exponential", decay_steps=10, gold_steps=100)
    early = GoldSchedule(step_schedule="exponential", decay_steps=10)
    assert probability(late, 100, 3) == 1.0
    assert probability(late, 107, 3) == probability(early, 7, 3)


def test_a_long_run_does_not_overflow() -> None:
    assert probability(GoldSchedule(decay_steps=10.0), 10**6, 1) == 0.0


@pytest.mark.parametrize(
    ("options", "is_certain"),
    [
        ({"gold_floor": 1.0}, True),
        ({"gold_floor": 1.0, "gold_by": "position"}, True),
        ({"gold_steps": 5}, True),
        ({"gold_steps": 4}, False),
        ({"step_schedule": "constant"}, False),
        ({"step_schedule": "linear", "decay_steps": 1e6}, False),
        ({"gold_by": "position"}, False),
        ({"gold_by": "position", "position_schedule": "linear"}, False),
        ({"gold_by": "step_and_position"}, False),
    ],
    ids=str,
)
def test_it_is_certain_when_all_positions_are(options: dict[str, Any], is_certain: bool) -> None:
    schedule = GoldSchedule(**options)
    assert schedule.is_certain(5) == is_certain
    assert bool((schedule(5, torch.arange(100)) == 1).all()) == is_certain


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gold_by": "chance"}, "`gold_by` must be one of step, position"),
        ({"step_schedule": "cosine"}, "`step_schedule` must be one of constant"),
        ({"position_schedule": ""}, "`position_schedule`"),
        ({"decay_steps": 0.0}, "above 0"),
        ({"decay_positions": -1.0}, "above 0"),
        ({"gold_floor": 1.5}, "`gold_floor`"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GoldSchedule(**options)
