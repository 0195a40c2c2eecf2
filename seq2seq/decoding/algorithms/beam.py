"""Beam search over the whole batch at once.

Semantics are those of Hugging Face's `generate`; hypotheses and scores are the same:

- Of all W * V continuations of a sentence the 2 W likeliest are looked at. Those that end (end of sentence, or any
  token at the length limit) and stand among the first W enter the pool of finished hypotheses, with their normalised
  score; the first W that do not end run on.
- The pool keeps the best W. A sentence is done when its pool is full and `scoring.can_improve` sees nothing better
  among the running ones, or at its length limit. With `early_stopping` a full pool is enough.
- Hypotheses that no token may follow die (a score of -inf), and none is returned twice.

Finished sentences leave the batch, which changes no result. Equal scores are ordered as `torch.topk` does.
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


@dataclass(frozen=True)
class BeamSearch(BeamOptions):
    """Beam search; a beam of width 1 without coverage penalty is greedy. Options as in `options` and `scoring`."""

    early_stopping: bool = False
    coverage_penalty: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_coverage_penalty(self.coverage_penalty)

    @torch.inference_mode()
    def search(
        self,
        model: Seq2Seq,
        input_ids: Tensor,
        attention_mask: Tensor,
        prefixes: Sequence[Sequence[int]] | None = None,
        rows: Sequence[int] | None = None,
    ) -> list[list[Hypothesis]]:
        """Return each sentence's `n_best` hypotheses (fewer where fewer exist), best first; see `search.Search`."""
        constraints = self.started_constraints(model, prefixes, input_ids.device)
        limits = self.limits(attention_mask)
        coverage = start_coverage(attention_mask) if self.coverage_penalty > 0 else None
        state = BeamState.start(limits, self.beam_width, coverage)
        model_state = model.encode(input_ids, attention_mask)
        last = torch.full((len(input_ids), 1), model.decoder_start_id, device=input_ids.device)
        results: list[list[Hypothesis]] = [[] for _ in input_ids]
        while True:
            logits, model_state = model.step(model_state, last)
            if state.coverage is not None:
                state = state.cover(model.cross_attention(model_state))
            log_probs = next_log_probs(logits, state.tokens, constraints)
            candidates = top_candidates(log_probs, state.scores, 2 * self.beam_width)
            divisor = length_divisor(state.length + 1, self.length_penalty, self.length_normalization)
            state, parents = state.advance(
                candidates, model.eos_id, divisor, self.coverage_penalty, early_stopping=self.early_stopping
            )

            sentences = None
            if enough_done(state.done):
                for position, hypotheses in state.hypotheses(state.done.nonzero().squeeze(1), model.eos_id):
                    results[position] = hypotheses[: self.n_best]
                sentences = (~state.done).nonzero().squeeze(1)
                if len(sentences) == 0:
                    return finite_or_error(results)
                state, constraints = select(state, sentences), constraints.select(sentences)
                parents = parents[sentences]
            model_state = model.reorder(model_state, parents, sentences)
            last = state.tokens[..., -1]
