"""Candidates: what the model itself makes of the sources of a batch, as rows that it can be scored on.

A model and a batch enter; a batch with N rows for each source leaves, so that one pass of the encoder serves all. The
search runs on the weights in training, as they are, without dropout and without touching torch's random state. Rows
are in the order that the model generates in; equal candidates of a source are one row.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from seq2seq.data.batch import IGNORED_LABEL, Batch
from seq2seq.data.collate import pad_right
from seq2seq.decoding.algorithms.beam import BeamSearch
from seq2seq.decoding.algorithms.diverse_beam import DiverseBeamSearch
from seq2seq.decoding.algorithms.greedy import Greedy
from seq2seq.decoding.algorithms.sampling import Sampling
from seq2seq.decoding.parts.search import Search
from seq2seq.models.modes import evaluating
from seq2seq.objectives.randomness import own_seed

SearchKind = Literal["sampling", "beam", "diverse_beam", "greedy"]


@dataclass(frozen=True)
class CandidatePool:
    """Distinct candidates of each source, N rows each; where a source has fewer, rows without labels stand behind."""

    batch: Batch
    """labels are [B * N, T]"""
    counts: Tensor
    """float32 [B, N], how often each was found; 0 for rows that stand for nothing, and for an added reference"""

    @property
    def is_real(self) -> Tensor:
        """bool [B, N], whether a row is a candidate."""
        return (self.batch.labels[:, 0] != IGNORED_LABEL).view(self.counts.shape)

    @property
    def lengths(self) -> Tensor:
        """int64 [B, N], tokens of each candidate, end of sentence included."""
        return (self.batch.labels != IGNORED_LABEL).sum(1).view(self.counts.shape)


@dataclass(frozen=True)
class CandidateSearch:
    """How candidates are found.

    No candidate is longer than `max_length_ratio` times its reference, rounded up, or `max_length`. What is longer is
    cut there, and then does not end: so samples and greedy candidates do not depend on the rest of the batch. (A beam
    search goes on up to the longest limit in the batch, so there the rest can decide which hypotheses are in time.)

    `sampling` draws from the distribution tempered by `temperature`, among the `top_k` likeliest tokens (0: all).
    `diverse_beam` gives each candidate a group of its own (see `decoding.diverse_beam`).

    Raises:
        ValueError: an option is out of range.
    """

    num_candidates: int = 8
    search: SearchKind = "sampling"
    temperature: float = 1.0
    top_k: int = 0
    diversity_penalty: float = 1.0
    max_length_ratio: float = 1.5
    max_length: int = 256

    def __post_init__(self) -> None:
        if self.num_candidates < 1:
            raise ValueError(f"`num_candidates` must be at least 1, but is {self.num_candidates}.")
        if self.max_length_ratio <= 0:
            raise ValueError(f"`max_length_ratio` must be above 0, but is {self.max_length_ratio}.")
        self._search(self.max_length)

    def __call__(self, model: nn.Module, batch: Batch, add_reference: bool = False) -> CandidatePool:
        """Return the candidates of a batch with one target row each, and the reference among them if wanted.

        Args:
            model: a `Seq2SeqTransformer` that generates from one end, possibly wrapped (DDP).

        Raises:
            ValueError: the model is sharded (FSDP), so that no process can search it.
        """
        bare: Any = getattr(model, "module", model)
        if isinstance(next(bare.parameters()), DTensor):
            raise ValueError(
                "Under FSDP no process holds the whole model, so none can generate candidates; use DDP, or "
                "`objective.kind: cross_entropy`."
            )
        references = unpadded(batch.labels)
        assert len(references) == len(batch), "sources with several target rows have no candidates"
        limits = [min(math.ceil(len(ids) * self.max_length_ratio), self.max_length) for ids in references]
        with evaluating(bare):
            found = self._search(max(limits)).search(
                bare, batch.input_ids, batch.attention_mask, rows=batch.rows.tolist()
            )
        candidates = [
            _count([h.tokens[:limit] for h in hypotheses], reference if add_reference else None)
            for hypotheses, limit, reference in zip(found, limits, references, strict=True)
        ]
        return as_rows(batch, candidates, bare.pad_id, bare.decoder_start_id)

    def _search(self, max_length: int) -> Search:
        num, longest = self.num_candidates, max_length
        if self.search == "greedy":
            return Greedy(max_length=longest)
        if self.search == "beam":
            return BeamSearch(beam_width=num, n_best=num, max_length=longest)
        if self.search == "diverse_beam":
            return DiverseBeamSearch(
                num, num_groups=num, diversity_penalty=self.diversity_penalty, n_best=num, max_length=longest
            )
        seed = own_seed("candidates")
        return Sampling(num, temperature=self.temperature, top_k=self.top_k, seed=seed, max_length=longest)


def unpadded(labels: Tensor) -> list[tuple[int, ...]]:
    """Return the tokens of each row of labels, [B, T], without what is ignored."""
    lengths = (labels != IGNORED_LABEL).sum(1).tolist()
    return [tuple(ids[:length]) for ids, length in zip(labels.tolist(), lengths, strict=True)]


def _count(found: Sequence[tuple[int, ...]], reference: tuple[int, ...] | None) -> dict[tuple[int, ...], int]:
    counts = {} if reference is None else {reference: 0}
    for tokens in found:
        counts[tokens] = counts.get(tokens, 0) + 1
    return counts


def as_rows(
    batch: Batch, candidates: Sequence[dict[tuple[int, ...], int]], pad_id: int, decoder_start_id: int
) -> CandidatePool:
    """Return the candidates of each source, with how often each was found, as rows of a batch."""
    num_rows, device = max(map(len, candidates)), batch.labels.device
    rows = [[*counts, *[()] * (num_rows - len(counts))] for counts in candidates]
    ids, mask = pad_right([tokens for tokens_of_source in rows for tokens in tokens_of_source], pad_id)
    ids, mask = ids.to(device), mask.to(device)
    inputs = torch.cat([ids.new_full((len(ids), 1), decoder_start_id), ids[:, :-1]], dim=1)
    labels = ids.masked_fill(~mask, IGNORED_LABEL)
    counts = [[*counts.values(), *[0] * (num_rows - len(counts))] for counts in candidates]
    return CandidatePool(
        replace(batch, decoder_input_ids=inputs, labels=labels, target_perturbation=None),
        torch.tensor(counts, dtype=torch.float32, device=device),
    )
