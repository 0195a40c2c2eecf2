"""Beam search from both ends towards the middle, two tokens a step (Zhang, Titov and Sennrich, WMT 2020).

A hypothesis holds the left and the right half of one target; end of sentence from either half joins them, and if it is
the left one's, there is no right token in that step. The paper scores one there all the same; without it the
probabilities of all targets sum to 1. Lengths count tokens of the target, not steps.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seq2seq.decoding.algorithms.directions import refuse_prefixes
from seq2seq.decoding.algorithms.driver import Algorithm, Sources, Start
from seq2seq.decoding.parts.constraints import log_probs_in_place
from seq2seq.decoding.parts.options import BeamOptions, EarlyStopping
from seq2seq.decoding.parts.pairs import FinishedPair, RankPairs, finished_pairs, top_pairs
from seq2seq.decoding.parts.state import BeamState, OfSentences, Specials
from seq2seq.generation.hypothesis import Hypothesis
from seq2seq.models.interface import PairedSeq2Seq, Seq2Seq
from seq2seq.models.orders import wrong_order


@dataclass(frozen=True)
class InterleavedState(OfSentences):
    """Beams of pairs of halves, and what all steps share."""

    beams: BeamState
    ranks: RankPairs

    @property
    def done(self) -> Tensor:
        return self.beams.done


@dataclass(frozen=True)
class InterleavedBeamSearch(BeamOptions, EarlyStopping, Algorithm[InterleavedState]):
    """Search in an interleaved model; a target may have one token more than an odd `max_length`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("no_repeat_ngram", "constraints"):
            if getattr(self, name):
                raise ValueError(f"`{name}` needs the tokens in one order; leave it out with `interleaved`.")

    def stepped(self, model: Seq2Seq) -> PairedSeq2Seq:
        if model.generation_order != "interleaved":
            raise wrong_order(model.generation_order, "interleaved")
        return model.in_pairs()

    def start(self, model: PairedSeq2Seq, sources: Sources) -> Start[InterleavedState]:
        refuse_prefixes(sources.prefixes, "interleaved")
        limits, device = (self.limits(sources.attention_mask) + 1) // 2, sources.input_ids.device
        constraints = self.started_constraints(model, None, device)
        beams = BeamState.start(limits, self.beam_width, constraints, Specials.of(model), in_pairs=True)
        ranks = RankPairs.create(2 * self.beam_width, model.vocab_size, device, model.eos_id)
        return Start(InterleavedState(beams, ranks))

    def feed(self, state: InterleavedState) -> tuple[Tensor, ...]:
        return (state.beams.last_tokens().clamp(min=0),)

    def advance(self, logits: Tensor, state: InterleavedState) -> tuple[InterleavedState, Tensor]:
        beams, eos_id = state.beams, state.beams.specials.eos_id
        log_probs = self._allowed(log_probs_in_place(logits), beams.length, eos_id)
        candidates = top_pairs(log_probs, beams.scores, state.ranks)
        is_end = candidates.token_ids == eos_id
        # A step that the left half ends in adds one token, any other two.
        one, two = (self.divisor(2 * beams.length + n) for n in (1, 2))
        normalized = candidates.scores / torch.where(is_end[:, 0], one, two)
        beams, parents = beams.choose(candidates, is_end.any(1), normalized, two, early_stopping=self.early_stopping)
        return replace(state, beams=beams), parents.unsqueeze(1).expand(-1, 2, -1)

    def results(self, state: InterleavedState, sentences: Tensor) -> list[list[Hypothesis]]:
        """See `Algorithm.results`; in the order of reading."""
        eos_id = state.beams.specials.eos_id
        return [[joined(pair, eos_id) for pair in pairs] for pairs in finished_pairs(state.beams, sentences)]

    def _allowed(self, log_probs: Tensor, step: int, eos_id: int) -> Tensor:
        """Return the log-probabilities, changed in place, without an end that comes too early."""
        for side in (0, 1):
            if 2 * step + side < self.min_length:
                log_probs[:, side, :, eos_id] = -torch.inf
        return log_probs


def joined(pair: FinishedPair, eos_id: int) -> Hypothesis:
    """Return both halves as one hypothesis from left to right, end of sentence at its end if it was reached."""
    (left, left_log_probs), (right, right_log_probs) = pair.left, pair.right
    ends: list[tuple[int, float]] = []
    if left[-1] == eos_id:
        ends = [(left[-1], left_log_probs[-1])]
        left, left_log_probs = left[:-1], left_log_probs[:-1]
    elif right[-1] == eos_id:
        ends = [(right[-1], right_log_probs[-1])]
        right, right_log_probs = right[:-1], right_log_probs[:-1]
    log_probs = (*left_log_probs, *reversed(right_log_probs), *(log_prob for _, log_prob in ends))
    tokens = (*left, *reversed(right), *(token for token, _ in ends))
    score = math.fsum(log_probs)
    return Hypothesis(tokens, log_probs, score, pair.normalized_score, bool(ends), "interleaved")
