"""Greedy search: the likeliest token, step after step. Equal to a beam of width 1, and faster.

Nothing competes, so nothing is reordered; finished sentences leave the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seq2seq.decoding.parts.constraints import next_log_probs
from seq2seq.decoding.parts.hypothesis import Hypothesis
from seq2seq.decoding.parts.largest import largest
from seq2seq.decoding.parts.options import SearchOptions
from seq2seq.decoding.parts.search import finite_or_error
from seq2seq.decoding.parts.state import PathState, enough_done, select
from seq2seq.models.interface import Seq2Seq


@dataclass(frozen=True)
class Greedy(SearchOptions):
    """Greedy search. The length options only normalise the score that is reported. Options as in `options`."""

    @property
    def width(self) -> int:
        return 1

    @torch.inference_mode()
    def search(
        self,
        model: Seq2Seq,
        input_ids: Tensor,
        attention_mask: Tensor,
        prefixes: Sequence[Sequence[int]] | None = None,
        rows: Sequence[int] | None = None,
    ) -> list[list[Hypothesis]]:
        """Return each sentence's one hypothesis in a list; see `search.Search`."""
        constraints = self.started_constraints(model, prefixes, input_ids.device)
        state = PathState.start(self.limits(attention_mask), num_paths=1)
        model_state = model.encode(input_ids, attention_mask)
        last = torch.full((len(input_ids), 1), model.decoder_start_id, device=input_ids.device)
        results: list[list[Hypothesis]] = [[] for _ in input_ids]
        while True:
            logits, model_state = model.step(model_state, last)
            log_probs = next_log_probs(logits, state.known_tokens(model.pad_id), constraints)
            best, token_ids = largest(log_probs, 1)
            state = state.append(token_ids.squeeze(-1), best.squeeze(-1), model.eos_id)

            if enough_done(state.done):
                done = state.done.nonzero().squeeze(1)
                for position, hypotheses in state.hypotheses(
                    done, model.eos_id, self.length_penalty, self.length_normalization
                ):
                    results[position] = hypotheses
                sentences = (~state.done).nonzero().squeeze(1)
                if len(sentences) == 0:
                    return finite_or_error(results)
                state, constraints = select(state, sentences), constraints.select(sentences)
                model_state = model.reorder(model_state, sentences=sentences)
            last = state.last_tokens(model.pad_id)
