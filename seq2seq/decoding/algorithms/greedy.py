"""Greedy search: the likeliest token, step after step. Equal to a beam of width 1, and faster.

Nothing competes, so nothing is reordered.
"""

from dataclasses import dataclass

from torch import Tensor

from seq2seq.decoding.algorithms.driver import Algorithm, Sources, Start
from seq2seq.decoding.parts.constraints import next_log_probs
from seq2seq.decoding.parts.largest import largest
from seq2seq.decoding.parts.options import OneSided, SearchOptions
from seq2seq.decoding.parts.state import PathState, Specials
from seq2seq.generation.hypothesis import Hypothesis
from seq2seq.models.interface import Seq2Seq


@dataclass(frozen=True)
class Greedy(SearchOptions, OneSided, Algorithm[PathState]):
    """Greedy search. The length options only normalise the score that is reported. Options as in `options`."""

    @property
    def width(self) -> int:
        return 1

    @property
    def n_best(self) -> int:
        return 1

    def start(self, model: Seq2Seq, sources: Sources) -> Start[PathState]:
        constraints = self.started_constraints(model, sources.prefixes, sources.input_ids.device)
        return Start(
            PathState.start(self.limits(sources.attention_mask), 1, constraints, Specials.of(model, self.other_ends))
        )

    def feed(self, state: PathState) -> tuple[Tensor, ...]:
        return (state.last_tokens(),)

    def advance(self, logits: Tensor, state: PathState) -> tuple[PathState, None]:
        best, token_ids = largest(next_log_probs(logits, state), 1)
        return state.append(token_ids.squeeze(-1), best.squeeze(-1)), None

    def results(self, state: PathState, sentences: Tensor) -> list[list[Hypothesis]]:
        return state.hypotheses(sentences, self.divisor)

    def agreed(self, state: PathState, sentence: int) -> list[int]:
        return state.agreed(sentence)
