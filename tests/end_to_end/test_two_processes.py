"""Two processes do what one does: the same losses with half the accumulation, the same decoded bytes."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from seq2seq.apps import decoding_texts
from seq2seq.apps.command import main
from seq2seq.generation.files import decode_file
from seq2seq.training.tracking import read_log
from tests.end_to_end.two_processes import POOL_LINES
from tests.launching import launch
from tests.tiny_run import write_copy_task

ROOT = Path(__file__).parents[2]
NUM_STEPS = 50
SECTIONS: dict[str, dict[str, Any]] = {
    "model": {"dropout": 0.1},
    "optimizer": {"learning_rate": 2e-3},
    "training": {"max_steps": NUM_STEPS, "log_every": 1},
    "validation": {"every": 25},
}


def launch_by(launcher: list[str], *arguments: str) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *launcher, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]


def decode_arguments(copy_task: Path, output: Path) -> list[str]:
    files = [
        "--input",
        str(copy_task / "test.txt"),
        "--output",
        str(output),
        "--reference",
        str(copy_task / "test.txt"),
    ]
    return ["--model", str(copy_task / "run"), *files, "--n-best", "2", "--metrics", "exact_match"]


def assert_equal_training(one: Path, two: Path) -> None:
    logs = [read_log(folder / "log.jsonl") for folder in (one, two)]
    first, second = ([entry for entry in log if entry["kind"] != "data"] for log in logs)
    assert len(first) == NUM_STEPS + 2
    assert [(entry["kind"], entry["step"]) for entry in second] == [(entry["kind"], entry["step"]) for entry in first]
    assert [entry["loss"] for entry in second] == pytest.approx([entry["loss"] for entry in first], abs=1e-5)
    assert second[-1]["exact_match"] == first[-1]["exact_match"]
    weights, expected = (load_file(folder / "model" / "model.safetensors") for folder in (two, one))
    for name, tensor in expected.items():
        torch.testing.assert_close(weights[name], tensor, rtol=1e-3, atol=1e-4)


def test_two_processes_equal_one(
    copy_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config, one, two = write_copy_task(tmp_path, **SECTIONS), tmp_path / "one", tmp_path / "two"
    outputs = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    done = launch(
        2,
        "tests.end_to_end.two_processes",
        *decode_arguments(copy_task, outputs[1]),
        *["--", config, "--run_directory", str(two)],
    )
    monkeypatch.setattr(decoding_texts, "decode_file", partial(decode_file, pool_lines=POOL_LINES))
    capsys.readouterr()
    assert main(["decode", *decode_arguments(copy_task, outputs[0])]) == 0
    assert outputs[1].read_bytes() == outputs[0].read_bytes()
    scores = capsys.readouterr().out
    assert "exact_match" in scores
    assert done.stdout.count(scores) == 1, "scored once, with the same result"

    assert main(["train", config, "--run_directory", str(one), "--training.gradient_accumulation", "2"]) == 0
    assert_equal_training(one, two)


@pytest.mark.slow
def test_accelerate_launches_the_scripts_on_two_processes(copy_task: Path, tmp_path: Path) -> None:
    config, one, two = write_copy_task(tmp_path, **SECTIONS), tmp_path / "one", tmp_path / "two"
    launcher = ["accelerate.commands.launch", "--multi_gpu", "--num_processes=2", "--main_process_port=0"]
    launch_by(launcher, "train.py", config, "--run_directory", str(two))
    assert main(["train", config, "--run_directory", str(one), "--training.gradient_accumulation", "2"]) == 0
    assert_equal_training(one, two)
    outputs = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    launch_by(launcher, "decode.py", *decode_arguments(copy_task, outputs[1]))
    assert main(["decode", *decode_arguments(copy_task, outputs[0])]) == 0
    assert outputs[1].read_bytes() == outputs[0].read_bytes()
