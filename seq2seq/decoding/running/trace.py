"""How a search from both ends went: its hypotheses at each step, and what either direction attended to in the other.

The search runs as it always does, over a model that writes down what it is fed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from seq2seq.data.generation_order import from_right
from seq2seq.decoding.parts.hypothesis import Hypothesis
from seq2seq.decoding.parts.search import Search
from seq2seq.models.interface import PairedSeq2Seq, State

Row = tuple[int, ...]


@dataclass(frozen=True)
class Trace:
    """A search over one sentence."""

    steps: list[list[list[Row]]]
    """Before each step and of each side, the hypotheses' tokens in their order of generation."""
    hypotheses: list[Hypothesis]
    """The results, best first."""
    attention: Tensor | None
    """float32 [2, T, T]: of each side's best result and position, the attention over the other side's positions (the
    last one that interacts, mean over heads), rows and columns in the order of generation; None without interaction."""


@dataclass
class _State:
    inner: State
    rows: list[list[Row]]
    started: bool = False


@dataclass
class _Recorder:
    """Implements `PairedSeq2Seq` over another, for one sentence."""

    model: PairedSeq2Seq
    steps: list[list[list[Row]]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> _State:
        return _State(self.model.encode(input_ids, attention_mask), [[()], [()]])

    def step(self, state: _State, token_ids: Tensor, is_open: Tensor | None = None) -> tuple[Tensor, _State]:
        logits, inner = self.model.step(state.inner, token_ids, is_open)
        rows = state.rows
        if state.started:
            rows = [
                [(*row, token) for row, token in zip(*side, strict=True)]
                for side in zip(rows, token_ids[0].tolist(), strict=True)
            ]
        self.steps.append(rows)
        return logits, _State(inner, rows, started=True)

    def reorder(self, state: _State, beams: Tensor | None = None, sentences: Tensor | None = None) -> _State:
        rows = state.rows
        if beams is not None:
            rows = [[side[i] for i in chosen] for side, chosen in zip(rows, beams[0].tolist(), strict=True)]
        return _State(self.model.reorder(state.inner, beams, sentences), rows, state.started)


class _Recorded:
    """A model whose pairs are recorded."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.recorder = _Recorder(model.in_pairs())

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def in_pairs(self) -> _Recorder:
        return self.recorder


@torch.inference_mode()
def trace(model: Any, search: Search, source: list[int]) -> Trace:
    """Return how a search from both ends went for one source.

    Raises:
        ValueError: the model does not generate from both ends.
    """
    recorded = _Recorded(model)
    input_ids = torch.tensor([source])
    mask = torch.ones_like(input_ids, dtype=torch.bool)
    [found] = search.search(recorded, input_ids, mask)
    if not recorded.recorder.steps:
        raise ValueError("A trace shows a search from both ends; leave out `--generation-order` and `--rescore`.")
    return Trace(recorded.recorder.steps, found, _partner_attention(model, input_ids, mask, found))


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
    with _weights_of(model.decoder.layers[-1].self_attention) as weights:
        model.teacher_forced(input_ids, mask, padded, sides=torch.arange(2), visible=visible)
    return weights[1].mean(1).float()


@contextmanager
def _weights_of(attention: Any) -> Iterator[list[Tensor]]:
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
