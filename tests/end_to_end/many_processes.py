"""Training and decoding on more than two processes of one machine, in the orders of generation.

`python -m tests.end_to_end.many_processes ROUNDS` does so many times what `test_many_processes` does once, since what
goes wrong among processes may do so only now and then. With further arguments it is one of the processes, and these
are the command.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from seq2seq.apps.command import main
from seq2seq.assembly import finishing
from seq2seq.training.tracking import read_log
from tests.launching import launch
from tests.tiny_run import NUM_TEST, write_copy_task

ORDERS = ("l2r", "interleaved", "bidirectional")
CASES = [*((3, order) for order in ORDERS), *((7, order) for order in ORDERS)]
SECTIONS: dict[str, dict[str, Any]] = {
    "data": {"batch_tokens": 64},
    "training": {"max_steps": 6, "log_every": 1, "checkpoint_every": 4},
    "validation": {"every": 3, "metrics": ["exact_match", "chrf"], "select_by": "chrf"},
    "decoding": {"beam": {"beam_width": 4}},
}
"""Validation pairs are two to four batches: of seven processes some have none."""


def train_and_decode(folder: Path, num_processes: int, order: str) -> None:
    """Start, train, validate and decode on so many processes; decode with one too, which makes the same bytes."""
    config = write_copy_task(folder, **SECTIONS, model={"generation_order": order})
    this = "tests.end_to_end.many_processes"
    launch(num_processes, this, "train", config)
    log = read_log(folder / "run" / "log.jsonl")
    steps = {kind: [entry["step"] for entry in log if entry["kind"] == kind] for kind in ("train", "validation")}
    assert steps == {"train": [1, 2, 3, 4, 5, 6], "validation": [3, 6]}, steps
    assert all("chrf" in entry for entry in log if entry["kind"] == "validation"), log
    arguments = ["decode", "--model", str(folder / "run"), "--input", str(folder / "test.txt"), "--output"]
    launch(num_processes, this, *arguments, str(folder / "many.txt"))
    launch(1, this, *arguments, str(folder / "one.txt"), "--processes", "1")
    found = (folder / "many.txt").read_text()
    assert found == (folder / "one.txt").read_text()
    assert found.count("\n") == NUM_TEST


def rounds(number: int) -> None:
    """Do all cases so many times; the first that fails ends it."""
    for count in range(number):
        for num_processes, order in CASES:
            with tempfile.TemporaryDirectory() as folder:
                os.environ["HF_DATASETS_CACHE"] = str(Path(folder) / "cache")
                train_and_decode(Path(folder), num_processes, order)
            print(f"round {count + 1} of {number}: {num_processes} processes, {order}: as it should be", flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        rounds(int(sys.argv[1]))
        raise SystemExit
    finishing.plot_curves = lambda *arguments: None
    raise SystemExit(main(sys.argv[1:]))
