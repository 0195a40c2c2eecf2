"""N-best lists ranked anew by what both directions of a model give each string.

A string's score is a weighted mean of its log-probability from the left and from the right, each had from one
teacher-forced pass without interaction, divided by its length penalty. Lists of several searches may be pooled first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seq2seq.data.collate import pad_right
from seq2seq.data.generation_order import LEFT, RIGHT, from_right
from seq2seq.decoding.hypothesis import Hypothesis
from seq2seq.decoding.scoring import LengthNormalization, length_divisor
from seq2seq.decoding.search import Search
from seq2seq.decoding.synchronous import best_of
from seq2seq.models.interface import Seq2Seq

LOGITS_AT_A_TIME = 2**24
"""What the sources of one pass are limited by: their logits take 64 MiB in float32. A source is never split."""

ROWS_AT_A_TIME = 8
"""Rows whose logits are normalised together, in float32 whatever type they have."""


@dataclass(frozen=True)
class Rescored:
    """The hypotheses of one or several searches, pooled, scored from both sides and ranked.

    Args:
        searches: what the strings come from; each returns its own n-best list.
        weight: of the score from the right, 0 to 1; that from the left has the rest.
        n_best: how many are returned.

    Raises:
        ValueError: the weight is not between 0 and 1.
    """

    searches: tuple[Search, ...]
    weight: float = 0.5
    n_best: int = 1
    length_penalty: float = 1.0
    length_normalization: LengthNormalization = "average"

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise ValueError(f"`rescoring_weight` must be between 0 and 1, but is {self.weight}.")

    @property
    def width(self) -> int:
        return max(search.width for search in self.searches)

    @torch.inference_mode()
    def search(
        self,
        model: Seq2Seq,
        input_ids: Tensor,
        attention_mask: Tensor,
        prefixes: Sequence[Sequence[int]] | None = None,
        rows: Sequence[int] | None = None,
    ) -> list[list[Hypothesis]]:
        """Return each sentence's `n_best` strings, best first; see `search.Search`.

        Raises:
            ValueError: the model does not know both directions.
        """
        lists = [search.search(model, input_ids, attention_mask, prefixes, rows) for search in self.searches]
        pooled = [best_of(*found) for found in zip(*lists, strict=True)]
        num_rows = max(map(len, pooled))
        scores = torch.zeros(len(pooled), num_rows, dtype=torch.float64)
        for side, share in ((LEFT, 1 - self.weight), (RIGHT, self.weight)):
            if share:
                ids = [row for found in pooled for row in rows_from_side(found, side, num_rows)]
                log_probs = log_probs_of(model.from_side(side), input_ids, attention_mask, ids)
                scores += share * log_probs.double().cpu().view_as(scores)
        return [self._ranked(found, row) for found, row in zip(pooled, scores.tolist(), strict=True)]

    def _ranked(self, hypotheses: Sequence[Hypothesis], scores: Sequence[float]) -> list[Hypothesis]:
        """Return a sentence's best hypotheses; scores behind the last hypothesis are those of empty rows."""
        divisors = [length_divisor(len(h.tokens), self.length_penalty, self.length_normalization) for h in hypotheses]
        found = [
            replace(h, normalized_score=score / divisor)
            for h, score, divisor in zip(hypotheses, scores, divisors, strict=False)
        ]
        return sorted(found, key=lambda h: -h.normalized_score)[: self.n_best]


def rows_from_side(hypotheses: Sequence[Hypothesis], side: int, num_rows: int) -> list[list[int]]:
    """Return the tokens as they are generated from that end, with empty rows up to `num_rows`.

    A string of the length limit has no end of sentence, and is scored without one.
    """
    rows = [list(h.tokens) for h in hypotheses]
    if side == RIGHT:
        rows = [from_right(row) if h.finished else row[::-1] for h, row in zip(hypotheses, rows, strict=True)]
    return rows + [[] for _ in range(num_rows - len(rows))]


def log_probs_of(model: Seq2Seq, input_ids: Tensor, attention_mask: Tensor, targets: Sequence[list[int]]) -> Tensor:
    """Return the log-probability of each target, float32 [B * G]; each source is encoded once.

    Args:
        input_ids: int64 [B, S].
        attention_mask: bool [B, S], True = real.
        targets: G successive ones for each source, in the order of the model's generation; that of an empty one is 0.
    """
    num_rows = len(targets) // len(input_ids)
    num_sources = max(1, LOGITS_AT_A_TIME // (num_rows * max(map(len, targets)) * model.vocab_size))
    found = []
    for start in range(0, len(input_ids), num_sources):
        part = slice(start, start + num_sources)
        padded = pad_right(targets[start * num_rows : (start + num_sources) * num_rows], model.pad_id)
        ids, mask = (tensor.to(input_ids.device) for tensor in padded)
        starts = ids.new_full((len(ids), 1), model.decoder_start_id)
        decoder_input_ids = torch.cat([starts, ids[:, :-1]], dim=1)
        logits = model.teacher_forced(input_ids[part], attention_mask[part], decoder_input_ids)
        found.append(_picked_log_probs(logits, ids).masked_fill(~mask, 0).sum(1))
    return torch.cat(found)


def _picked_log_probs(logits: Tensor, ids: Tensor) -> Tensor:
    """Return the log-probability of each id, float32 [rows, T], from logits [rows, T, V]."""
    parts = zip(logits.split(ROWS_AT_A_TIME), ids.split(ROWS_AT_A_TIME), strict=True)
    return torch.cat(
        [rows.log_softmax(-1, dtype=torch.float32).gather(2, wanted.unsqueeze(2)).squeeze(2) for rows, wanted in parts]
    )
