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
from seq2seq.decoding.parts.constraints import next_log_probs
from seq2seq.decoding.parts.hypothesis import Hypothesis
from seq2seq.decoding.parts.options import BeamOptions, check_halves
from seq2seq.decoding.parts.private_companions import PrivateCompanions
from seq2seq.decoding.parts.scoring import can_improve, length_divisor
from seq2seq.decoding.parts.search import finite_or_error
from seq2seq.decoding.parts.state import BeamState, enough_done, select, top_candidates
from seq2seq.models.interface import PairedSeq2Seq, Seq2Seq
from seq2seq.models.orders import wrong_order


@dataclass(frozen=True)
class SynchronousBeamSearch(BeamOptions):
    """Search from both ends of a bidirectional model; `beam_width` counts the hypotheses of both directions.

    With `pairing` `companion` each hypothesis attends to a greedy companion of its own instead, so that its score
    depends on its string alone; that takes two rows a hypothesis.
    """

    beam_width: int = 4
    pairing: Literal["rank", "companion"] = "rank"
    early_stopping: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_halves(self.beam_width)

    @property
    def width(self) -> int:
        return self.beam_width if self.pairing == "rank" else 2 * self.beam_width

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
            ValueError: the model was not trained in both directions.
        """
        if model.generation_order != "bidirectional":
            raise wrong_order(model.generation_order, "bidirectional")
        refuse_prefixes(prefixes, "bidirectional")
        half = self.beam_width // 2
        both: PairedSeq2Seq = model.in_pairs()
        if self.pairing == "companion":
            both = PrivateCompanions(both)
        constraints = self.started_constraints(model, None, input_ids.device)
        limits = self.limits(attention_mask).repeat_interleave(2)
        # Rows 2i and 2i + 1 of this state are the two directions of sentence i.
        state = BeamState.start(limits, self.beam_width)
        model_state = both.encode(input_ids, attention_mask)
        last = torch.full((len(input_ids), 2, 1), both.decoder_start_id, device=input_ids.device)
        results: list[list[Hypothesis]] = [[] for _ in input_ids]
        while True:
            logits, model_state = both.step(model_state, last)
            log_probs = next_log_probs(logits.flatten(0, 1), state.tokens, constraints)
            candidates = top_candidates(log_probs, state.scores, 2 * half)
            divisor = length_divisor(state.length + 1, self.length_penalty, self.length_normalization)
            was_done = state.done
            state, parents = state.advance(candidates, both.eos_id, divisor, 0.0, beam_width=half)
            state = replace(state, done=was_done | self._done(state, divisor))

            done, sentences = state.done[::2], None
            if enough_done(done):
                for position, hypotheses in self._results(state, done, both.eos_id):
                    results[position] = hypotheses[: self.n_best]
                sentences = (~done).nonzero().squeeze(1)
                if len(sentences) == 0:
                    return finite_or_error(results)
                parents = parents.unflatten(0, (-1, 2))[sentences].flatten(0, 1)
                state = select(state, (2 * sentences.unsqueeze(1) + torch.arange(2, device=done.device)).flatten())
            model_state = both.reorder(model_state, parents.unflatten(0, (-1, 2)), sentences)
            last = state.tokens[..., -1].unflatten(0, (-1, 2))

    def _done(self, state: BeamState, divisor: float) -> Tensor:
        """Return whether a sentence's search is over, the same for both directions, bool [2 B]."""
        pool = state.finished_scores.unflatten(0, (-1, 2)).flatten(1)
        worst = pool.topk(self.beam_width, dim=1).values[:, -1]
        best_running = state.scores.amax(1).unflatten(0, (-1, 2)).amax(1)
        runs_on = worst == -torch.inf if self.early_stopping else can_improve(best_running, worst, divisor)
        at_limit = (state.limits == state.length)[::2]
        return (at_limit | ~runs_on).repeat_interleave(2)

    def _results(self, state: BeamState, done: Tensor, eos_id: int) -> list[tuple[int, list[Hypothesis]]]:
        """Return (position in the batch, hypotheses of both directions, best first) of the sentences that are done."""
        rows = state.done.nonzero().squeeze(1)
        found = state.hypotheses(rows, eos_id)
        results = []
        for (row, from_left), (_, from_right) in zip(found[::2], found[1::2], strict=True):
            results.append((row // 2, best_of(from_left, [read_from_right(h) for h in from_right])))
        return results


def best_of(*lists: Sequence[Hypothesis]) -> list[Hypothesis]:
    """Return the hypotheses of several searches, best first; of those with the same tokens the best."""
    best: dict[tuple[int, ...], Hypothesis] = {}
    for hypothesis in sorted((h for hypotheses in lists for h in hypotheses), key=lambda h: -h.normalized_score):
        best.setdefault(hypothesis.tokens, hypothesis)
    return list(best.values())
