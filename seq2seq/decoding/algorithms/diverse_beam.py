"""Diverse beam search (Vijayakumar et al. 2018, algorithm 1) with Hamming diversity.

The beam is split into groups, which take turns within each step: a group ranks its continuations by their score minus
`diversity_penalty` times how often the token was chosen by running hypotheses of earlier groups in the same step.
The penalty decides who survives and is then forgotten: scores stay the model's log-probabilities, while some
implementations let it accumulate. Each group is a beam search of its own (see `beam`) otherwise, so one group is that.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seq2seq.decoding.algorithms.driver import Algorithm, Sources, Start
from seq2seq.decoding.parts.constraints import Constraints, next_log_probs
from seq2seq.decoding.parts.options import BeamOptions, OneSided
from seq2seq.decoding.parts.state import BeamState, OfSentences, Specials, top_candidates
from seq2seq.generation.hypothesis import Hypothesis
from seq2seq.models.interface import Seq2Seq


@dataclass(frozen=True)
class GroupsState(OfSentences):
    """The beams of all groups; a sentence is done when it is in each."""

    groups: tuple[BeamState, ...]
    constraints: Constraints

    @property
    def done(self) -> Tensor:
        return torch.stack([group.done for group in self.groups]).all(0)

    @property
    def length(self) -> int:
        return self.groups[0].length

    def known_tokens(self) -> Tensor:
        return torch.cat([group.tokens for group in self.groups], dim=1)

    def last_tokens(self) -> Tensor:
        return torch.cat([group.last_tokens() for group in self.groups], dim=1)


def count_chosen(counts: Tensor, group: BeamState) -> Tensor:
    """Return counts, float32 [B, V], with the latest tokens of the group's running hypotheses added."""
    runs = (group.scores > -torch.inf) & ~group.done.unsqueeze(1)
    return counts.scatter_add(1, group.tokens[..., -1], runs.float())


@dataclass(frozen=True)
class DiverseBeamSearch(BeamOptions, OneSided, Algorithm[GroupsState]):
    """Diverse beam search; `beam_width` is that of all groups together. Options as in `options`."""

    num_groups: int = 5
    """Groups of the beam; divides `beam_width`."""
    diversity_penalty: float = 0.5
    """What a token chosen by an earlier group at the same step costs (Vijayakumar et al. 2018)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_groups < 1 or self.beam_width % self.num_groups:
            raise ValueError(f"`num_groups` must divide `beam_width` ({self.beam_width}), but is {self.num_groups}.")
        if self.diversity_penalty < 0:
            raise ValueError(f"`diversity_penalty` must not be negative, but is {self.diversity_penalty}.")

    @property
    def group_width(self) -> int:
        return self.beam_width // self.num_groups

    def start(self, model: Seq2Seq, sources: Sources) -> Start[GroupsState]:
        constraints = self.started_constraints(model, sources.prefixes, sources.input_ids.device)
        limits = self.limits(sources.attention_mask)
        group = BeamState.start(limits, self.group_width, constraints, Specials.of(model, self.other_ends))
        one_per_group = limits.new_zeros(len(limits), self.num_groups)
        return Start(GroupsState((group,) * self.num_groups, constraints), one_per_group)

    def feed(self, state: GroupsState) -> tuple[Tensor, ...]:
        return (state.last_tokens(),)

    def advance(self, logits: Tensor, state: GroupsState) -> tuple[GroupsState, Tensor]:
        """See `Algorithm.advance`; hypotheses are counted over all groups."""
        log_probs = next_log_probs(logits, state)
        width_before = state.groups[0].tokens.shape[1]
        divisor = self.divisor(state.length + 1)
        counts = torch.zeros_like(log_probs[:, 0])
        advanced, parents = [], []
        for number, group in enumerate(state.groups):
            part = slice(number * width_before, (number + 1) * width_before)
            penalties = self.diversity_penalty * counts.unsqueeze(1)
            candidates = top_candidates(
                log_probs[:, part], group.scores, self.num_candidates(self.group_width), penalties
            )
            group, group_parents = group.advance(candidates, divisor, early_stopping=False)
            counts = count_chosen(counts, group)
            advanced.append(group)
            parents.append(group_parents + part.start)
        return replace(state, groups=tuple(advanced)), torch.cat(parents, dim=1)

    def results(self, state: GroupsState, sentences: Tensor) -> list[list[Hypothesis]]:
        """See `Algorithm.results`; none is returned twice."""
        merged = []
        for per_group in zip(*(group.hypotheses(sentences) for group in state.groups), strict=True):
            unique = {h.tokens: h for hypotheses in per_group for h in hypotheses}
            merged.append(sorted(unique.values(), key=lambda h: -h.normalized_score))
        return merged
