"""A training that is stopped before each change that it makes to a file, and goes on.

    python -m tests.end_to_end.every_point mean --signal 15 --first 1 --every 1

For change FIRST, FIRST + EVERY, … it is begun anew, gets the signal there, and is repeated twice: to its end, and when
it has ended. Whatever differs from a run that nothing stopped is printed; the last line is the number of changes.
"""

import argparse
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

import torch

from seq2seq.apps.command import main
from seq2seq.assembly import finishing
from tests.end_to_end.killing import Death, run_killed
from tests.end_to_end.kills import compare, snapshot
from tests.tiny_run import write_copy_task

KEPT: dict[str, dict[str, Any]] = {
    "best": {"optimizer": {"ema_decay": 0.9}, "training": {"keep_checkpoints": 1}},
    "mean": {"training": {"average_checkpoints": 2, "keep_checkpoints": 2}},
    "patience": {
        "optimizer": {"learning_rate": 1.0, "warmup_steps": 0},
        "training": {"average_checkpoints": 2, "keep_checkpoints": 1, "max_steps": 9},
        "validation": {"patience": 1},
    },
}
"""What is exported: the best validation, averaged or not; the mean of the last; the mean where patience ends a run."""
SECTIONS: dict[str, dict[str, Any]] = {
    "model": {"dropout": 0.1},
    "training": {"max_steps": 5, "checkpoint_every": 2, "log_every": 4},
    "validation": {"every": 3, "metrics": [], "select_by": "loss"},
}


def stopped_everywhere(folder: Path, kept: str, signal_number: int, first: int, every: int) -> int:
    """Stop a training before each of these changes; print what went wrong, and return how many changes there are."""
    sections = SECTIONS | {name: SECTIONS.get(name, {}) | options for name, options in KEPT[kept].items()}
    command, printed = ["train", write_copy_task(folder, **sections)], folder / "printed"
    whole = run_killed(main, command, printed)
    assert whole.codes == [0], whole.errors
    expected = snapshot(folder, whole)
    for event in range(first, whole.num_events + 1, every):
        shutil.rmtree(folder / "run")
        stopped = run_killed(main, command, printed, Death(signal_number, event=event))
        if not stopped.was_hit:
            break  # the first run has filled the cache, too
        again, once_more = (run_killed(main, command, printed) for _ in range(2))
        # With 0 it had trained all its steps, and did what was left.
        if stopped.codes[0] not in (-signal_number, 128 + signal_number, 0) or again.codes + once_more.codes != [0, 0]:
            print(f"change {event}: exit codes {[stopped.codes, again.codes, once_more.codes]} {once_more.errors}")
            continue
        try:
            compare(expected, snapshot(folder, whole), f"change {event}")
        except AssertionError as error:
            print(error)
    return whole.num_events


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kept", choices=KEPT)
    for name, default in (("--signal", signal.SIGKILL), ("--first", 1), ("--every", 1)):
        parser.add_argument(name, type=int, default=int(default))
    options = parser.parse_args()
    torch.set_num_threads(1)
    finishing.plot_curves = lambda *arguments: None
    with tempfile.TemporaryDirectory() as place:
        os.environ |= {"HF_DATASETS_CACHE": f"{place}/cache", "TOKENIZERS_PARALLELISM": "false"}
        print(stopped_everywhere(Path(place), options.kept, options.signal, options.first, options.every))
