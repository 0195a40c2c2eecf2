"""Targets of pure chance cannot be predicted: whatever is, has leaked."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from seq2seq.data.batch import IGNORED_LABEL
from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig

NUM_TOKENS, LENGTH, ROWS = 7, 6, 128
FIRST = 3
EOS = 2
CHANCE = math.log(NUM_TOKENS)

Batch = tuple[Tensor, Tensor, dict[str, Tensor]]


def random_targets() -> Tensor:
    return torch.randint(FIRST, FIRST + NUM_TOKENS, (ROWS, LENGTH))


def two_rows(left: Tensor, right: Tensor) -> Batch:
    """Return inputs and labels of rows that see each other wholly; `right` reads from left to right."""
    rows = torch.stack([left, right.flip(1)], 1).flatten(0, 1)
    visible = torch.ones(len(rows), LENGTH, dtype=torch.bool)
    inputs = torch.cat([torch.ones(len(rows), 1, dtype=torch.long), rows[:, :-1]], 1)
    return inputs, rows, {"sides": torch.arange(2).repeat(ROWS), "visible": visible}


def gold_beside_gold() -> Batch:
    target = random_targets()
    return two_rows(target, target)


def gold_beside_another() -> Batch:
    """The companion is no reference: its own row counts like any other."""
    return two_rows(random_targets(), random_targets())


def interleaved() -> Batch:
    target = random_targets()
    rows = torch.stack([target[:, : LENGTH // 2], target.flip(1)[:, : LENGTH // 2]], 2).flatten(1)
    return torch.cat([torch.ones(ROWS, 2, dtype=torch.long), rows[:, :-2]], 1), rows, {}


def loss_by_position(options: dict[str, Any], make: Callable[[], Batch], steps: int, layers: int) -> list[float]:
    """Return the mean loss of each position over fresh targets, after training on fresh ones."""
    torch.manual_seed(1)
    config = Seq2SeqTransformerConfig(
        vocab_size=FIRST + NUM_TOKENS, d_model=32, num_heads=4, ffn_size=64, encoder_layers=1, decoder_layers=layers,
        dropout=0.0, **options,
    )  # fmt: skip
    model = Seq2SeqTransformer(config)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    source = torch.full((ROWS, 2), EOS)

    def losses() -> Tensor:
        inputs, labels, sides = make()
        logits = model(source, decoder_input_ids=inputs, **sides).logits
        loss = functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none", ignore_index=IGNORED_LABEL)
        return loss.mean(0)

    for _ in range(steps):
        optimizer.zero_grad()
        losses().mean().backward()
        optimizer.step()
    with torch.no_grad():
        return (sum(losses() for _ in range(40)) / 40).tolist()


BOTH = {"generation_order": "bidirectional", "interaction": "tanh", "interaction_weight": 1.0}


@pytest.mark.parametrize("layers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_references_beside_each_other_give_away_the_second_half(layers: int) -> None:
    """The positive control: with the same training, this leak is found."""
    losses = loss_by_position(BOTH, gold_beside_gold, steps=500, layers=layers)
    assert min(losses[: LENGTH // 2]) > CHANCE - 0.05
    assert max(losses[LENGTH // 2 :]) < CHANCE / 2


@pytest.mark.parametrize("layers", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("options", "make"), [(BOTH, gold_beside_another), ({"generation_order": "interleaved"}, interleaved)]
)
def test_nothing_leaks(options: dict[str, Any], make: Callable[[], Batch], layers: int) -> None:
    losses = loss_by_position(options, make, steps=500, layers=layers)
    assert min(losses) > CHANCE - 0.05
