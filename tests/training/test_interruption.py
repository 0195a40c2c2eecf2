import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq.data.batch import Batch
from seq2seq.objectives.base import LossSum
from seq2seq.training.checkpoint import exported_weights
from seq2seq.training.checkpoint_folder import checkpoint_paths
from seq2seq.training.interruption import stop_signals
from seq2seq.training.tracking import read_log
from tests.training.fakes import make_trainer

ROOT = Path(__file__).parents[2]

INTERRUPTED_RUN = """
import os, signal, sys
from pathlib import Path
import torch
from tests.training.fakes import make_trainer

torch.set_num_threads(1)
trainer = make_trainer(Path(sys.argv[1]), max_steps=9, ema_decay=0.9)
objective = trainer.objective

def signalled(model, batch, step):
    if step == 4:
        os.kill(os.getpid(), int(sys.argv[2]))
    return objective(model, batch, step)

trainer.objective = signalled
trainer.run()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGXCPU])
def test_a_signal_finishes_the_step_saves_and_leaves_and_the_run_goes_on_bit_by_bit(
    tmp_path: Path, number: signal.Signals
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_RUN, str(tmp_path / "parts"), str(number.value)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 128 + number, done.stderr
    assert f"{number.name}: stopped after step 4, saved" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in checkpoint_paths(tmp_path / "parts" / "checkpoints")] == ["step-00000004"]
    for folder in ("parts", "whole"):
        make_trainer(tmp_path / folder, max_steps=9, ema_decay=0.9).run()
    logs = [read_log(tmp_path / folder / "log.jsonl") for folder in ("parts", "whole")]
    assert [entry["loss"] for entry in logs[0]] == [entry["loss"] for entry in logs[1]]
    parts, whole = (exported_weights(tmp_path / f / "checkpoints" / "step-00000009") for f in ("parts", "whole"))
    assert all(torch.equal(parts[name], tensor) for name, tensor in whole.items())


def test_validation_that_a_signal_prevented_is_made_up_for(tmp_path: Path) -> None:
    """Ctrl-C during step 2, after which validation is due: it is left out, and comes first when the run goes on."""
    trainer = make_trainer(tmp_path, max_steps=4, validate_every=2)
    objective = trainer.objective

    def interrupted(model: Any, batch: Batch, step: int) -> LossSum:
        if step == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return objective(model, batch, step)

    trainer.objective = interrupted
    with pytest.raises(SystemExit) as stopped:
        trainer.run()
    assert stopped.value.code == 130
    kinds = [(entry["kind"], entry["step"]) for entry in read_log(tmp_path / "log.jsonl")]
    assert kinds == [("train", 1), ("train", 2)]
    make_trainer(tmp_path, max_steps=4, validate_every=2).run()
    kinds = [(entry["kind"], entry["step"]) for entry in read_log(tmp_path / "log.jsonl")]
    assert kinds[2:] == [("validation", 2), ("train", 3), ("train", 4), ("validation", 4)]


def test_the_first_signal_is_noted_and_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with stop_signals() as request:
        assert request.signal_number is None
        os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL, "a second Ctrl-C kills"
        os.kill(os.getpid(), signal.SIGTERM)
        assert request.signal_number == signal.SIGINT
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_outside_the_main_thread_nothing_is_caught() -> None:
    found = []

    def enter() -> None:
        with stop_signals() as request:
            found.append(request.signal_number)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [None]
