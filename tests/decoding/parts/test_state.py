"""Parts of states against values by hand."""

from dataclasses import dataclass

import torch
from torch import Tensor

from seq2seq.decoding.parts.state import OfSentences, can_improve


@dataclass(frozen=True)
class Inner(OfSentences):
    values: Tensor
    name: str = "kept"


@dataclass(frozen=True)
class Outer(OfSentences):
    parts: tuple[Inner, ...]
    done: Tensor


def test_a_state_of_some_sentences_holds_states_of_some() -> None:
    state = Outer((Inner(torch.arange(5)), Inner(torch.arange(10).view(5, 2), "other")), torch.arange(5) > 2)
    found = state.select(torch.tensor([1, 3]))
    assert [part.values.tolist() for part in found.parts] == [[1, 3], [[2, 3], [6, 7]]]
    assert [part.name for part in found.parts] == ["kept", "other"]
    assert found.done.tolist() == [False, True]


def test_can_improve_compares_normalized_scores() -> None:
    running = torch.tensor([-4.0, -6.0, -4.0, -torch.inf])
    finished = torch.tensor([-2.5, -2.5, -torch.inf, -torch.inf])
    assert can_improve(running, finished, 2.0).tolist() == [True, False, True, False]
