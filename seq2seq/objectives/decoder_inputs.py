"""What the decoder sees: the axis beside what is scored (`base.Objective`) and how gradients come about.

A batch enters and leaves with other `decoder_input_ids`, or a `target_perturbation`; its labels stay the reference.
"""

from dataclasses import dataclass
from typing import Protocol

from torch import nn

from seq2seq.data.batch import Batch
from seq2seq.objectives.base import LossSum, Objective


class DecoderInputs(Protocol):
    """Replaces what the decoder sees of the reference.

    Draws come from `randomness.own_generator`, so that the model's dropout is what it would be without this.
    """

    def __call__(self, model: nn.Module, batch: Batch, step: int) -> Batch: ...


@dataclass(frozen=True)
class TeacherForcing:
    """The reference itself."""

    def __call__(self, model: nn.Module, batch: Batch, step: int) -> Batch:
        return batch


@dataclass(frozen=True)
class WithDecoderInputs:
    """An objective under other decoder inputs than the reference."""

    objective: Objective
    decoder_inputs: DecoderInputs

    def __call__(self, model: nn.Module, batch: Batch, step: int) -> LossSum:
        return self.objective(model, self.decoder_inputs(model, batch, step), step)
