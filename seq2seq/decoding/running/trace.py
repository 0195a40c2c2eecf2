"""How a search from both ends went: its hypotheses at each step, and what either direction attended to in the other.

The search runs as it always does, with an observer that writes down what the model is fed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seq2seq.data.generation_order import from_right
from seq2seq.decoding.algorithms.driver import Algorithm, Sources, running
from seq2seq.decoding.parts.private_companions import CompanionState
from seq2seq.decoding.parts.search import Search
from seq2seq.generation.hypothesis import Hypothesis, found_or_error
from seq2seq.models.interface import State

TokenIds = tuple[int, ...]

ONE_END = "A trace shows a search from both ends; leave out `--generation-order` and `--rescore`."


@dataclass(frozen=True)
class Trace:
    """A search over one sentence."""

    steps: list[list[list[TokenIds]]]
    """Before each step and of each side, the hypotheses' tokens in their order of generation."""
    hypotheses: list[Hypothesis]
    """The results, best first."""
    attention: Tensor | None
    """float32 [2, T, T]: of each side's best result and position, the attention over the other side's positions (the
    last one that interacts, mean over heads), rows and columns in the order of generation; None without interaction."""


class _Recorder:
    """Implements `Observer`: writes down the rows of one sentence, companions included."""

    def __init__(self) -> None:
        self.steps: list[list[list[TokenIds]]] = []
        self.rows: list[list[TokenIds]] = []

    def fed(self, token_ids: Tensor, model_state: State) -> None:
        if token_ids.dim() < 3:
            raise ValueError(ONE_END)
        if isinstance(model_state, CompanionState):
            token_ids = model_state.in_pairs(token_ids)
        if self.steps:
            self.rows = [
                [(*row, token) for row, token in zip(*side, strict=True)]
                for side in zip(self.rows, token_ids[0].tolist(), strict=True)
            ]
        else:  # what is fed first belongs to no hypothesis
            self.rows = [[()] * token_ids.shape[2]] * 2
        self.steps.append(self.rows)

    def chosen(self, parents: Tensor, model_state: State) -> None:
        if isinstance(model_state, CompanionState):
            parents = model_state.pairs(parents)
        self.rows = [[side[i] for i in chosen] for side, chosen in zip(self.rows, parents[0].tolist(), strict=True)]


@torch.inference_mode()
def trace(model: Any, search: Search, source: list[int]) -> Trace:
    """Return how a search from both ends went for one source.

    Raises:
        ValueError: the search does not generate from both ends, or it failed.
    """
    if not isinstance(search, Algorithm):
        raise ValueError(ONE_END)
    recorder = _Recorder()
    input_ids = torch.tensor([source])
    mask = torch.ones_like(input_ids, dtype=torch.bool)
    results = [hypotheses for _, hypotheses in running(search, model, Sources(input_ids, mask), recorder)]
    [found] = found_or_error(results)
    return Trace(recorder.steps, found, _partner_attention(model, input_ids, mask, found))


def _partner_attention(model: Any, input_ids: Tensor, mask: Tensor, found: list[Hypothesis]) -> Tensor | None:
    """Return what the best result from the left attends to in the best from the right, and the other way round."""
    if not getattr(getattr(model, "options", None), "interacts", False):
        return None
    best = [next((h for h in found if h.direction == direction), found[0]) for direction in ("l2r", "r2l")]
    words = [list(h.tokens[:-1] if h.finished else h.tokens) for h in best]
    words[1] = from_right([*words[1], model.eos_id])[:-1]
    rows = [[model.decoder_start_id, *row] for row in words]
    longest = max(map(len, rows))
    padded = torch.tensor([[*row, *[model.pad_id] * (longest - len(row))] for row in rows])
    visible = torch.tensor([[i < len(row) for i in range(longest)] for row in rows])
    with weights_of(model.decoder.layers[-1].self_attention) as weights:
        model.teacher_forced(input_ids, mask, padded, sides=torch.arange(2), visible=visible)
    return weights[1].mean(1).float()


@contextmanager
def weights_of(attention: Any) -> Iterator[list[Tensor]]:
    """Yield a list that the weights of a module's attention go to: a row's own first, then its partner's."""
    attend, weights = attention.attend, []

    def keep_weights(queries: Tensor, keys: Tensor, values: Tensor, bias: Any, *_: Any) -> tuple[Tensor, Tensor]:
        output, found = attend(queries, keys, values, bias, 0.0, False, True)
        weights.append(found)
        return output, found

    attention.attend = keep_weights
    try:
        yield weights
    finally:
        attention.attend = attend
