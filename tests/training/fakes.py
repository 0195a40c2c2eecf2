"""A model, a corpus and a loader that are as small as they can be while everything about training is still there.

The model has tied weights, dropout, a bias, a norm and a buffer. The loader numbers micro-batches over epochs whose
order is shuffled anew, as the real one does, and notes which it gave away.
"""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from seq2seq.data.batch import IGNORED_LABEL, Batch
from seq2seq.gradients.base import Backprop, GradientRule
from seq2seq.objectives.cross_entropy import CrossEntropy
from seq2seq.training.accelerator import build_accelerator
from seq2seq.training.checkpoint import Checkpoints
from seq2seq.training.ema import ExponentialMovingAverage
from seq2seq.training.optimizer import build_optimizer
from seq2seq.training.schedules import schedule_named
from seq2seq.training.tracking import Tracker
from seq2seq.training.trainer import Trainer
from seq2seq.training.validation import Validation

VOCAB_SIZE, WIDTH = 13, 7


class TinyModel(nn.Module):
    """Predicts a token from the previous one and the mean of the source; [B, S], [B, T] -> [B, T, V]."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.embedding = nn.Embedding(VOCAB_SIZE, WIDTH)
        self.hidden = nn.Linear(WIDTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.output = nn.Linear(WIDTH, VOCAB_SIZE, bias=False)
        self.output.weight = self.embedding.weight
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("temperature", torch.tensor([0.5]))

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, decoder_input_ids: Tensor, score: Any = None
    ) -> SimpleNamespace:
        mask = attention_mask.unsqueeze(-1).float()
        source = (self.embedding(input_ids) * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True)
        states = self.dropout(self.embedding(decoder_input_ids) + source)
        states = self.norm(torch.relu(self.hidden(states))) / self.temperature
        if score is not None:
            return SimpleNamespace(loss=score(states, self.output.weight))
        return SimpleNamespace(logits=self.output(states))


def make_batch(rows: list[int]) -> Batch:
    """Return pairs whose lengths and tokens depend on their row alone: copying with a twist, so it can be learnt."""
    sources = [[3 + (row * 5 + i * 7) % (VOCAB_SIZE - 3) for i in range(2 + row % 3)] for row in rows]
    targets = [[*reversed(source), 2] for source in sources]
    source_length, target_length = max(map(len, sources)), max(map(len, targets))
    return Batch(
        input_ids=torch.tensor([source + [0] * (source_length - len(source)) for source in sources]),
        attention_mask=torch.tensor([[i < len(source) for i in range(source_length)] for source in sources]),
        decoder_input_ids=torch.tensor([[1, *t[:-1]] + [0] * (target_length - len(t)) for t in targets]),
        labels=torch.tensor([t + [IGNORED_LABEL] * (target_length - len(t)) for t in targets]),
        rows=torch.tensor(rows),
    )


class FakeLoader:
    """Endless micro-batches of `rows_per_batch` rows out of `num_rows`, shuffled in every epoch."""

    def __init__(self, num_rows: int = 15, rows_per_batch: int = 3, process: int = 0, num_processes: int = 1) -> None:
        self.num_rows, self.rows_per_batch = num_rows, rows_per_batch
        self.process, self.num_processes = process, num_processes
        self.used: list[list[int]] = []

    def micro_batches(self, position: Any) -> Iterator[tuple[Any, Batch]]:
        number = position["number"] if position else 0
        per_epoch = self.num_rows // self.rows_per_batch
        while True:
            epoch, index = divmod(number + self.process, per_epoch)
            order = random.Random(epoch).sample(range(self.num_rows), self.num_rows)
            rows = order[index * self.rows_per_batch : (index + 1) * self.rows_per_batch]
            number += self.num_processes
            self.used.append(rows)
            yield {"number": number}, make_batch(rows)


def make_trainer(
    folder: Path,
    *,
    dropout: float = 0.3,
    ema_decay: float = 0.0,
    loader: Any = None,
    keep_checkpoints: int = 3,
    label_smoothing: float = 0.1,
    select_by: str = "loss",
    patience: int = 0,
    decode: Any = None,
    validation_rows: range | None = range(20, 25),
    learning_rate: float = 0.05,
    precision: Any = "fp32",
    make_model: Callable[[float], nn.Module] = TinyModel,
    gradient_rule: GradientRule = Backprop(),  # noqa: B008
    **options: Any,
) -> Trainer:
    """Return a trainer as `assembly` would put it together."""
    accelerator = build_accelerator(precision, cpu=True)
    model = make_model(dropout)
    optimizer = build_optimizer(
        model,
        name="adamw",
        learning_rate=learning_rate,
        betas=(0.9, 0.98),
        epsilon=1e-8,
        weight_decay=0.01,
    )
    model, optimizer = accelerator.prepare(model, optimizer)
    objective = CrossEntropy(label_smoothing=label_smoothing)
    ema = ExponentialMovingAverage(model, ema_decay) if ema_decay else None
    validation = None
    if validation_rows is not None:
        share = list(validation_rows)[accelerator.process_index :: accelerator.num_processes]
        validation = Validation(
            accelerator=accelerator,
            model=model,
            objective=objective,
            batches=lambda: [make_batch([row]) for row in share],
            decode=decode,
            select_by=select_by,
            patience=patience,
        )
    defaults: dict[str, Any] = {
        **{"max_steps": 8, "log_every": 1, "checkpoint_every": 0, "validate_every": 0, "clip_norm": 1.0},
        **{"seed": 1, "max_minutes": 0.0, "gradient_accumulation": 1, "flooding": 0.0},
    }
    return Trainer(
        accelerator=accelerator,
        model=model,
        objective=objective,
        gradient_rule=gradient_rule,
        optimizer=optimizer,
        schedule=schedule_named(
            "inverse_square_root", warmup_steps=3, max_steps=100, learning_rate=learning_rate, final_learning_rate=0.0
        ),
        loader=loader or FakeLoader(process=accelerator.process_index, num_processes=accelerator.num_processes),
        checkpoints=Checkpoints(
            folder / "checkpoints",
            accelerator=accelerator,
            model=model,
            optimizer=optimizer,
            ema=ema,
            keep_checkpoints=keep_checkpoints,
        ),
        tracker=Tracker(folder, enabled=accelerator.is_main_process),
        validation=validation,
        ema=ema,
        **(defaults | options),
    )


def snapshot(trainer: Trainer) -> dict[str, Any]:
    """Return every number that a resumed run must share with an uninterrupted one."""
    optimizer = trainer.optimizer.state_dict()["state"]
    return {
        "weights": {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()},
        "optimizer": {f"{i}/{key}": tensor for i, state in optimizer.items() for key, tensor in state.items()},
        "averages": {str(i): tensor for i, tensor in enumerate(trainer.ema.averages)} if trainer.ema else {},
    }


def assert_same_bits(one: dict[str, Any], other: dict[str, Any]) -> None:
    for part, tensors in one.items():
        assert tensors.keys() == other[part].keys()
        for name, tensor in tensors.items():
            assert torch.equal(tensor, other[part][name]), f"{part}: {name}"
