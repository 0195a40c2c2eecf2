"""Learning-rate schedules: functions from a step, counted from 1, to a factor of the peak learning rate.

A schedule has no state, so a resumed run needs nothing but the step. All of them rise linearly over `warmup_steps`
(step s has factor s / warmup_steps) and reach 1 exactly at the end of the warm-up. A run that ends by the clock gives
the share of its time that is used, too: its warm-up takes no more than a tenth of the time, and its rate comes down
with whichever is nearer, the last step or the end of the time.
"""

import math
from collections.abc import Callable
from typing import Literal, get_args

RateSchedule = Callable[[int, float], float]
"""Of a step and of the share of the time that is used, 0 where there is no limit."""
WARMUP_SHARE = 0.1
"""Most of a run's steps or time that its warm-up takes, unless its length is given."""
MAX_WARMUP_STEPS = 1000
"""Most steps of a warm-up whose length is not given."""
ScheduleName = Literal["inverse_square_root", "cosine", "linear", "constant"]


def schedule_named(
    name: ScheduleName,
    *,
    warmup_steps: int | None,
    max_steps: int,
    learning_rate: float,
    final_learning_rate: float,
) -> RateSchedule:
    """Return a schedule with its options filled in.

    Args:
        warmup_steps, max_steps: optimizer steps; a warm-up of None is a tenth of all, at most 1,000.
        learning_rate, final_learning_rate: peak and end; only their ratio matters, and only to `cosine` and `linear`.

    Raises:
        ValueError: the name is unknown, or an option is out of range.
    """
    if name not in get_args(ScheduleName):
        raise ValueError(f"`schedule` must be one of {', '.join(get_args(ScheduleName))}, but is {name!r}.")
    if warmup_steps is None:
        warmup_steps = min(MAX_WARMUP_STEPS, int(WARMUP_SHARE * max_steps))
    if warmup_steps < 0:
        raise ValueError(f"`warmup_steps` must not be negative, but is {warmup_steps}.")
    if name in ("cosine", "linear") and warmup_steps >= max_steps:
        raise ValueError(f"`warmup_steps` ({warmup_steps}) must be below `max_steps` ({max_steps}) for `{name}`.")
    if not 0.0 <= final_learning_rate <= learning_rate:
        raise ValueError(f"`final_learning_rate` ({final_learning_rate}) must lie between 0 and {learning_rate}.")
    final_factor = final_learning_rate / learning_rate if learning_rate else 0.0
    steps = warmup_steps

    def share_done(step: int, time_share: float) -> float:
        """Return how far the way down is done, by steps or by time, each from the end of its warm-up."""
        by_steps = (step - steps) / (max_steps - steps)
        by_time = (time_share - WARMUP_SHARE) / (1.0 - WARMUP_SHARE)
        return min(max(by_steps, by_time, 0.0), 1.0)

    shapes: dict[str, RateSchedule] = {
        "inverse_square_root": lambda step, time_share: inverse_square_root(step, steps),
        "cosine": lambda step, time_share: cosine(share_done(step, time_share), final_factor),
        "linear": lambda step, time_share: linear(share_done(step, time_share), final_factor),
        "constant": lambda step, time_share: 1.0,
    }
    shape = shapes[name]
    return lambda step, time_share: warm_up(step, steps, time_share) * shape(step, time_share)


def warm_up(step: int, warmup_steps: int, time_share: float = 0.0) -> float:
    """Return s / warmup_steps, or the share of the first tenth of the time if that is more; at most 1."""
    return min(1.0, max(step / warmup_steps, time_share / WARMUP_SHARE)) if warmup_steps else 1.0


def inverse_square_root(step: int, warmup_steps: int) -> float:
    """Return sqrt(warmup_steps / s) after warm-up: the shape of Vaswani et al. 2017, equation 3, with peak 1."""
    return min(1.0, math.sqrt(max(warmup_steps, 1) / step))


def cosine(share: float, final_factor: float = 0.0) -> float:
    """Return half a cosine wave from 1 to `final_factor`, which the share 1 of the way reaches (Loshchilov, Hutter
    2017)."""
    return final_factor + (1.0 - final_factor) * (1.0 + math.cos(math.pi * share)) / 2.0


def linear(share: float, final_factor: float = 0.0) -> float:
    """Return a straight line from 1 to `final_factor`, which the share 1 of the way reaches."""
    return 1.0 - (1.0 - final_factor) * share
