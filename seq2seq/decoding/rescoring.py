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

ROWS_AT_A_TIME = 64
"""Strings that are scored in one pass."""


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
        sentences = [i for i, hypotheses in enumerate(pooled) for _ in hypotheses]
        strings = [hypothesis for hypotheses in pooled for hypothesis in hypotheses]
        # A string of the length limit has no end: it is scored without one.
        turned = [from_right(h.tokens) if h.finished else list(reversed(h.tokens)) for h in strings]
        scores = torch.zeros(len(strings), dtype=torch.float64)
        read = [list(h.tokens) for h in strings]
        for side, share, ids in ((LEFT, 1 - self.weight, read), (RIGHT, self.weight, turned)):
            one = model.from_side(side)
            for start in range(0, len(strings) if share else 0, ROWS_AT_A_TIME):
                part = slice(start, start + ROWS_AT_A_TIME)
                index = torch.tensor(sentences[part], device=input_ids.device)
                log_probs = log_probs_of(one, input_ids[index], attention_mask[index], ids[part])
                scores[part] += share * log_probs.double().cpu()
        ranked: list[list[Hypothesis]] = [[] for _ in pooled]
        for sentence, hypothesis, score in zip(sentences, strings, scores.tolist(), strict=True):
            divisor = length_divisor(len(hypothesis.tokens), self.length_penalty, self.length_normalization)
            ranked[sentence].append(replace(hypothesis, normalized_score=score / divisor))
        return [sorted(found, key=lambda h: -h.normalized_score)[: self.n_best] for found in ranked]


def log_probs_of(model: Seq2Seq, input_ids: Tensor, attention_mask: Tensor, targets: Sequence[list[int]]) -> Tensor:
    """Return the log-probability of each source's target, in the order of the model's generation, float32 [B]."""
    if not targets:
        return torch.zeros(0)
    ids, mask = (part.to(input_ids.device) for part in pad_right(targets, model.pad_id))
    starts = ids.new_full((len(ids), 1), model.decoder_start_id)
    logits = model.teacher_forced(input_ids, attention_mask, torch.cat([starts, ids[:, :-1]], dim=1))
    log_probs = logits.log_softmax(-1, dtype=torch.float32).gather(2, ids.unsqueeze(2)).squeeze(2)
    return log_probs.masked_fill(~mask, 0).sum(1)
