"""Synchronous search over pairs: a hypothesis is a generation from the left together with one from the right.

The model gives pairs a probability, the product of all its next-token probabilities, each given both rows so far.
Unlike halves that are paired by rank (`synchronous`), partners stay together from the first token on, so states and
scores are those of the full forward, and with a beam wide enough the best pair is found. A row that has ended waits for
the other, which goes on seeing it. Both strings of a finished pair are results, each with its own row's score.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seq2seq.decoding.algorithms.directions import read_from_right, refuse_prefixes
from seq2seq.decoding.algorithms.synchronous import best_of
from seq2seq.decoding.parts.constraints import next_log_probs
from seq2seq.decoding.parts.hypothesis import Hypothesis
from seq2seq.decoding.parts.options import BeamOptions, check_halves
from seq2seq.decoding.parts.pairs import FinishedPair, Row, finished_pairs, top_pairs
from seq2seq.decoding.parts.scoring import length_divisor
from seq2seq.decoding.parts.search import finite_or_error
from seq2seq.decoding.parts.state import EMPTY, BeamState, Candidates, enough_done, select
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.orders import wrong_order


@dataclass(frozen=True)
class JointBeamSearch(BeamOptions):
    """Search over pairs in a bidirectional model; `beam_width` counts rows, two a pair."""

    beam_width: int = 4
    early_stopping: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_halves(self.beam_width)

    def search(
        self,
        model: Seq2Seq,
        input_ids: Tensor,
        attention_mask: Tensor,
        prefixes: Sequence[Sequence[int]] | None = None,
        rows: Sequence[int] | None = None,
    ) -> list[list[Hypothesis]]:
        """Return each sentence's `n_best` hypotheses, best first, in the order of reading; see `search.Search`.

        Raises:
            ValueError: the model was not trained in both directions.
        """
        refuse_prefixes(prefixes, "bidirectional")
        found = self.search_pairs(model, input_ids, attention_mask)
        return finite_or_error([self._strings(pairs, model.eos_id) for pairs in found])

    @torch.inference_mode()
    def search_pairs(self, model: Seq2Seq, input_ids: Tensor, attention_mask: Tensor) -> list[list[FinishedPair]]:
        """Return each sentence's pairs, `beam_width` / 2 or as many as there are, best first."""
        if model.generation_order != "bidirectional":
            raise wrong_order(model.generation_order, "bidirectional")
        both, width = model.in_pairs(), self.beam_width // 2
        constraints = self.started_constraints(model, None, input_ids.device)
        limits = self.limits(attention_mask)
        state = BeamState.start(limits, width, in_pairs=True)
        model_state = both.encode(input_ids, attention_mask)
        last = torch.full((len(input_ids), 2, 1), both.decoder_start_id, device=input_ids.device)
        has_ended = torch.zeros_like(last, dtype=torch.bool)
        results: list[list[FinishedPair]] = [[] for _ in input_ids]
        while True:
            logits, model_state = both.step(model_state, last, ~has_ended)
            known = state.tokens.clamp(min=0).flatten(0, 1)
            log_probs = next_log_probs(logits.flatten(0, 1), known, constraints).unflatten(0, (-1, 2))
            candidates = top_pairs(_frozen(log_probs, has_ended, both.pad_id), state.scores, 2 * width)
            was_ended = has_ended.gather(2, candidates.beams.unsqueeze(1).expand(-1, 2, -1))
            candidates = replace(candidates, token_ids=candidates.token_ids.masked_fill(was_ended, EMPTY))
            ends = (was_ended | (candidates.token_ids == both.eos_id)).all(1)
            divisor = 2 * self._divisor(state.length + 1)
            normalized = self._normalized(state, candidates)
            state, parents = state.choose(candidates, ends, normalized, divisor, early_stopping=self.early_stopping)

            sentences = None
            if enough_done(state.done):
                for position, pairs in finished_pairs(state, state.done.nonzero().squeeze(1)):
                    results[position] = pairs
                sentences = (~state.done).nonzero().squeeze(1)
                if len(sentences) == 0:
                    return results
                state, parents = select(state, sentences), parents[sentences]
            model_state = both.reorder(model_state, parents.unsqueeze(1).expand(-1, 2, -1), sentences)
            newest = state.tokens[..., -1]
            has_ended = (newest == EMPTY) | (newest == both.eos_id)
            last = newest.masked_fill(has_ended, both.pad_id)

    def _divisor(self, length: int) -> float:
        return length_divisor(length, self.length_penalty, self.length_normalization)

    def _normalized(self, state: BeamState, candidates: Candidates) -> Tensor:
        """Return the mean of both rows' normalised scores, [B, K]."""
        parents = candidates.beams.unsqueeze(1).expand(-1, 2, -1)
        sums = state.log_probs.sum(-1).gather(2, parents) + candidates.log_probs
        lengths = (state.tokens != EMPTY).sum(-1).gather(2, parents) + (candidates.token_ids != EMPTY)
        table = torch.tensor([1.0, *(self._divisor(n) for n in range(1, state.length + 2))], device=sums.device)
        return (sums / table[lengths]).mean(1)

    def _strings(self, pairs: list[FinishedPair], eos_id: int) -> list[Hypothesis]:
        """Return the strings of both rows, best first."""
        return best_of(*zip(*(self.rows_of(pair, eos_id) for pair in pairs), strict=True))[: self.n_best]

    def rows_of(self, pair: FinishedPair, eos_id: int) -> list[Hypothesis]:
        """Return the row from the left and that from the right, in the order of reading."""
        return [self._hypothesis(pair.left, eos_id), read_from_right(self._hypothesis(pair.right, eos_id))]

    def _hypothesis(self, row: Row, eos_id: int) -> Hypothesis:
        tokens, log_probs = row
        score = math.fsum(log_probs)
        normalized = score / self._divisor(len(tokens))
        return Hypothesis(tuple(tokens), tuple(log_probs), score, normalized, tokens[-1] == eos_id)


@dataclass(frozen=True)
class BestPair:
    """Both rows of each sentence's best pair, that from the left first, whichever is better."""

    inner: JointBeamSearch

    @property
    def width(self) -> int:
        return self.inner.width

    def search(
        self,
        model: Seq2Seq,
        input_ids: Tensor,
        attention_mask: Tensor,
        prefixes: Sequence[Sequence[int]] | None = None,
        rows: Sequence[int] | None = None,
    ) -> list[list[Hypothesis]]:
        """Return two hypotheses for each sentence; see `JointBeamSearch.search`."""
        refuse_prefixes(prefixes, "bidirectional")
        found = self.inner.search_pairs(model, input_ids, attention_mask)
        best = [self.inner.rows_of(pairs[0], model.eos_id) if pairs else [] for pairs in found]
        return finite_or_error(best)


def _frozen(log_probs: Tensor, has_ended: Tensor, pad_id: int) -> Tensor:
    """Return log-probabilities, [B, 2, W, V], changed in place: what has ended has one continuation, for free."""
    log_probs.masked_fill_(has_ended.unsqueeze(-1), -torch.inf)
    log_probs[..., pad_id] = log_probs[..., pad_id].masked_fill(has_ended, 0.0)
    return log_probs
