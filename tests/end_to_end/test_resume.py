"""A run that was stopped and goes on ends bit by bit where one that never stopped does."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from seq2seq.apps.command import main
from seq2seq.training.tracking import read_log
from tests.extras import needs
from tests.tiny_run import write_copy_task

ROOT = Path(__file__).parents[2]
CLOCK = {"seconds", "seconds_per_step", "tokens_per_second", "memory_mib"}

STOPPED = """
import os, sys, torch
from seq2seq.apps.command import main
from seq2seq.training.trainer import Trainer

step, signal_number, stop_after = Trainer.train_step, int(sys.argv[1]), int(sys.argv[2])

def stopped(self, micro_batches):
    if self.state.step == stop_after:
        os.kill(os.getpid(), signal_number)
    return step(self, micro_batches)

Trainer.train_step = stopped
raise SystemExit(main(sys.argv[3:]))
"""

SECTIONS: dict[str, dict[str, Any]] = {
    "tokenizer": {"kind": "bpe", "vocab_size": 31, "sampling": 0.2},
    "model": {"dropout": 0.1, "token_dropout": 0.1},
    "optimizer": {"ema_decay": 0.9},
    "training": {"max_steps": 31, "checkpoint_every": 10, "log_every": 4, "gradient_accumulation": 2},
    "validation": {"every": 11, "metrics": [], "select_by": "loss"},
}
"""Dropout, subword sampling, moving averages and accumulation; epochs have 9 micro-batches, so a step may span two."""


def log_without_clock(run: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in entry.items() if k not in CLOCK} for entry in read_log(run / "log.jsonl")]


def assert_equal_runs(stopped: Path, whole: Path) -> None:
    assert (stopped / "model" / "model.safetensors").read_bytes() == (
        whole / "model" / "model.safetensors"
    ).read_bytes()
    assert log_without_clock(stopped) == log_without_clock(whole)


@pytest.mark.parametrize(
    ("signal_number", "exit_code", "left"),
    [
        (15, 143, "step-00000017"),
        pytest.param(9, -9, "step-00000011", marks=pytest.mark.slow),
    ],
)
def test_a_run_that_was_stopped_goes_on_bit_by_bit(
    tmp_path: Path, signal_number: int, exit_code: int, left: str
) -> None:
    config = write_copy_task(tmp_path, **SECTIONS)
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    command = ["train", config, "--run_directory", str(stopped)]
    done = subprocess.run(
        [sys.executable, "-c", STOPPED, str(signal_number), "16", *command],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == exit_code, done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in (stopped / "checkpoints").glob("step-*"))[-1] == left
    assert (stopped / "model").is_dir(), "the best so far"
    assert main(command) == 0
    assert main(["train", config, "--run_directory", str(whole)]) == 0
    assert_equal_runs(stopped, whole)


WAYS: dict[str, dict[str, Any]] = {
    "frozen": {
        "model": {"encoder_layers": 2, "dropout": 0.1},
        "training": SECTIONS["training"] | {"freeze": ["embeddings", "biases"], "freeze_encoder_layers": 1},
    },
    "lora": {
        "tokenizer": {},
        "lora": {"rank": 3, "dropout": 0.1, "also_train": ["norms"]},
        "validation": {"every": 11},
    },
    "sentencepiece": {"tokenizer": {"kind": "sentencepiece", "vocab_size": 300, "sampling": 0.2}},
    "adafactor": {"optimizer": {"name": "adafactor", "weight_decay": 0.1, "ema_decay": 0.9}},
    "muon": {"optimizer": {"name": "muon", "weight_decay": 0.1, "ema_decay": 0.9}},
}
"""Ways of training of which a checkpoint holds something else than of others."""
EXTRAS = {"lora": "peft", "sentencepiece": "sentencepiece"}
"""The packages that they need."""


@pytest.mark.filterwarnings("ignore:`training.freeze` keeps random weights")
@pytest.mark.parametrize("way", [pytest.param(way, marks=needs(EXTRAS[way]) if way in EXTRAS else ()) for way in WAYS])
def test_each_way_goes_on_bit_by_bit(way: str, tmp_path: Path, copy_task: Path) -> None:
    """After a kill that leaves nothing but the checkpoint of step 10, which lies within an epoch."""
    config = write_copy_task(tmp_path, **(SECTIONS | WAYS[way]))
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    start = ["--training.initialize_from", str(copy_task / "run")] if way == "lora" else []
    command = ["train", config, *start, "--training.max_steps", "22", "--run_directory"]
    done = subprocess.run(
        [sys.executable, "-c", STOPPED, "9", "10", *command, str(killed)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == -9, done.stderr
    assert sorted(path.name for path in (killed / "checkpoints").glob("step-*")) == ["step-00000010"]
    assert main([*command, str(killed)]) == 0
    assert main([*command, str(whole)]) == 0
    assert_equal_runs(killed, whole)


@pytest.mark.parametrize(
    ("signal_number", "exit_code", "sampling"),
    [
        (15, 143, 0.2),
        pytest.param(9, -9, 0.0, marks=pytest.mark.slow),
        pytest.param(9, -9, 0.2, marks=pytest.mark.slow),
    ],
)
def test_a_mixture_that_was_stopped_goes_on_bit_by_bit(
    tmp_path: Path, signal_number: int, exit_code: int, sampling: float
) -> None:
    """Three corpora of 280, 90 and 30 pairs at temperature 5, stopped within an epoch, the second or later."""
    config = write_copy_task(tmp_path, **SECTIONS)
    lines = (tmp_path / "train.tsv").read_text().splitlines(keepends=True)
    for name, start, end in (("large", 0, 280), ("middle", 280, 370), ("small", 370, 400)):
        (tmp_path / f"{name}.tsv").write_text("".join(lines[start:end]))
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    command = ["train", config, "--data.temperature", "5", "--tokenizer.sampling", str(sampling), "--data.train"]
    command.append(f"[{', '.join(f'{{path: {tmp_path / name}.tsv}}' for name in ('large', 'middle', 'small'))}]")
    command += ["--data.train.2.weight", "1.5", "--run_directory"]
    done = subprocess.run(
        [sys.executable, "-c", STOPPED, str(signal_number), "16", *command, str(stopped)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == exit_code, done.stderr
    assert "small: 30 pairs, 34.8% of an epoch, each seen 4.63 times" in done.stdout
    assert main([*command, str(stopped)]) == 0
    assert main([*command, str(whole)]) == 0
    assert_equal_runs(stopped, whole)
    log = read_log(whole / "log.jsonl")
    [data] = [entry for entry in log if entry["kind"] == "data"]
    assert {label: numbers["kept"] for label, numbers in data["corpora"].items()} == {
        "large": 280,
        "middle": 90,
        "small": 30,
    }
    seen = [entry["rows_seen"] for entry in log if entry["kind"] == "train"]
    assert all(before[label] < after[label] for before, after in zip(seen, seen[1:], strict=False) for label in before)
    assert seen[-1]["small"] > 2 * data["corpora"]["small"]["drawn"], "or no epoch followed another"


@pytest.mark.parametrize("pool_rows", [61, 1000])
def test_streaming_goes_on_bit_by_bit(tmp_path: Path, pool_rows: int) -> None:
    """The first part ends between the pools of an epoch, or within its only one."""
    data = {"train": {"streaming": True}, "pool_rows": pool_rows}
    sections = SECTIONS | {"data": data, "training": {"checkpoint_every": 5, "log_every": 11}}
    config = write_copy_task(tmp_path, **sections)
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    for folder, max_steps in ((stopped, 11), (stopped, 22), (whole, 22)):
        assert main(["train", config, "--run_directory", str(folder), "--training.max_steps", str(max_steps)]) == 0
        assert log_without_clock(folder)[-1]["step"] == max_steps
    assert_equal_runs(stopped, whole)


def test_a_finished_run_is_exported_again_without_training(tmp_path: Path) -> None:
    config = write_copy_task(tmp_path, training={"max_steps": 3})
    assert main(["train", config]) == 0
    exported = (tmp_path / "run" / "model" / "model.safetensors").read_bytes()
    log = read_log(tmp_path / "run" / "log.jsonl")
    (tmp_path / "run" / "model" / "model.safetensors").unlink()
    assert main(["train", config]) == 0
    assert (tmp_path / "run" / "model" / "model.safetensors").read_bytes() == exported
    assert read_log(tmp_path / "run" / "log.jsonl") == log


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("training.seed", "2"),
        ("model.dropout", "0.3"),
        ("data.max_source_tokens", "300"),
        ("decoder_inputs", "experimental.word_oracle"),
        ("gradient", "adversarial_training"),
        ("objective.cross_entropy.label_smoothing", "0.2"),
    ],
)
def test_a_run_does_not_go_on_as_another(
    copy_task: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    config, before = copy_task / "run" / "config.yaml", (copy_task / "run" / "config.yaml").read_bytes()
    assert main(["train", str(config), f"--{option}", value]) == 2
    assert f"`{option}`" in capsys.readouterr().err
    assert config.read_bytes() == before
