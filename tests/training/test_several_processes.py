"""Two processes on one machine do what one process does with twice the micro-batches per step.

All scenarios share one launch, since starting processes takes longer than what they then do.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq.training.checkpoint import exported_weights
from seq2seq.training.checkpoint_folder import checkpoint_path
from seq2seq.training.tracking import read_log
from tests.launching import launch
from tests.training.fakes import make_trainer
from tests.training.several_processes import NUM_STEPS, TRANSFORMER, make_transformer


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """Return the folder of the scenarios and what each process found."""
    folder = tmp_path_factory.mktemp("processes")
    launch(2, "tests.training.several_processes", str(folder))
    return folder, [json.loads((folder / f"{process}.json").read_text()) for process in range(2)]


def test_replicated_equals_one_process_over_fifty_steps(
    launched: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    folder, results = launched
    trainer = make_trainer(tmp_path, max_steps=NUM_STEPS, validate_every=20, ema_decay=0.9, gradient_accumulation=2)
    trainer.run()
    one, two = read_log(tmp_path / "log.jsonl"), read_log(folder / "replicated" / "log.jsonl")
    assert len(one) == NUM_STEPS + 3
    assert [(entry["kind"], entry["step"]) for entry in one] == [(entry["kind"], entry["step"]) for entry in two]
    assert [entry["loss"] for entry in two] == pytest.approx([entry["loss"] for entry in one], rel=1e-5)
    assert [entry["nll"] for entry in two] == pytest.approx([entry["nll"] for entry in one], rel=1e-5)
    assert results[0]["replicated"] == results[1]["replicated"]
    assert results[0]["replicated"]["micro_batches"] == trainer.state.num_micro_batches == 2 * NUM_STEPS
    weights = exported_weights(checkpoint_path(folder / "replicated" / "checkpoints", NUM_STEPS))
    expected = exported_weights(checkpoint_path(tmp_path / "checkpoints", NUM_STEPS))
    for name, tensor in expected.items():
        torch.testing.assert_close(weights[name], tensor, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("scenario", "options"),
    [("sharded", {}), ("sharded_transformer", {"make_model": make_transformer, **TRANSFORMER})],
)
def test_sharded_equals_one_process_also_when_resumed(
    launched: tuple[Path, list[dict[str, Any]]], tmp_path: Path, scenario: str, options: dict[str, Any]
) -> None:
    """Gradients, also those at token vectors that are moved against the model; average, checkpoint, optimizer."""
    folder, results = launched
    make_trainer(tmp_path, max_steps=8, ema_decay=0.9, gradient_accumulation=2, validation_rows=None, **options).run()
    one, two = read_log(tmp_path / "log.jsonl"), read_log(folder / scenario / "log.jsonl")
    assert len(one) == len(two) == 8
    assert [entry["loss"] for entry in two] == pytest.approx([entry["loss"] for entry in one], rel=1e-5)
    assert [entry["gradient_norm"] for entry in two] == pytest.approx([e["gradient_norm"] for e in one], rel=1e-5)
    weights = exported_weights(checkpoint_path(folder / scenario / "checkpoints", 8))
    expected = exported_weights(checkpoint_path(tmp_path / "checkpoints", 8))
    assert weights.keys() == expected.keys()
    for name, tensor in expected.items():
        # What is added to all keys changes no attention: its gradient is rounding, which Adam makes steps of.
        atol = 1e-2 if name.endswith("keys_values.bias") else 1e-5
        torch.testing.assert_close(weights[name], tensor, rtol=1e-4, atol=atol)


def test_a_signal_to_one_process_stops_all_after_the_same_step(launched: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, results = launched
    assert results[0]["one_gets_a_signal"] == results[1]["one_gets_a_signal"]
    assert results[0]["one_gets_a_signal"]["code"] == 143
    step = results[0]["one_gets_a_signal"]["step"]
    assert step in (3, 4), "seen at the end of the step it came in, or of the next"
    assert checkpoint_path(folder / "one_gets_a_signal" / "checkpoints", step).is_dir()


def test_a_loss_that_is_no_number_on_one_process_stops_all(launched: tuple[Path, list[dict[str, Any]]]) -> None:
    _, results = launched
    errors = [result["one_is_not_finite"]["error"] for result in results]
    assert errors[0] == errors[1]
    # The last process's second micro-batch is number 3 of the first epoch's shuffled order.
    assert "loss became nan at step 2, among training rows" in errors[0]
    assert len(errors[0].split("rows ")[1].split(" (counted")[0].split(", ")) == 3, "only the rows at fault are named"


def test_a_checkpoint_that_cannot_be_written_stops_all(launched: tuple[Path, list[dict[str, Any]]]) -> None:
    _, results = launched
    errors = [result["the_disk_is_full"]["error"] for result in results]
    assert errors[0] == errors[1]
    assert "could not be written" in errors[0]
