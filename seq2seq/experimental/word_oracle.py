"""Oracle words as decoder inputs: predictions with noise, by a schedule over steps.

A batch enters and leaves with other `decoder_input_ids`, in two passes as `objectives.scheduled_sampling` has them.
"""

from dataclasses import dataclass, field, replace
from typing import Self

from torch import nn

from seq2seq.config.declaring import part
from seq2seq.data.batch import Batch
from seq2seq.objectives.base import TargetSide
from seq2seq.objectives.first_pass import Mixing
from seq2seq.objectives.gold_schedules import GoldSchedule
from seq2seq.objectives.scheduled_sampling import ScheduledSampling


@dataclass(frozen=True)
class WordOracle:
    """Oracle words: the token with the highest noisy logit, argmax(o + tau * Gumbel noise) (Zhang et al. 2019).

    That is a draw from softmax(o / tau), and is drawn so. The paper divides logits and noise by its temperature alike,
    argmax((o + noise) / tau), which changes nothing: all its temperatures are tau = 1 here. A smaller tau is closer to
    plain argmax, a larger one to chance. Its schedule mu / (mu + exp(i / mu)) is `inverse_sigmoid` over mu steps.

    Args:
        oracle_noise: tau, weight of the Gumbel noise that is added to logits before the best is taken; 0 adds none.
        gold: probability of the reference's token.
        special_ids, num_starts: as for `ScheduledSampling`.

    Raises:
        ValueError: tau is negative.
    """

    special_ids: tuple[int, ...] = part(())
    num_starts: int = part(1)
    gold: GoldSchedule = field(default_factory=GoldSchedule)
    oracle_noise: float = 1.0

    def __post_init__(self) -> None:
        if self.oracle_noise < 0:
            raise ValueError(f"`oracle_noise` must be at least 0, but is {self.oracle_noise}.")

    def for_target(self, target: TargetSide) -> Self:
        """See `base.ForTarget`."""
        return replace(self, special_ids=target.special_ids, num_starts=target.num_starts)

    def __call__(self, model: nn.Module, batch: Batch, step: int) -> Batch:
        mixture = Mixing("sampled", self.oracle_noise) if self.oracle_noise > 0 else Mixing("argmax")
        two_passes = ScheduledSampling(self.special_ids, 1.0, self.num_starts, self.gold, mixture)
        return two_passes(model, batch, step)
