"""A run directory that somebody takes away in training ends the run with a sentence; none comes back half-empty."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seq2seq.apps.command import main
from seq2seq.training.trainer import Trainer
from tests.tiny_run import write_copy_task

MAX_STEPS = 6


def train(folder: Path, step: int, happens: Callable[[Path], Any]) -> int:
    """Train, and let something happen to the run directory after a step; 0 is before the first."""
    train_step = Trainer.train_step
    options = {"max_steps": MAX_STEPS, "checkpoint_every": 2, "log_every": 1}
    config = write_copy_task(folder, training=options, validation={"every": 0, "metrics": [], "select_by": "loss"})

    def watched(self: Trainer, micro_batches: Any) -> Any:
        if self.state.step == step:
            happens(folder / "run")
        return train_step(self, micro_batches)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "train_step", watched)
        return main(["train", config])


@pytest.mark.parametrize("step", [0, 3, MAX_STEPS - 1])
@pytest.mark.parametrize(
    "happens",
    [
        shutil.rmtree,
        lambda run: run.rename(run.with_name("moved")),
        lambda run: (run.rename(run.with_name("moved")), shutil.copytree(run.with_name("moved"), run)),
        lambda run: (shutil.rmtree(run), run.mkdir()),
    ],
    ids=["removed", "moved", "copied", "emptied anew"],
)
def test_a_folder_that_vanishes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], happens: Callable[[Path], Any], step: int
) -> None:
    left: list[str] = []

    def happens_and_looks(run: Path) -> None:
        happens(run)
        left.extend(map(str, sorted(run.rglob("*"))))

    assert train(tmp_path, step, happens_and_looks) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "run was removed, moved or replaced while a training was at work in it; the steps since its last" in error
    assert [path for path in map(str, sorted((tmp_path / "run").rglob("*"))) if "log.jsonl" not in path] == [
        path for path in left if "log.jsonl" not in path
    ]


@pytest.mark.parametrize("name", ["log.jsonl", "config.yaml", "tokenizer"])
def test_a_folder_that_loses_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """No step is lost: a checkpoint comes first."""
    moved = tmp_path / "moved"
    assert train(tmp_path, 3, lambda run: os.rename(run / name, moved)) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    saved = tmp_path / "run" / "checkpoints" / "step-00000004"
    assert f"run has lost its {name}, which somebody removed in training. All steps are saved, in {saved}" in error
    assert saved.is_dir()
    assert not (tmp_path / "run" / name).exists()
    os.rename(moved, tmp_path / "run" / name)
    assert main(["train", str(tmp_path / "run.yaml")]) == 0
    assert "Going on from step 4" in capsys.readouterr().err


def test_all_files_that_vanish(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def empty(run: Path) -> None:
        for path in run.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    assert train(tmp_path, 3, empty) == 2
    assert "run has lost its config.yaml and tokenizer and log.jsonl" in capsys.readouterr().err
