"""Beam search from both ends towards the middle, two tokens a step (Zhang, Titov and Sennrich, WMT 2020).

A hypothesis holds the left and the right half of one target; end of sentence from either half joins them, and if it is
the left one's, there is no right token in that step. The paper scores one there all the same; without it the
probabilities of all targets sum to 1. Lengths count tokens of the target, not steps.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seq2seq.decoding.algorithms.directions import refuse_prefixes
from seq2seq.decoding.parts.constraints import log_probs_in_place
from seq2seq.decoding.parts.hypothesis import Hypothesis
from seq2seq.decoding.parts.options import BeamOptions
from seq2seq.decoding.parts.pairs import FinishedPair, finished_pairs, top_pairs
from seq2seq.decoding.parts.scoring import length_divisor
from seq2seq.decoding.parts.search import finite_or_error
from seq2seq.decoding.parts.state import BeamState, enough_done, select
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.orders import wrong_order


@dataclass(frozen=True)
class InterleavedBeamSearch(BeamOptions):
    """Search in an interleaved model; a target may have one token more than an odd `max_length`."""

    early_stopping: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("no_repeat_ngram", "constraints"):
            if getattr(self, name):
                raise ValueError(f"`{name}` needs the tokens in one order; leave it out with `interleaved`.")

    @torch.inference_mode()
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
            ValueError: the model was not trained in this order.
        """
        if model.generation_order != "interleaved":
            raise wrong_order(model.generation_order, "interleaved")
        refuse_prefixes(prefixes, "interleaved")
        both = model.in_pairs()
        limits = (self.limits(attention_mask) + 1) // 2
        state = BeamState.start(limits, self.beam_width, in_pairs=True)
        model_state = both.encode(input_ids, attention_mask)
        last = torch.full((len(input_ids), 2, 1), both.decoder_start_id, device=input_ids.device)
        results: list[list[Hypothesis]] = [[] for _ in input_ids]
        while True:
            logits, model_state = both.step(model_state, last)
            log_probs = self._allowed(log_probs_in_place(logits), state.length, both.eos_id)
            candidates = top_pairs(log_probs, state.scores, 2 * self.beam_width, both.eos_id)
            is_end = candidates.token_ids == both.eos_id
            # A step that the left half ends in adds one token, any other two.
            divisors = torch.tensor([self._divisor(2 * state.length + n) for n in (1, 2)], device=is_end.device)
            normalized = candidates.scores / torch.where(is_end[:, 0], divisors[0], divisors[1])
            longest = self._divisor(2 * state.length + 2)
            state, parents = state.choose(
                candidates, is_end.any(1), normalized, longest, early_stopping=self.early_stopping
            )

            sentences = None
            if enough_done(state.done):
                for position, pairs in finished_pairs(state, state.done.nonzero().squeeze(1)):
                    results[position] = [joined(pair, both.eos_id) for pair in pairs[: self.n_best]]
                sentences = (~state.done).nonzero().squeeze(1)
                if len(sentences) == 0:
                    return finite_or_error(results)
                state, parents = select(state, sentences), parents[sentences]
            model_state = both.reorder(model_state, parents.unsqueeze(1).expand(-1, 2, -1), sentences)
            last = state.tokens[..., -1].clamp(min=0)

    def _divisor(self, length: int) -> float:
        return length_divisor(length, self.length_penalty, self.length_normalization)

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
