"""How gradients are obtained and shaped; `GRADIENT_RULES` holds the ways to obtain them by name."""

from typing import Any

from seq2seq.gradients.adversarial import AdversarialTraining
from seq2seq.gradients.base import Backprop
from seq2seq.gradients.parameter_search import ParameterSearch

GRADIENT_RULES: dict[str, type[Any]] = {
    "backprop": Backprop,
    "adversarial_training": AdversarialTraining,
    "parameter_search": ParameterSearch,
}
