"""Synchronous bidirectional beam search: one half of the beam from each end (Zhou, Zhang and Zong, TACL 2019).

- Both halves take a step at the same time, in one call of the model. The hypothesis of rank i in one half attends to
  that of rank i in the other; after each step ranks are dealt anew, while what has been cached stays as it was computed
  with former partners. A score so depends on the path of the search and is no probability of the string alone.
- Finished hypotheses of both directions are in one pool of as many as the whole beam. A sentence is done when neither
  direction can better the worst of a full pool; the authors' code looks at one direction only.
- The best by normalised score wins, whichever end it began at. The same string from both ends counts once, with the
  better score.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from seq2seq.decoding.algorithms.directions import read_from_right, refuse_prefixes
from seq2seq.decoding.algorithms.driver import Algorithm, Sources, Start
from seq2seq.decoding.parts.constraints import next_log_probs
from seq2seq.decoding.parts.options import BeamOptions, EarlyStopping, check_halves
from seq2seq.decoding.parts.private_companions import PrivateCompanions
from seq2seq.decoding.parts.state import BeamState, Specials, can_improve, top_candidates
from seq2seq.generation.hypothesis import Hypothesis
from seq2seq.models.interface import PairedSeq2Seq, Seq2Seq
from seq2seq.models.orders import wrong_order


@dataclass(frozen=True)
class HalvesState:
    """Both halves of the beams of B sentences."""

    beams: BeamState
    """Of 2 B sentences: 2i and 2i + 1 are the two directions of sentence i."""

    @property
    def done(self) -> Tensor:
        return self.beams.done[::2]

    def select(self, sentences: Tensor) -> "HalvesState":
        return HalvesState(self.beams.select(rows_of(sentences)))


def rows_of(sentences: Tensor) -> Tensor:
    """Return where the two directions of some sentences are, int64 [2 B']."""
    return (2 * sentences.unsqueeze(1) + torch.arange(2, device=sentences.device)).flatten()


@dataclass(frozen=True)
class SynchronousBeamSearch(BeamOptions, EarlyStopping, Algorithm[HalvesState]):
    """Search from both ends of a bidirectional model; `beam_width` counts the hypotheses of both directions.

    With `pairing` `companion` each hypothesis attends to a greedy companion of its own instead, so that its score
    depends on its string alone; that takes two rows a hypothesis.
    """

    beam_width: int = 4
    pairing: Literal["rank", "companion"] = "rank"
    """What the directions see of each other: the hypothesis of the same rank in the other half of the beam (Zhou et al.
    2019), or a greedy companion of each hypothesis's own, at two rows a hypothesis."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_halves(self.beam_width)

    @property
    def width(self) -> int:
        return self.beam_width if self.pairing == "rank" else 2 * self.beam_width

    def stepped(self, model: Seq2Seq) -> PairedSeq2Seq:
        if model.generation_order != "bidirectional":
            raise wrong_order(model.generation_order, "bidirectional")
        both = model.in_pairs()
        return PrivateCompanions(both) if self.pairing == "companion" else both

    def start(self, model: PairedSeq2Seq, sources: Sources) -> Start[HalvesState]:
        refuse_prefixes(sources.prefixes, "bidirectional")
        constraints = self.started_constraints(model, None, sources.input_ids.device)
        limits = self.limits(sources.attention_mask).repeat_interleave(2)
        return Start(HalvesState(BeamState.start(limits, self.beam_width, constraints, Specials.of(model))))

    def feed(self, state: HalvesState) -> tuple[Tensor, ...]:
        return (state.beams.last_tokens().unflatten(0, (-1, 2)),)

    def advance(self, logits: Tensor, state: HalvesState) -> tuple[HalvesState, Tensor]:
        beams, half = state.beams, self.beam_width // 2
        log_probs = next_log_probs(logits.flatten(0, 1), beams)
        candidates = top_candidates(log_probs, beams.scores, 2 * half)
        divisor = self.divisor(beams.length + 1)
        advanced, parents = beams.advance(candidates, divisor, early_stopping=False, beam_width=half)
        done = beams.done | self._done(advanced, divisor)
        return HalvesState(replace(advanced, done=done)), parents.unflatten(0, (-1, 2))

    def _done(self, beams: BeamState, divisor: float) -> Tensor:
        """Return whether a sentence's search is over, the same for both directions, bool [2 B]."""
        pool = beams.finished_scores.unflatten(0, (-1, 2)).flatten(1)
        worst = pool.topk(self.beam_width, dim=1).values[:, -1]
        best_running = beams.scores.amax(1).unflatten(0, (-1, 2)).amax(1)
        runs_on = worst == -torch.inf if self.early_stopping else can_improve(best_running, worst, divisor)
        at_limit = (beams.limits == beams.length)[::2]
        return (at_limit | ~runs_on).repeat_interleave(2)

    def results(self, state: HalvesState, sentences: Tensor) -> list[list[Hypothesis]]:
        """See `Algorithm.results`; in the order of reading."""
        found = state.beams.hypotheses(rows_of(sentences))
        return [
            best_of(from_left, [read_from_right(h) for h in from_right])
            for from_left, from_right in zip(found[::2], found[1::2], strict=True)
        ]


def best_of(*lists: Sequence[Hypothesis]) -> list[Hypothesis]:
    """Return the hypotheses of several searches, best first; of those with the same tokens the best."""
    best: dict[tuple[int, ...], Hypothesis] = {}
    for hypothesis in sorted((h for hypotheses in lists for h in hypotheses), key=lambda h: -h.normalized_score):
        best.setdefault(hypothesis.tokens, hypothesis)
    return list(best.values())
