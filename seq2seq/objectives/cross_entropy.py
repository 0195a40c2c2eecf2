"""Maximum likelihood under teacher forcing: the model sees the reference so far and is scored on its next token.

A model and a `Batch` enter; a `LossSum` leaves whose weight is the number of target tokens, end of sentence included.
"""

from dataclasses import dataclass
from functools import partial

from torch import nn

from seq2seq.data.batch import IGNORED_LABEL, Batch
from seq2seq.objectives.base import LossSum
from seq2seq.objectives.functional import TokenLoss, label_smoothed_nll


@dataclass(frozen=True, kw_only=True)
class LabelSmoothing:
    """What every objective has that scores the reference's tokens, and what validation is measured with.

    Raises:
        ValueError: `label_smoothing` is not in [0, 1).
    """

    label_smoothing: float = 0.1
    """Probability mass spread evenly over the whole vocabulary."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.label_smoothing < 1.0:
            raise ValueError(f"`label_smoothing` must be at least 0 and below 1, but is {self.label_smoothing}.")


@dataclass(frozen=True)
class CrossEntropy(LabelSmoothing):
    """Label-smoothed cross-entropy (Szegedy et al. 2016, section 7), in PyTorch's definition.

    Its logs are `nll_sum` (nats, without smoothing) and `correct` (tokens whose label is the likeliest).
    """

    def __call__(self, model: nn.Module, batch: Batch, step: int) -> LossSum:
        score = partial(label_smoothed_nll, labels=batch.labels, label_smoothing=self.label_smoothing)
        loss = TokenLoss(*model(**batch.model_inputs(), score=score).loss)
        weight = (batch.labels != IGNORED_LABEL).sum().float()
        return LossSum(loss.loss_sum, weight, {"nll_sum": loss.nll_sum, "correct": loss.num_correct})
