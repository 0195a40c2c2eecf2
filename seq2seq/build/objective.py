"""From a configuration to the three axes of training: decoder inputs, objective and gradient rule."""

from dataclasses import asdict
from typing import Any

from seq2seq.build.choices import made
from seq2seq.config.schema import RunConfig
from seq2seq.gradients.base import Backprop, GradientRule
from seq2seq.objectives.base import Objective
from seq2seq.objectives.cross_entropy import CrossEntropy
from seq2seq.objectives.decoder_inputs import TeacherForcing, WithDecoderInputs

DECODER_INPUTS: dict[str, type[Any]] = {"teacher_forcing": TeacherForcing}
OBJECTIVES: dict[str, type[Any]] = {"cross_entropy": CrossEntropy}
GRADIENT_RULES: dict[str, type[Any]] = {"backprop": Backprop}


def build_objective(config: RunConfig) -> Objective:
    """Return what is scored, under the decoder inputs that the configuration names.

    Raises:
        ValueError: an option is out of range.
    """
    objective: Objective = made(OBJECTIVES[config.objective.kind], asdict(config.objective))
    kind = config.decoder_inputs.kind
    if kind == "teacher_forcing":
        return objective
    return WithDecoderInputs(objective, made(DECODER_INPUTS[kind], asdict(config.decoder_inputs)))


def build_gradient_rule(config: RunConfig) -> GradientRule:
    """Return how gradients are obtained.

    Raises:
        ValueError: an option is out of range.
    """
    rule: GradientRule = made(GRADIENT_RULES[config.gradient.kind], asdict(config.gradient))
    return rule
