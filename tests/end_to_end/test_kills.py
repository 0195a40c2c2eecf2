"""A few kills, and that those who kill see what they should; `python -m tests.end_to_end.kills` does many more."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.kill_cases import ORDERS, TURNS, kill_case
from tests.end_to_end.kills import compare
from tests.launching import ROOT

HALF_WRITTEN = """
import signal, sys, time
from pathlib import Path
from tests.end_to_end.killing import Death, run_killed

folder = Path(sys.argv[1])

def main(arguments):
    for name in arguments:
        (folder / name).write_text(name)
    print("done")
    return 0

def left():
    found = sorted(path.name for path in folder.glob("?"))
    for name in found:
        (folder / name).unlink()
    return found

def slow(arguments):
    time.sleep(60)
    return 0

whole = run_killed(main, "abc", folder / "printed")
print(whole.codes, whole.num_events, whole.output.split(), whole.was_hit, left())
for event in (1, 3):
    ended = run_killed(main, "abc", folder / "printed", Death(signal.SIGKILL, event=event))
    print(ended.codes, ended.was_hit, ended.output, left())
for number in (signal.SIGTERM, signal.SIGINT):
    ended = run_killed(slow, "", folder / "printed", Death(number, seconds=0.1))
    print(ended.codes, ended.was_hit, "KeyboardInterrupt" in ended.errors[0])
"""


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Fork elsewhere: this process has threads."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", *arguments],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_processes_die_before_the_change_that_is_chosen(tmp_path: Path) -> None:
    done = run_python("-c", HALF_WRITTEN, str(tmp_path))
    assert done.stdout.splitlines() == [
        "[0] 3 ['done'] False ['a', 'b', 'c']",
        "[-9] True  []",
        "[-9] True  ['a', 'b']",
        "[-15] True False",
        "[1] True True",
    ], done.stderr


def test_what_differs_is_named() -> None:
    compare({"a": 1, "b/": None}, {"a": 1, "b/": None}, "differs")
    with pytest.raises(
        AssertionError, match=r"differs: lacks \['b/'\], has \['.lock'\] too many; \['a: other bytes'\]"
    ):
        compare({"a": 1, "b/": None}, {"a": 2, ".lock": 3}, "differs")


def test_every_way_of_training_has_its_turn_in_every_order() -> None:
    cases = [kill_case(seed) for seed in range(4 * len(TURNS))]
    assert {case.sections["model"]["generation_order"] for case in cases} == set(ORDERS)
    sections = [
        (axis, kind) for case in cases for axis in ("objective", "decoder_inputs", "gradient") if axis in case.sections
        for kind in case.sections[axis]
    ]  # fmt: skip
    assert {(axis.replace("judged", "objective"), kind) for axis, kind in TURNS if kind != "self"} <= {*sections}
    for axis in ("companions", "teaching"):
        assert any(axis in case.sections for case in cases)
    assert {case.num_processes for case in cases} == {1, 2}


def test_a_few_kills() -> None:
    done = run_python("-m", "tests.end_to_end.kills", "3", "--seed", "2")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert re.search(r"\d+ kills, 0 problems", done.stdout)
