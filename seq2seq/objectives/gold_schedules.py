"""How likely the decoder sees the reference's own token, by training step and by position.

A step and positions enter, probabilities leave. Curves over steps are those of Bengio et al. 2015, those over
positions, and over both, of Liu et al. 2021 (arXiv 2108.12963); here each goes by one scale, in steps or positions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from seq2seq.config.declaring import refuse_unused

Schedule = Literal["constant", "linear", "exponential", "inverse_sigmoid"]
GoldBy = Literal["step", "position", "step_and_position"]

SCHEDULES: dict[Schedule, Callable[[Tensor, float], Tensor]] = {
    "constant": lambda elapsed, scale: torch.zeros_like(elapsed),
    "linear": lambda elapsed, scale: 1 - elapsed / scale,
    "exponential": lambda elapsed, scale: torch.exp(-elapsed / scale),
    "inverse_sigmoid": lambda elapsed, scale: scale / (scale + torch.exp(elapsed / scale)),
}
"""Probabilities before the floor, of what has elapsed and a scale in the same unit."""


@dataclass(frozen=True)
class GoldSchedule:
    """The probability of the reference's token as decoder input.

    By step i it is f(i), by position t it is g(t), and by both g(t * (1 - f(i))): the further training is, the sooner
    the reference gives out along the target. In the papers' terms a decay of k steps is the slope 1/k of `linear`, the
    base exp(-1/k) of `exponential` and the k of `inverse_sigmoid`; so their 0.99 ** t has `decay_positions` 99.5.

    Args:
        gold_by: what the probability depends on: the training step, the position in the target, or both.
        step_schedule: f, over steps i behind `gold_steps`: `gold_floor` at once, or 1 - i/k, exp(-i/k) or
            k/(k + exp(i/k)) with k `decay_steps`.
        decay_steps: scale of `step_schedule`, in steps; `inverse_sigmoid` comes to one half after k ln k, 6900 at
            k = 1000.
        position_schedule: g, in the same way over positions of the target, 0 being its start.
        decay_positions: scale of `position_schedule`, in positions.
        gold_floor: least probability of the reference's token, and that of `constant`; 1 is teacher forcing.
        gold_steps: steps at the start that see nothing but the reference.

    Raises:
        ValueError: an option is out of range.
    """

    gold_by: GoldBy = "step"
    step_schedule: Schedule = "inverse_sigmoid"
    decay_steps: float = 1000.0
    position_schedule: Schedule = "exponential"
    decay_positions: float = 100.0
    gold_floor: float = 0.0
    gold_steps: int = 0

    def __post_init__(self) -> None:
        for name, choices in (("gold_by", GoldBy), ("step_schedule", Schedule), ("position_schedule", Schedule)):
            if getattr(self, name) not in get_args(choices):
                raise ValueError(f"`{name}` must be one of {', '.join(get_args(choices))}.")
        if min(self.decay_steps, self.decay_positions) <= 0:
            raise ValueError("`decay_steps` and `decay_positions` must be above 0.")
        if self.gold_steps < 0:
            raise ValueError(f"`gold_steps` must be 0 or more, but is {self.gold_steps}.")
        if not 0.0 <= self.gold_floor <= 1.0:
            raise ValueError(f"`gold_floor` must be between 0 and 1, but is {self.gold_floor}.")
        by_step, by_position = self.gold_by != "position", self.gold_by != "step"
        refuse_unused(self, ("step_schedule", "decay_steps"), "gold_by: step or step_and_position", applies=by_step)
        positional = ("position_schedule", "decay_positions")
        refuse_unused(self, positional, "gold_by: position or step_and_position", applies=by_position)

    def __call__(self, step: int, positions: Tensor) -> Tensor:
        """Return the probability at each of these positions, float64 of their shape, on the CPU."""
        places = positions.to("cpu", torch.float64)
        if step <= self.gold_steps:
            return torch.ones_like(places)
        elapsed = torch.tensor(float(step - self.gold_steps), dtype=torch.float64)
        by_step = SCHEDULES[self.step_schedule](elapsed, self.decay_steps)
        if self.gold_by == "step":
            probabilities = by_step.expand_as(places)
        else:
            pace = 1.0 if self.gold_by == "position" else 1 - by_step.clamp(min=0)
            probabilities = SCHEDULES[self.position_schedule](places * pace, self.decay_positions)
        return probabilities.clamp(min=self.gold_floor)

    def is_certain(self, step: int) -> bool:
        """Return whether all positions see the reference: curves fall, so the first one behind the start tells."""
        return float(self(step, torch.tensor(1))) >= 1.0
