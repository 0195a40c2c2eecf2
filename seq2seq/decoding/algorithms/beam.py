"""Beam search over the whole batch at once.

Semantics are those of Hugging Face's `generate`; hypotheses and scores are the same:

- Of all W * V continuations of a sentence the 2 W likeliest are looked at. Those that end (end of sentence, or any
  token at the length limit) and stand among the first W enter the pool of finished hypotheses, with their normalised
  score; the first W that do not end run on.
- The pool keeps the best W. A sentence is done when its pool is full and `state.can_improve` sees nothing better
  among the running ones, or at its length limit. With `early_stopping` a full pool is enough.
- Hypotheses that no token may follow die (a score of -inf), and none is returned twice.

Equal scores are ordered as `torch.topk` does.
"""

from dataclasses import dataclass

from torch import Tensor

from seq2seq.decoding.algorithms.driver import Algorithm, Sources, Start
from seq2seq.decoding.parts.constraints import next_log_probs
from seq2seq.decoding.parts.options import BeamOptions, EarlyStopping, OneSided
from seq2seq.decoding.parts.state import BeamState, Specials, top_candidates
from seq2seq.generation.hypothesis import Hypothesis
from seq2seq.models.interface import Seq2Seq


@dataclass(frozen=True)
class BeamSearch(BeamOptions, EarlyStopping, OneSided, Algorithm[BeamState]):
    """Beam search; a beam of width 1 is greedy. Options as in `options`."""

    def start(self, model: Seq2Seq, sources: Sources) -> Start[BeamState]:
        constraints = self.started_constraints(model, sources.prefixes, sources.input_ids.device)
        limits = self.limits(sources.attention_mask)
        return Start(BeamState.start(limits, self.beam_width, constraints, Specials.of(model, self.other_ends)))

    def feed(self, state: BeamState) -> tuple[Tensor, ...]:
        return (state.last_tokens(),)

    def advance(self, logits: Tensor, state: BeamState) -> tuple[BeamState, Tensor]:
        candidates = top_candidates(next_log_probs(logits, state), state.scores, self.num_candidates(self.beam_width))
        return state.advance(candidates, self.divisor(state.length + 1), early_stopping=self.early_stopping)

    def results(self, state: BeamState, sentences: Tensor) -> list[list[Hypothesis]]:
        return state.hypotheses(sentences)

    def agreed(self, state: BeamState, sentence: int) -> list[int]:
        return state.agreed(sentence)
