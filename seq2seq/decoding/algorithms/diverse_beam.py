"""Diverse beam search (Vijayakumar et al. 2018, algorithm 1) with Hamming diversity.

The beam is split into groups, which take turns within each step: a group ranks its continuations by their score minus
`diversity_penalty` times how often the token was chosen by running hypotheses of earlier groups in the same step.
The penalty decides who survives and is then forgotten: scores stay the model's log-probabilities, while some
implementations let it accumulate. Each group is a beam search of its own (see `beam`) otherwise, so one group is that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seq2seq.decoding.parts.constraints import next_log_probs
from seq2seq.decoding.parts.hypothesis import Hypothesis
from seq2seq.decoding.parts.options import BeamOptions, check_coverage_penalty
from seq2seq.decoding.parts.scoring import length_divisor, start_coverage
from seq2seq.decoding.parts.search import finite_or_error
from seq2seq.decoding.parts.state import BeamState, enough_done, select, top_candidates
from seq2seq.models.interface import Seq2Seq


def count_chosen(counts: Tensor, group: BeamState) -> Tensor:
    """Return counts, float32 [B, V], with the latest tokens of the group's running hypotheses added."""
    runs = (group.scores > -torch.inf) & ~group.done.unsqueeze(1)
    return counts.scatter_add(1, group.tokens[..., -1], runs.float())


def merge_groups(groups: Sequence[BeamState], sentences: Tensor, eos_id: int) -> list[tuple[int, list[Hypothesis]]]:
    """Return (position, hypotheses of all groups, best first, none twice) of some sentences, int64 [B']."""
    merged = []
    for per_group in zip(*(group.hypotheses(sentences, eos_id) for group in groups), strict=True):
        unique = {h.tokens: h for _, hypotheses in per_group for h in hypotheses}
        merged.append((per_group[0][0], sorted(unique.values(), key=lambda h: -h.normalized_score)))
    return merged


@dataclass(frozen=True)
class DiverseBeamSearch(BeamOptions):
    """Diverse beam search; `beam_width` is that of all groups together. Options as in `options` and `scoring`."""

    num_groups: int = 5
    diversity_penalty: float = 0.5
    coverage_penalty: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_coverage_penalty(self.coverage_penalty)
        if self.num_groups < 1 or self.beam_width % self.num_groups:
            raise ValueError(f"`num_groups` must divide `beam_width` ({self.beam_width}), but is {self.num_groups}.")
        if self.diversity_penalty < 0:
            raise ValueError(f"`diversity_penalty` must not be negative, but is {self.diversity_penalty}.")

    @torch.inference_mode()
    def search(
        self,
        model: Seq2Seq,
        input_ids: Tensor,
        attention_mask: Tensor,
        prefixes: Sequence[Sequence[int]] | None = None,
        rows: Sequence[int] | None = None,
    ) -> list[list[Hypothesis]]:
        """Return each sentence's `n_best` hypotheses over all groups (fewer where fewer exist), best first."""
        constraints = self.started_constraints(model, prefixes, input_ids.device)
        limits = self.limits(attention_mask)
        group_width = self.beam_width // self.num_groups
        coverage = start_coverage(attention_mask) if self.coverage_penalty > 0 else None
        groups = [BeamState.start(limits, group_width, coverage) for _ in range(self.num_groups)]
        model_state = model.encode(input_ids, attention_mask)
        one_per_group = torch.zeros(len(input_ids), self.num_groups, dtype=torch.long, device=input_ids.device)
        model_state = model.reorder(model_state, one_per_group)
        last = one_per_group + model.decoder_start_id
        results: list[list[Hypothesis]] = [[] for _ in input_ids]
        while True:
            logits, model_state = model.step(model_state, last)
            if self.coverage_penalty > 0:
                attention = model.cross_attention(model_state).chunk(self.num_groups, dim=1)
                groups = [group.cover(part) for group, part in zip(groups, attention, strict=True)]
            tokens = torch.cat([group.tokens for group in groups], dim=1)
            log_probs = next_log_probs(logits, tokens, constraints)
            groups, parents = self._advance(groups, log_probs, model.eos_id)

            sentences = None
            done = torch.stack([group.done for group in groups]).all(0)
            if enough_done(done):
                for position, hypotheses in merge_groups(groups, done.nonzero().squeeze(1), model.eos_id):
                    results[position] = hypotheses[: self.n_best]
                sentences = (~done).nonzero().squeeze(1)
                if len(sentences) == 0:
                    return finite_or_error(results)
                groups = [select(group, sentences) for group in groups]
                constraints, parents = constraints.select(sentences), parents[sentences]
            model_state = model.reorder(model_state, parents, sentences)
            last = torch.cat([group.tokens[..., -1] for group in groups], dim=1)

    def _advance(self, groups: list[BeamState], log_probs: Tensor, eos_id: int) -> tuple[list[BeamState], Tensor]:
        """Return the groups one token later, and the hypothesis, counted over all groups, that each one continues."""
        group_width = self.beam_width // self.num_groups
        width_before = groups[0].tokens.shape[1]
        divisor = length_divisor(groups[0].length + 1, self.length_penalty, self.length_normalization)
        counts = torch.zeros_like(log_probs[:, 0])
        advanced, parents = [], []
        for number, group in enumerate(groups):
            part = slice(number * width_before, (number + 1) * width_before)
            candidates = top_candidates(
                log_probs[:, part],
                group.scores,
                2 * group_width,
                penalties=self.diversity_penalty * counts.unsqueeze(1),
            )
            group, group_parents = group.advance(candidates, eos_id, divisor, self.coverage_penalty)
            counts = count_chosen(counts, group)
            advanced.append(group)
            parents.append(group_parents + part.start)
        return advanced, torch.cat(parents, dim=1)
