"""What is scored and what the decoder sees: each a frozen dataclass, whose fields are its options.

`OBJECTIVES` and `DECODER_INPUTS` hold them by the names that a configuration gives them.
"""

from typing import Any

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
