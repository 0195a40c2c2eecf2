"""One way to make tokens of texts: a small training in a scratch folder, and what it is judged by.

A configuration enters; bits for a character of the validation targets leave, which is the same question whatever the
tokens are: what a model needs for all tokens of the targets and their ends, under teacher forcing and without dropout,
and beside it what it would take to spell that for which there is no token.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from seq2seq.assembly.configuration import RunConfig
from seq2seq.assembly.data import build_data, build_loader
from seq2seq.assembly.model_export import ModelExport
from seq2seq.assembly.precision import with_precision
from seq2seq.assembly.training import build_trainer
from seq2seq.data.batch import Batch
from seq2seq.data.corpus import Dataset
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.models.modes import evaluating
from seq2seq.objectives.cross_entropy import CrossEntropy

BATCH_TOKENS = 1024
"""Of a step, at most: in the time of a search more steps teach more than larger ones."""
WARM_UP_STEPS = 50
"""Steps until the rate is at its height, where it stays: those of a whole training would take the search."""

LEAST = 1e-9
"""What is divided by at least."""


class Trial:
    """A model that is trained in turns with others.

    Args:
        folder: an empty one, for its tokenizer.
        rows: the validation pairs that it is judged by.
        clock: what seconds are measured by.
    """

    def __init__(
        self,
        config: RunConfig,
        folder: Path,
        rows: Sequence[int],
        accelerator: Any,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        config = as_tried(config)
        data = build_data(config, folder)
        assert isinstance(data.train, Dataset), "pairs that are fitted are on disk"
        validation = data.validation.select(rows)
        loader = build_loader(config, data.train, data.tokenizer, accelerator)
        export = ModelExport.of(config, data.tokenizer)
        self.folder = folder
        self.tokenizer = data.tokenizer
        self.targets: list[str] = list(validation["target"])
        self.trainer = build_trainer(config, folder, export, loader, validation, accelerator)
        self.micro_batches = loader.micro_batches(None)
        self.clock = clock
        self.seconds, self.due = 0.0, 0.0

    @property
    def steps(self) -> int:
        return self.trainer.state.step

    def train(self, seconds: float) -> None:
        """Train until all that it was given is used; what a last step takes beyond that is taken from the next time."""
        self.due += seconds
        while self.seconds < self.due:
            started = self.clock()
            self.trainer.train_step(self.micro_batches)
            self.seconds += self.clock() - started

    def bits(self) -> float:
        """Return the bits for a character, of the weights or of their average, whichever needs fewer."""
        found = bits_of(self.trainer.model, self.batches())
        if self.trainer.ema is not None:
            with self.trainer.ema.applied():
                found = min(found, bits_of(self.trainer.model, self.batches()))
        return (found + unsaid_bits(self.tokenizer, self.targets)) / max(1, sum(map(len, self.targets)))

    def batches(self) -> Iterator[Batch]:
        """Return the pairs that it is judged by."""
        validation = self.trainer.validation
        assert validation is not None, "a trainer that is built here validates"
        return (batch.to(self.trainer.accelerator.device) for batch in validation.batches())

    def use_of_sources(self) -> float:
        """Return the share of bits that are saved by the source of a pair beside that of another pair."""
        right = bits_of(self.trainer.model, self.batches())
        wrong = bits_of(self.trainer.model, map(with_other_sources, self.batches()))
        return 1 - right / max(wrong, LEAST)


def with_other_sources(batch: Batch) -> Batch:
    """Return a batch in which each target has the source of its neighbour."""
    others = {name: getattr(batch, name).roll(1, 0) for name in ("input_ids", "attention_mask")}
    return dataclasses.replace(batch, **others)


def as_tried(config: RunConfig) -> RunConfig:
    """Return a configuration that comes as far as it can in the time of a search.

    Many small steps at a rate that goes up at once and stays, without dropout; and no loss is smoothed, which costs
    something for each token and so for those most who have many.
    """
    config = with_precision(config)
    optimizer = dataclasses.replace(
        config.optimizer, schedule="constant", warmup_steps=WARM_UP_STEPS, final_learning_rate=0.0
    )
    objective = config.objective
    if isinstance(objective, CrossEntropy):
        objective = dataclasses.replace(objective, label_smoothing=0.0)
    return dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, batch_tokens=min(BATCH_TOKENS, config.data.batch_tokens)),
        training=dataclasses.replace(config.training, gradient_accumulation=1),
        model=dataclasses.replace(config.model, dropout=0.0),
        optimizer=optimizer,
        objective=objective,
    )


@torch.no_grad()
def bits_of(model: nn.Module, batches: Iterable[Batch]) -> float:
    """Return the bits that a model needs for all targets, their ends included."""
    objective = CrossEntropy(label_smoothing=0.0)
    with evaluating(model):
        return sum(float(objective(model, batch, 0).logs["nll_sum"]) for batch in batches) / math.log(2)


def unsaid_bits(tokenizer: TextTokenizer, targets: Sequence[str]) -> float:
    """Return what it takes to spell, each character alike, what of the targets has no token: or who knows the fewest
    words would have the least to say."""
    said = tokenizer.decode_batch(tokenizer.encode_targets(targets))
    unsaid = sum(max(0, len(text) - len(other)) for text, other in zip(targets, said, strict=True))
    return unsaid * math.log2(max(2, len(set("".join(targets)))))
