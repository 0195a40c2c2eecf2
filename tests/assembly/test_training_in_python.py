"""`seq2seq.train`: the run of the `train` verb, in a process that is afterwards as it was before."""

import logging
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
import transformers
from accelerate import Accelerator
from accelerate.state import AcceleratorState, is_initialized

import seq2seq
from seq2seq.apps.command import main
from seq2seq.assembly.python_configuration import resolved_config
from seq2seq.assembly.training import train_stage
from seq2seq.training.accelerator import state_put_back
from seq2seq.training.tracking import read_log
from tests.launching import launch
from tests.tiny_run import OPTIONS, distinct_texts

TEXTS = distinct_texts()
PAIRS = [(text, text) for text in TEXTS[:60]]
SMALL: dict[str, Any] = {
    **{name: OPTIONS[name] for name in ("tokenizer", "model", "data", "optimizer")},
    "training": {"max_steps": 6, "checkpoint_every": 2, "log_every": 2, "threads": 1},
}
IN_SHORT = {"validation.every": 2, "validation.metrics": ["exact_match"]}


def small_run(folder: Path, pairs: Any = PAIRS, **options: Any) -> seq2seq.TrainedRun:
    return seq2seq.train(pairs, run_directory=folder, config=SMALL, **(IN_SHORT | options))


def weights(folder: Path) -> bytes:
    return (folder / "model" / "model.safetensors").read_bytes()


def test_a_run_is_what_the_verb_makes_of_its_configuration(tmp_path: Path) -> None:
    run = small_run(tmp_path / "called")
    assert (run.run_directory, run.steps) == (tmp_path / "called", 6)
    validations = [entry for entry in read_log(tmp_path / "called" / "log.jsonl") if entry["kind"] == "validation"]
    [best] = [entry for entry in validations if entry["step"] == run.best_step]
    assert run.scores["loss"] == best["loss"] == min(entry["loss"] for entry in validations)
    assert run.scores["exact_match"] == best["exact_match"]
    generator = run.generator(device="cpu", beam_width=2)
    assert generator("abc", n_best=2)[1].text == f"{generator('abc', n_best=2)[1]}"
    words = [str(tmp_path / "called" / "config.yaml"), "--run_directory", str(tmp_path / "said")]
    assert main(["train", *words]) == 0
    assert weights(tmp_path / "said") == weights(tmp_path / "called")


@pytest.mark.slow
def test_it_learns(tmp_path: Path) -> None:
    pairs = [(text, text) for text in TEXTS]
    run = seq2seq.train((TEXTS[:-50], TEXTS[:-50]), pairs[-50:], run_directory=tmp_path, config=OPTIONS)
    assert run.scores["exact_match"] > 80
    assert (run.best_step or 0) > 0


def test_the_same_call_goes_on_and_other_pairs_are_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole, cut = small_run(tmp_path / "whole"), tmp_path / "cut"
    small_run(cut, **{"training.max_steps": 3})
    with pytest.raises(ValueError, match="The training pairs and .* have changed since its last checkpoint"):
        small_run(cut, [*PAIRS[:-1], ("x", "y")])
    with pytest.raises(ValueError, match="holds a run with `model.d_model` = 32, but now it is 64"):
        small_run(cut, **{"model.d_model": 64})
    capfd.readouterr()
    run = small_run(cut, iter(PAIRS))
    assert "Going on from step 3." in "".join(capfd.readouterr())
    assert (run.steps, weights(cut)) == (6, weights(whole.run_directory))
    assert small_run(cut) == run, "a run that is over is told again"


def everything_that_is_global() -> dict[str, Any]:
    return {
        "threads": torch.get_num_threads(),
        "gradients": torch.is_grad_enabled(),
        "type": torch.get_default_dtype(),
        "kernels": torch.backends.cuda.cudnn_sdp_enabled(),
        "random": (random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist()),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "environment": dict(os.environ),
        "logging": (logging.root.level, list(logging.root.handlers)),
        "bars": transformers.utils.logging.is_progress_bar_enabled(),
        "accelerate": is_initialized(),
        "folder": Path.cwd(),
        "running": {thread.name for thread in threading.enumerate()},
    }


