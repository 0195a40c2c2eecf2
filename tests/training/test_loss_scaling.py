"""fp16's loss scaling, on a CPU: a real scaler behind an accelerator that only says it is one of fp16."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

from seq2seq.training.tracking import read_log
from seq2seq.training.trainer import Trainer
from tests.training.fakes import FakeLoader, assert_same_bits, make_trainer, snapshot


class FakeScaledAccelerator:
    """An accelerator whose mixed precision is fp16, on a CPU."""

    def __init__(self, accelerator: Accelerator, scaler: torch.amp.GradScaler) -> None:
        self.accelerator, self.scaler = accelerator, scaler

    def __getattr__(self, name: str) -> Any:
        return getattr(self.accelerator, name)

    def backward(self, loss: Tensor) -> None:
        self.scaler.scale(loss).backward()

    def unscale_gradients(self, optimizer: Any) -> None:
        self.scaler.unscale_(optimizer.optimizer)


def use_scaler(trainer: Trainer) -> torch.amp.GradScaler:
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    trainer.accelerator = FakeScaledAccelerator(trainer.accelerator, scaler)
    trainer.checkpoints.accelerator = trainer.accelerator
    inner = trainer.optimizer.optimizer  # type: ignore[attr-defined]

    def step() -> None:
        scaler.step(inner)
        scaler.update()

    trainer.optimizer.step = step  # type: ignore[method-assign,assignment]
    return scaler


def test_loss_scaling_changes_no_update(tmp_path: Path) -> None:
    """A scale that is a power of two is exact, so weights must agree to the last bit with clipping on."""
    plain, scaled = (make_trainer(tmp_path / name, clip_norm=0.1) for name in ("plain", "scaled"))
    use_scaler(scaled)
    for trainer in (plain, scaled):
        stream = iter(FakeLoader().micro_batches(None))
        results = [trainer.train_step(stream) for _ in range(3)]
        assert not any(result.skipped for result in results)
    assert_same_bits(snapshot(plain), snapshot(scaled))


def test_an_overflow_of_fp16_is_skipped_logged_and_halves_the_scale(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, max_steps=4, log_every=4, ema_decay=0.9)
    scaler = use_scaler(trainer)
    trainer.parameters[0].register_hook(
        lambda gradient: gradient * (math.inf if trainer.state.step == 1 else 1.0)  # the second step
    )
    trainer.run()
    (line,) = [entry for entry in read_log(tmp_path / "log.jsonl") if entry["kind"] == "train"]
    assert line["skipped_steps"] == 1
    assert all(math.isfinite(line[name]) for name in ("loss", "gradient_norm"))
    assert scaler.get_scale() == 512.0
    assert trainer.ema is not None
    assert trainer.ema.num_updates == 3
    steps = {float(s["step"]) for s in trainer.optimizer.state.values()}
    assert steps == {3.0}
    saved = json.loads((tmp_path / "checkpoints/step-00000004/3-state.json").read_text())
    assert saved["loss_scaler"]["scale"] == 512.0


def test_endless_overflow_is_given_up(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, max_steps=100)
    use_scaler(trainer)
    trainer.parameters[0].register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(FloatingPointError, match="51 steps in a row"):
        trainer.run()
