"""Candidates: what the model itself makes of the sources of a batch, as rows that it can be scored on.

A model and a batch enter; a batch with N rows for each source leaves, so that one pass of the encoder serves all. The
search runs on the weights in training, as they are, without dropout and without touching torch's random state. Rows
are in the order that the model generates in; equal candidates of a source are one row.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

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
from seq2seq.generation.hypothesis import found_or_error
from seq2seq.models.modes import evaluating
from seq2seq.objectives.randomness import own_seed


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


@dataclass(frozen=True, kw_only=True)
class CandidateSearch:
    """How candidates are found: greedily, unless a subclass says otherwise.

    No candidate is longer than `max_length_ratio` times its reference, rounded up, or `max_length`. What is longer is
    cut there, and then does not end: so samples and greedy candidates do not depend on the rest of the batch. (A beam
    search goes on up to the longest limit in the batch, so there the rest can decide which hypotheses are in time.)

    Raises:
        ValueError: an option is out of range.
    """

    max_length_ratio: float = 1.5
    """Most tokens of a candidate relative to its reference's."""
    max_length: int = 256
    """Most tokens of a candidate, end of sentence included."""

    def __post_init__(self) -> None:
        if self.max_length_ratio <= 0:
            raise ValueError(f"`max_length_ratio` must be above 0, but is {self.max_length_ratio}.")
        self.search(self.max_length)

    def search(self, max_length: int) -> Search:
        """Return the search for candidates of no more than these tokens."""
        return Greedy(max_length=max_length)

    def __call__(self, model: nn.Module, batch: Batch, add_reference: bool = False) -> CandidatePool:
        """Return the candidates of a batch with one target row each, and the reference among them if wanted.

        Args:
            model: a `Seq2SeqTransformer` that generates from one end, possibly wrapped (DDP).

        Raises:
            ValueError: the model is sharded (FSDP), so that no process can search it; or its logits are not finite.
        """
        bare: Any = getattr(model, "module", model)
        if isinstance(next(bare.parameters()), DTensor):
            raise ValueError(
                "Under FSDP no process holds the whole model, so none can generate candidates; use DDP, or "
                "`objective: cross_entropy`."
            )
        references = unpadded(batch.labels)
        assert len(references) == len(batch), "sources with several target rows have no candidates"
        limits = [min(math.ceil(len(ids) * self.max_length_ratio), self.max_length) for ids in references]
        with evaluating(bare):
            search = self.search(max(limits))
            found = found_or_error(search.search(bare, batch.input_ids, batch.attention_mask, rows=batch.rows.tolist()))
        candidates = [
            _count([h.tokens[:limit] for h in hypotheses], reference if add_reference else None)
            for hypotheses, limit, reference in zip(found, limits, references, strict=True)
        ]
        return as_rows(batch, candidates, bare.pad_id, bare.decoder_start_id)

    def greedy(self) -> "CandidateSearch":
        """Return the search for the one greedy candidate, under the same limits."""
        return CandidateSearch(max_length_ratio=self.max_length_ratio, max_length=self.max_length)


@dataclass(frozen=True, kw_only=True)
class SeveralCandidates(CandidateSearch):
    """How several candidates of a source are found."""

    num_candidates: int = 8
    """Candidates generated for each source."""

    def __post_init__(self) -> None:
        if self.num_candidates < 1:
            raise ValueError(f"`num_candidates` must be at least 1, but is {self.num_candidates}.")
        super().__post_init__()


@dataclass(frozen=True, kw_only=True)
class SampledCandidates(SeveralCandidates):
    """Samples of the tempered distribution, among the `top_k` likeliest tokens."""

    temperature: float = 1.0
    """Divides the logits."""
    top_k: int = 0
    """Sample among the k likeliest tokens; 0 switches it off."""

    def search(self, max_length: int) -> Search:
        seed = own_seed("candidates")
        return Sampling(
            self.num_candidates, temperature=self.temperature, top_k=self.top_k, seed=seed, max_length=max_length
        )


@dataclass(frozen=True, kw_only=True)
class BeamCandidates(SeveralCandidates):
    """The hypotheses of a beam search."""

    def search(self, max_length: int) -> Search:
        return BeamSearch(beam_width=self.num_candidates, n_best=self.num_candidates, max_length=max_length)


@dataclass(frozen=True, kw_only=True)
class DiverseCandidates(SeveralCandidates):
    """Diverse beam search in which each candidate is a group (see `decoding.algorithms.diverse_beam`)."""

    diversity_penalty: float = 1.0
    """What a token chosen by another candidate at the same step costs."""

    def search(self, max_length: int) -> Search:
        num = self.num_candidates
        return DiverseBeamSearch(
            num, num_groups=num, diversity_penalty=self.diversity_penalty, n_best=num, max_length=max_length
        )


CANDIDATE_SEARCHES: dict[str, type[SeveralCandidates]] = {
    "sampling": SampledCandidates,
    "beam": BeamCandidates,
    "diverse_beam": DiverseCandidates,
}
"""How candidates are found, by name."""


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