@pytest.mark.parametrize("is_stopped", [False, True])
def test_the_process_is_as_it_was(is_stopped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(2)
    try:
        before = everything_that_is_global()
        if is_stopped:
            with pytest.raises(ValueError, match="no option"):
                small_run(tmp_path, **{"model.depth": 3})
            with pytest.raises(ValueError, match="num_heads"):
                small_run(tmp_path, **{"model.num_heads": 5})
        else:
            small_run(tmp_path)
        after = everything_that_is_global()
    finally:
        torch.set_num_threads(1)
    assert {name for name in before if before[name] != after[name]} == set()


def test_an_accelerator_of_the_program_stays_what_it_was(tmp_path: Path) -> None:
    with state_put_back():
        AcceleratorState._reset_state(reset_partial_state=True)
        own = Accelerator(mixed_precision="bf16", cpu=True)
        small_run(tmp_path)
        assert (own.mixed_precision, own.num_processes) == ("bf16", 1)


@pytest.mark.slow
def test_two_trainings_in_a_process_may_differ_in_precision(tmp_path: Path) -> None:
    first = small_run(tmp_path / "first")
    small_run(tmp_path / "bf16", **{"training.precision": "bf16"})
    assert weights(small_run(tmp_path / "again").run_directory) == weights(first.run_directory)


def interrupted(number: int, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a signal come in a step."""
    from seq2seq.training.trainer import Trainer

    original = Trainer.train_step

    def train_step(self: Trainer, *arguments: Any) -> Any:
        if self.state.step + 1 == step:
            os.kill(os.getpid(), number)
        return original(self, *arguments)

    monkeypatch.setattr(Trainer, "train_step", train_step)


def test_ctrl_c_saves_and_is_an_interrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = small_run(tmp_path / "whole")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch:
            interrupted(signal.SIGINT, 3, patch)
            with pytest.raises(KeyboardInterrupt, match="interrupted and saved; the same call goes on"):
                small_run(tmp_path / "cut")
        assert (tmp_path / "cut" / "checkpoints" / "step-00000003").is_dir()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        with monkeypatch.context() as patch:
            interrupted(signal.SIGTERM, 5, patch)
            with pytest.raises(SystemExit, match="143"):
                small_run(tmp_path / "cut")
    finally:
        signal.signal(signal.SIGINT, before)
    small_run(tmp_path / "cut")
    assert weights(tmp_path / "cut") == weights(whole.run_directory)


def test_a_second_ctrl_c_is_an_interrupt_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seq2seq.training.trainer import Trainer

    def train_step(self: Trainer, *arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("the second has come")

    monkeypatch.setattr(Trainer, "train_step", train_step)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            small_run(tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_a_thread_it_trains_too(tmp_path: Path) -> None:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(small_run(tmp_path)))
    thread.start()
    thread.join()
    assert [run.steps for run in found] == [6]


def test_a_script_needs_no_guard(tmp_path: Path) -> None:
    """Workers would import the script anew where processes do not fork; here none are started."""
    script = tmp_path / "script.py"
    script.write_text(
        f"import seq2seq\nrun = seq2seq.train({PAIRS!r}, run_directory='x', config={SMALL!r})\n"
        "print('best', run.generator()('abc')[0])\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(seq2seq.__file__).parents[1])}
    done = subprocess.run([sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "\nbest " in done.stdout


@pytest.mark.slow
def test_two_processes_may_train_twice(tmp_path: Path) -> None:
    launch(2, "tests.end_to_end.called_twice", str(tmp_path))
    log = read_log(tmp_path / "second" / "log.jsonl")
    assert [entry["step"] for entry in log if entry["kind"] == "train"] == [2, 4, 6]


def test_one_stage_finds_its_precision(tmp_path: Path) -> None:
    config = resolved_config(PAIRS, None, tmp_path, SMALL, {"training.precision": "auto", "training.max_steps": 1})
    assert train_stage(config).step == 1
