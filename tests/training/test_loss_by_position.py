import math
from typing import Any

import pytest
import torch
from torch import nn

from seq2seq.data.batch import IGNORED_LABEL, Batch
from seq2seq.training.loss_by_position import loss_by_position


class Uniform(nn.Module):
    """Logits 0, but for token 3 at the second position: log 3."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, labels: Any = None, decoder_input_ids: Any = None, **_: Any) -> Any:
        logits = torch.zeros(*decoder_input_ids.shape, 4)
        logits[:, 1, 3] = math.log(3)
        return type("Output", (), {"logits": logits})


def test_loss_by_position_counts_what_is_scored() -> None:
    """The first row has four tokens, a quarter each; the second two, which fall into the first and third quarter."""
    labels = torch.tensor([[1, 3, 1, 1], [1, 1, IGNORED_LABEL, IGNORED_LABEL]])
    source = torch.ones(2, 1, dtype=torch.long)
    batch = Batch(source, source.bool(), labels.clamp(min=0), labels, torch.arange(2))
    found = loss_by_position(Uniform(), [batch])
    expected = [math.log(4), math.log(2), (math.log(6) + math.log(4)) / 2, math.log(4)]
    assert list(found.values()) == pytest.approx(expected, abs=1e-6)
    assert list(found) == ["nll_1", "nll_2", "nll_3", "nll_4"]
