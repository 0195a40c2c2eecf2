from typing import Any

import pytest

from seq2seq.training.accelerator import INITIAL_LOSS_SCALE, build_accelerator


def test_accumulation_is_left_to_the_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A launcher may ask for it through the environment, and `backward` would then divide by it."""
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    assert build_accelerator("fp32", cpu=True).gradient_accumulation_steps == 1


def test_precision_may_change_from_run_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")
    precisions: list[Any] = ["fp32", "bf16", "fp32"]
    found = [build_accelerator(precision, cpu=True).mixed_precision for precision in precisions]
    assert found == ["no", "bf16", "no"]


def test_fp16_on_a_cpu_is_refused_rather_than_ignored() -> None:
    with pytest.raises(ValueError, match="`precision: fp16` needs a GPU"):
        build_accelerator("fp16", cpu=True)


def test_handlers_reach_the_wrapper_and_the_scaler() -> None:
    accelerator = build_accelerator("fp32", cpu=True, find_unused_parameters=True)
    assert accelerator.ddp_handler.find_unused_parameters
    assert accelerator.scaler_handler.init_scale == INITIAL_LOSS_SCALE
