"""Sequence unlikelihood: tokens with which the model repeats itself become less likely (Welleck et al. 2020).

A model and a batch enter; the model's own greedy outputs are looked at, and a penalty of their repeated n-grams leaves.
No reference and no metric is needed.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from seq2seq.data.batch import IGNORED_LABEL, Batch
from seq2seq.objectives.base import LossSum
from seq2seq.objectives.candidates import CandidateSearch
from seq2seq.objectives.sequences import SequenceObjective, added_up, row_log_probs
from seq2seq.objectives.unlikelihood import unlikelihood


def repeats(tokens: Tensor, is_real: Tensor, order: int) -> Tensor:
    """Return which tokens are part of an n-gram that the same row has had before, bool [B, T].

    Args:
        tokens: int64 [B, T].
        is_real: bool [B, T]; n-grams with other positions in them do not count.
        order: n.
    """
    num_ngrams = tokens.shape[1] - order + 1
    if num_ngrams < 2:
        return torch.zeros_like(is_real)
    is_equal = (tokens.unsqueeze(2) == tokens.unsqueeze(1)) & is_real.unsqueeze(2) & is_real.unsqueeze(1)
    # Two n-grams are equal if their tokens are, one by one: n shifted views along the diagonal.
    same = is_equal[:, :num_ngrams, :num_ngrams].clone()
    for i in range(1, order):
        same &= is_equal[:, i : i + num_ngrams, i : i + num_ngrams]
    is_repeated = same.tril(-1).any(2)  # the n-gram that begins here equals an earlier one
    marked = torch.zeros_like(is_real)
    for i in range(order):
        marked[:, i : i + num_ngrams] |= is_repeated
    return marked


@dataclass(frozen=True)
class SequenceUnlikelihood(SequenceObjective):
    """Mean of -log(1 - p) over a greedy output's tokens, those in repeated n-grams counting.

    Where we differ: the paper continues prefixes of the data, here whole targets are generated; and its update is
    either this or likelihood, by a coin of 0.5, here both are mixed. Its log is `repeated_tokens`, their share.

    Raises:
        ValueError: an option is out of range.
    """

    candidates: CandidateSearch = field(default_factory=CandidateSearch)
    """Limits of what the model generates."""
    repeat_ngram: int = 4
    """Tokens of the n-grams that are not wanted twice."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.repeat_ngram < 1:
            raise ValueError(f"`repeat_ngram` must be at least 1, but is {self.repeat_ngram}.")

    def sequence_loss(self, model: nn.Module, batch: Batch) -> LossSum:
        found = self.candidates(model, batch)
        labels = found.batch.labels
        is_repeated = repeats(labels, labels != IGNORED_LABEL, self.repeat_ngram)
        lengths = found.lengths.squeeze(1)
        penalties = unlikelihood(row_log_probs(model, found.batch)).masked_fill(~is_repeated, 0.0)
        return added_up(batch, penalties.sum(1) / lengths, repeated_tokens=is_repeated.sum(1) / lengths)
