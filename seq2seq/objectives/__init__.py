"""What is scored and what the decoder sees: each a frozen dataclass, whose fields are its options.

`OBJECTIVES` and `DECODER_INPUTS` hold them by the names that a configuration gives them.
"""

from functools import partial
from typing import Any

from seq2seq.data.batch import Batch
from seq2seq.objectives.base import LossSum
from seq2seq.objectives.cross_entropy import CrossEntropy
from seq2seq.objectives.decoder_inputs import TeacherForcing
from seq2seq.objectives.minimum_risk import MinimumRisk
from seq2seq.objectives.r_drop import RDrop
from seq2seq.objectives.raml import RAML
from seq2seq.objectives.random_replacement import RandomReplacement
from seq2seq.objectives.ranking import Ranking
from seq2seq.objectives.reinforce import Reinforce
from seq2seq.objectives.scheduled_sampling import ConfidenceSampling, ScheduledSampling
from seq2seq.objectives.token_reweighting import Gold, MixCE, TaiLr
from seq2seq.objectives.unlikelihood import Unlikelihood
from seq2seq.own_pieces import PieceKind, problem_of_call

OBJECTIVES: dict[str, type[Any]] = {
    "cross_entropy": CrossEntropy,
    "r_drop": RDrop,
    "unlikelihood": Unlikelihood,
    "tailr": TaiLr,
    "mixce": MixCE,
    "gold": Gold,
    "raml": RAML,
    "minimum_risk": MinimumRisk,
    "reinforce": Reinforce,
    "ranking": Ranking,
}
"""What is scored. The last three are for a model that is trained already and look at what it generates."""

DECODER_INPUTS: dict[str, type[Any]] = {
    "teacher_forcing": TeacherForcing,
    "random_replacement": RandomReplacement,
    "scheduled_sampling": ScheduledSampling,
    "confidence_sampling": ConfidenceSampling,
}
"""What the decoder sees of the reference."""

_CALL = ("model", "batch", "step")

OWN_OBJECTIVE = PieceKind(
    "an objective",
    "a frozen dataclass that is called with a model, a batch and the step, and returns a `LossSum`",
    "@dataclass(frozen=True) class Mine: def __call__(self, model, batch, step) -> LossSum: …",
    partial(problem_of_call, parameters=_CALL, returns=LossSum),
)
OWN_DECODER_INPUTS = PieceKind(
    "a decoder input",
    "a frozen dataclass that is called with a model, a batch and the step, and returns a `Batch`",
    "@dataclass(frozen=True) class Mine: def __call__(self, model, batch, step) -> Batch: …",
    partial(problem_of_call, parameters=_CALL, returns=Batch),
)
"""What pieces of a user's own must be to stand in the place of one of the tables."""
