"""Learning-rate schedules: functions from the number of a step, counted from 1, to a factor of the peak learning rate.

A schedule has no state, so a resumed run needs nothing but the step. All of them rise linearly over `warmup_steps`
(step s has factor s / warmup_steps) and reach 1 exactly at the end of the warm-up.
"""

import math
from collections.abc import Callable
from typing import Literal, get_args

RateSchedule = Callable[[int], float]
ScheduleName = Literal["inverse_square_root", "cosine", "linear", "constant"]


def schedule_named(
    name: ScheduleName,
    *,
    warmup_steps: int,
    max_steps: int,
    learning_rate: float,
    final_learning_rate: float,
) -> RateSchedule:
    """Return a schedule with its options filled in.

    Args:
        warmup_steps, max_steps: optimizer steps.
        learning_rate, final_learning_rate: peak and end; only their ratio matters, and only to `cosine` and `linear`.

    Raises:
        ValueError: the name is unknown, or an option is out of range.
    """
    if name not in get_args(ScheduleName):
        raise ValueError(f"`schedule` must be one of {', '.join(get_args(ScheduleName))}, but is {name!r}.")
    if warmup_steps < 0:
        raise ValueError(f"`warmup_steps` must not be negative, but is {warmup_steps}.")
    if name in ("cosine", "linear") and warmup_steps >= max_steps:
        raise ValueError(f"`warmup_steps` ({warmup_steps}) must be below `max_steps` ({max_steps}) for `{name}`.")
    if not 0.0 <= final_learning_rate <= learning_rate:
        raise ValueError(f"`final_learning_rate` ({final_learning_rate}) must lie between 0 and {learning_rate}.")
    final_factor = final_learning_rate / learning_rate if learning_rate else 0.0
    schedules: dict[str, RateSchedule] = {
        "inverse_square_root": lambda step: inverse_square_root(step, warmup_steps),
        "cosine": lambda step: cosine(step, warmup_steps, max_steps, final_factor),
        "linear": lambda step: linear(step, warmup_steps, max_steps, final_factor),
        "constant": lambda step: warm_up(step, warmup_steps),
    }
    return schedules[name]


def warm_up(step: int, warmup_steps: int) -> float:
    """Return s / warmup_steps, at most 1."""
    return min(1.0, step / warmup_steps) if warmup_steps else 1.0


def inverse_square_root(step: int, warmup_steps: int) -> float:
    """Return sqrt(warmup_steps / s) after warm-up: the shape of Vaswani et al. 2017, equation 3, with peak 1."""
    return warm_up(step, warmup_steps) * min(1.0, math.sqrt(max(warmup_steps, 1) / step))


def cosine(step: int, warmup_steps: int, max_steps: int, final_factor: float = 0.0) -> float:
    """Return half a cosine wave from 1 to `final_factor`, which is reached at `max_steps` (Loshchilov, Hutter 2017)."""
    share = _share_done(step, warmup_steps, max_steps)
    return warm_up(step, warmup_steps) * (final_factor + (1.0 - final_factor) * (1.0 + math.cos(math.pi * share)) / 2.0)


def linear(step: int, warmup_steps: int, max_steps: int, final_factor: float = 0.0) -> float:
    """Return a straight line from 1 to `final_factor`, which is reached at `max_steps`."""
    share = _share_done(step, warmup_steps, max_steps)
    return warm_up(step, warmup_steps) * (1.0 - (1.0 - final_factor) * share)


def _share_done(step: int, warmup_steps: int, max_steps: int) -> float:
    return min(max((step - warmup_steps) / (max_steps - warmup_steps), 0.0), 1.0)
