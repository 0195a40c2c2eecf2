"""Synchronous search over pairs: a hypothesis is a generation from the left together with one from the right.

The model gives pairs a probability, the product of all its next-token probabilities, each given both rows so far.
Unlike halves that are paired by rank (`synchronous`), partners stay together from the first token on, so states and
scores are those of the full forward, and with a beam wide enough the best pair is found. A row that has ended waits for
the other, which goes on seeing it. Both strings of a finished pair are results, each with its own row's score.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seq2seq.decoding.algorithms.directions import read_from_right, refuse_prefixes
from seq2seq.decoding.algorithms.driver import Algorithm, Sources, Start
from seq2seq.decoding.algorithms.synchronous import best_of
from seq2seq.decoding.parts.constraints import Constraints, next_log_probs
from seq2seq.decoding.parts.options import BeamOptions, EarlyStopping, check_halves
from seq2seq.decoding.parts.pairs import FinishedPair, PathTokens, RankPairs, finished_pairs, top_pairs
from seq2seq.decoding.parts.state import EMPTY, BeamState, Candidates, OfSentences, Specials
from seq2seq.generation.hypothesis import Hypothesis
from seq2seq.models.interface import PairedSeq2Seq, Seq2Seq
from seq2seq.models.orders import wrong_order


@dataclass(frozen=True)
class JointConstants:
    """What all steps share."""

    ranks: RankPairs
    divisors: Tensor
    """float32 [lengths], what the score of a row of each length is divided by; 1 for length 0"""


@dataclass(frozen=True)
class JointState(OfSentences):
    """Beams of pairs of rows that each end on their own."""

    beams: BeamState
    has_ended: Tensor
    """bool [B, 2, W]"""
    constants: JointConstants

    @property
    def done(self) -> Tensor:
        return self.beams.done

    @property
    def constraints(self) -> Constraints:
        return self.beams.constraints

    @property
    def length(self) -> int:
        return self.beams.length

    def known_tokens(self) -> Tensor:
        """Return the tokens of all rows, int64 [2 B, W, t]."""
        return self.beams.tokens.clamp(min=0).flatten(0, 1)


@dataclass(frozen=True)
class JointBeamSearch(BeamOptions, EarlyStopping, Algorithm[JointState]):
    """Search over pairs in a bidirectional model; `beam_width` counts rows, two a pair."""

    beam_width: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_halves(self.beam_width)

    def stepped(self, model: Seq2Seq) -> PairedSeq2Seq:
        if model.generation_order != "bidirectional":
            raise wrong_order(model.generation_order, "bidirectional")
        return model.in_pairs()

    def start(self, model: PairedSeq2Seq, sources: Sources) -> Start[JointState]:
        refuse_prefixes(sources.prefixes, "bidirectional")
        limits, device, width = self.limits(sources.attention_mask), sources.input_ids.device, self.beam_width // 2
        constraints = self.started_constraints(model, None, device)
        beams = BeamState.start(limits, width, constraints, Specials.of(model), in_pairs=True)
        has_ended = torch.zeros(len(limits), 2, 1, dtype=torch.bool, device=device)
        divisors = torch.tensor([1.0, *(self.divisor(n) for n in range(1, self.max_length + 1))], device=device)
        ranks = RankPairs.create(2 * width, model.vocab_size, device)
        return Start(JointState(beams, has_ended, JointConstants(ranks, divisors)))

    def feed(self, state: JointState) -> tuple[Tensor, ...]:
        return state.beams.last_tokens().masked_fill(state.has_ended, state.beams.specials.pad_id), ~state.has_ended

    def advance(self, logits: Tensor, state: JointState) -> tuple[JointState, Tensor]:
        beams, has_ended, eos_id = state.beams, state.has_ended, state.beams.specials.eos_id
        log_probs = next_log_probs(logits.flatten(0, 1), state).unflatten(0, (-1, 2))
        frozen = _frozen(log_probs, has_ended, beams.specials.pad_id)
        candidates = top_pairs(frozen, beams.scores, state.constants.ranks)
        was_ended = has_ended.gather(2, candidates.beams.unsqueeze(1).expand(-1, 2, -1))
        candidates = replace(candidates, token_ids=candidates.token_ids.masked_fill(was_ended, EMPTY))
        ends = (was_ended | (candidates.token_ids == eos_id)).all(1)
        divisor = 2 * self.divisor(beams.length + 1)
        normalized = _normalized(beams, candidates, state.constants.divisors)
        beams, parents = beams.choose(candidates, ends, normalized, divisor, early_stopping=self.early_stopping)
        newest = beams.tokens[..., -1]
        has_ended = (newest == EMPTY) | (newest == eos_id)
        return replace(state, beams=beams, has_ended=has_ended), parents.unsqueeze(1).expand(-1, 2, -1)

    def results(self, state: JointState, sentences: Tensor) -> list[list[Hypothesis]]:
        """See `Algorithm.results`: the strings of both rows of all pairs, in the order of reading."""
        found = []
        for pairs in self.pairs(state, sentences):
            rows = [self.rows_of(pair, state.beams.specials.eos_id) for pair in pairs]
            found.append(best_of(*zip(*rows, strict=True)))
        return found

    def pairs(self, state: JointState, sentences: Tensor) -> list[list[FinishedPair]]:
        """Return the pairs, `beam_width` / 2 or as many as there are, best first, of sentences that are done."""
        return finished_pairs(state.beams, sentences)

    def rows_of(self, pair: FinishedPair, eos_id: int) -> list[Hypothesis]:
        """Return the row from the left and that from the right, in the order of reading."""
        return [self._hypothesis(pair.left, eos_id), read_from_right(self._hypothesis(pair.right, eos_id))]

    def _hypothesis(self, row: PathTokens, eos_id: int) -> Hypothesis:
        tokens, log_probs = row
        score = math.fsum(log_probs)
        normalized = score / self.divisor(len(tokens))
        return Hypothesis(tuple(tokens), tuple(log_probs), score, normalized, tokens[-1] == eos_id)


@dataclass(frozen=True)
class BestPair(Algorithm[JointState]):
    """Both rows of each sentence's best pair, that from the left first, whichever is better."""

    inner: JointBeamSearch

    @property
    def width(self) -> int:
        return self.inner.width

    @property
    def n_best(self) -> int:
        return 2

    def stepped(self, model: Seq2Seq) -> PairedSeq2Seq:
        return self.inner.stepped(model)

    def start(self, model: PairedSeq2Seq, sources: Sources) -> Start[JointState]:
        return self.inner.start(model, sources)

    def feed(self, state: JointState) -> tuple[Tensor, ...]:
        return self.inner.feed(state)

    def advance(self, logits: Tensor, state: JointState) -> tuple[JointState, Tensor]:
        return self.inner.advance(logits, state)

    def results(self, state: JointState, sentences: Tensor) -> list[list[Hypothesis]]:
        found, eos_id = self.inner.pairs(state, sentences), state.beams.specials.eos_id
        return [self.inner.rows_of(pairs[0], eos_id) if pairs else [] for pairs in found]


def _frozen(log_probs: Tensor, has_ended: Tensor, pad_id: int) -> Tensor:
    """Return log-probabilities, [B, 2, W, V], changed in place: what has ended has one continuation, for free."""
    log_probs.masked_fill_(has_ended.unsqueeze(-1), -torch.inf)
    log_probs[..., pad_id] = log_probs[..., pad_id].masked_fill(has_ended, 0.0)
    return log_probs


def _normalized(beams: BeamState, candidates: Candidates, divisors: Tensor) -> Tensor:
    """Return the mean of both rows' normalised scores, [B, K]."""
    parents = candidates.beams.unsqueeze(1).expand(-1, 2, -1)
    sums = beams.log_probs.sum(-1).gather(2, parents) + candidates.log_probs
    lengths = (beams.tokens != EMPTY).sum(-1).gather(2, parents) + (candidates.token_ids != EMPTY)
    return (sums / divisors[lengths]).mean(1)
