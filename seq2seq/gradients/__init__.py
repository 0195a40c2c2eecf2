"""How gradients are obtained and shaped; `GRADIENT_RULES` holds the ways to obtain them by name."""

from functools import partial
from typing import Any

from seq2seq.gradients.adversarial import AdversarialTraining
from seq2seq.gradients.base import Backprop
from seq2seq.gradients.parameter_search import ParameterSearch
from seq2seq.objectives.base import LossSum
from seq2seq.own_pieces import PieceKind, problem_of_call

GRADIENT_RULES: dict[str, type[Any]] = {
    "backprop": Backprop,
    "adversarial_training": AdversarialTraining,
    "parameter_search": ParameterSearch,
}

OWN_GRADIENT_RULE = PieceKind(
    "a gradient rule",
    "a frozen dataclass that is called with an objective, a model, a batch, the step and what adds gradients, and "
    "returns a `LossSum`",
    "@dataclass(frozen=True) class Mine: def __call__(self, objective, model, batch, step, backward) -> LossSum: …",
    partial(problem_of_call, parameters=("objective", "model", "batch", "step", "backward"), returns=LossSum),
)
"""What a user's own must be to stand in the place of one of these."""
