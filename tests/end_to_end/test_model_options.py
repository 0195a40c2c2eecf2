"""What the network has of pretrained families can also be trained from random weights, by the command."""

from pathlib import Path
from typing import Any

import pytest

from seq2seq.apps.command import main
from seq2seq.training.tracking import read_log
from tests.tiny_run import NUM_TEST, write_copy_task

OPTIONS: list[dict[str, Any]] = [
    {"positions": "relative", "relative_buckets": 8, "relative_distance": 9},
    {"positions": "relative", "relative_layers": "all"},
    {"positions": "closed_sinusoidal", "position_offset": 2},
    {"positions": "learned", "position_offset": 2, "max_positions": 257},
    {"embedding_norm": True, "embedding_scale": False},
    {"activation": "silu", "gated_feed_forward": True},
    {"biases": False, "attention_scale": False},
    {"output_scale": True, "output_bias": True, "norm_epsilon": 1e-6},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_each_option_trains_by_some_steps(options: dict[str, Any], tmp_path: Path) -> None:
    sections = {"training": {"max_steps": 5, "log_every": 1}, "validation": {"metrics": [], "select_by": "loss"}}
    assert main(["train", write_copy_task(tmp_path, model=options, **sections)]) == 0
    losses = [entry["loss"] for entry in read_log(tmp_path / "run" / "log.jsonl") if entry["kind"] == "train"]
    assert losses[-1] < losses[0]


@pytest.mark.slow
def test_relative_positions_learn_to_copy(tmp_path: Path) -> None:
    """Without positions the order of a source's letters is not to be had."""
    model = {"positions": "relative", "relative_buckets": 8, "relative_distance": 9}
    assert main(["train", write_copy_task(tmp_path, model=model, training={"max_steps": 500})]) == 0
    output = tmp_path / "output.txt"
    command = ["decode", "--model", str(tmp_path / "run"), "--input", str(tmp_path / "test.txt"), "--output"]
    assert main([*command, str(output), "--processes", "1"]) == 0
    expected = (tmp_path / "test.txt").read_text().splitlines()
    assert sum(a == b for a, b in zip(output.read_text().splitlines(), expected, strict=True)) >= NUM_TEST // 2
