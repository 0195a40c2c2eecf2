from types import SimpleNamespace
from typing import Any

import pytest
from torch.optim import Adafactor, AdamW

from seq2seq.assembly.configuration import RunConfig
from seq2seq.assembly.training import num_steps, optimizer_of
from seq2seq.data.loader import TrainingLoader
from seq2seq.training.options import OptimizerOptions, TrainingOptions
from tests.models.tiny import tiny_model


class LoaderOf23(TrainingLoader):
    """A loader whose epochs have 23 micro-batches."""

    def __init__(self) -> None: ...

    def plan(self, epoch: int, earlier: Any = ()) -> Any:
        return SimpleNamespace(batches=range(23))


@pytest.mark.parametrize(
    ("options", "num_processes", "steps"),
    [
        ({}, 1, 10_000),
        ({"max_epochs": 3}, 1, 69),
        ({"max_epochs": 3, "max_steps": 50}, 1, 50),
        ({"max_epochs": 0.5}, 1, 12),
        ({"max_epochs": 3, "gradient_accumulation": 2}, 1, 35),
        ({"max_epochs": 3, "gradient_accumulation": 2}, 5, 7),
        ({"max_epochs": 1e-9}, 1, 1),
    ],
)
def test_epochs_limit_the_steps(options: dict[str, Any], num_processes: int, steps: int) -> None:
    config = RunConfig("run", training=TrainingOptions(**options))
    assert num_steps(config, LoaderOf23(), num_processes) == steps


def test_epochs_that_leave_too_few_checkpoints_are_refused() -> None:
    config = RunConfig("run", training=TrainingOptions(max_epochs=1, checkpoint_every=10, average_checkpoints=5))
    with pytest.raises(ValueError, match="`average_checkpoints` is 5, but 23 steps"):
        num_steps(config, LoaderOf23(), 1)


def processes(kind: str) -> Any:
    return SimpleNamespace(distributed_type=SimpleNamespace(value=kind))


def test_the_optimizer_is_the_one_of_the_configuration() -> None:
    adafactor = RunConfig("run", optimizer=OptimizerOptions(name="adafactor", learning_rate=0.02, weight_decay=0.1))
    found = optimizer_of(adafactor, tiny_model(), processes("NO"))
    assert isinstance(found, Adafactor)
    assert [(group["lr"], group["weight_decay"]) for group in found.param_groups] == [(0.02, 0.1), (0.02, 0.0)]
    assert isinstance(optimizer_of(RunConfig("run"), tiny_model(), processes("FSDP")), AdamW)
    with pytest.raises(ValueError, match="Under FSDP .* set `optimizer.name: adamw`"):
        optimizer_of(adafactor, tiny_model(), processes("FSDP"))
