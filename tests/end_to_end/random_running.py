"""What the commands make of random configurations.

Either training and decoding both end with 0, or one ends with 2 and a single line on standard error, before any work is
done: before a tokenizer is trained or a line is decoded. `outcome` says how it went.

    python -m tests.end_to_end.random_running 0 200   # the seeds from 0 to 199, with a summary
"""

import contextlib
import io
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from seq2seq.apps.command import main
from seq2seq.assembly import finishing
from tests.end_to_end.random_configurations import Case, random_case
from tests.launching import ROOT, loopback

LIMIT_S = 60
DONE, REFUSED = "done", "refused"
LETTERS = "abcdefgh"


class TooLong(BaseException):
    """A command did not end; no `except Exception` may take it for something else."""


@dataclass
class Ended:
    """How a command ended."""

    code: int | None
    errors: list[str] = field(default_factory=list)
    escaped: str = ""


@contextlib.contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Raise `TooLong` in the block after this time."""

    def ring(*_: Any) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def command(arguments: list[str], seconds: int = LIMIT_S) -> Ended:
    """Run a command in this process; warnings are not its errors."""
    errors = io.StringIO()
    try:
        with (
            contextlib.redirect_stderr(errors),
            contextlib.redirect_stdout(io.StringIO()),
            warnings.catch_warnings(record=True),
            limited(seconds),
        ):
            warnings.simplefilter("always")
            code = main(arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {error}".splitlines()[0]
        return Ended(None, escaped=f"{text} ({Path(place.filename).name}:{place.name})")
    return Ended(code, errors.getvalue().splitlines())


def launched(arguments: list[str], processes: int) -> Ended:
    """Run a command on several processes; of what the launcher itself writes, nothing is an error of the command."""
    launcher = ["torch.distributed.run", "--standalone", "--local-addr=127.0.0.1", f"--nproc_per_node={processes}"]
    done = subprocess.run(
        [sys.executable, "-m", *launcher, "-m", "seq2seq.apps.command", *arguments],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "GLOO_SOCKET_IFNAME": loopback()},
        capture_output=True,
        text=True,
        timeout=10 * LIMIT_S,
        check=False,
    )
    if done.returncode == 0:
        return Ended(0)
    refusals = sorted(
        set(re.findall(r"seq2seq train: error: .*?(?=seq2seq train: error|$)", done.stderr, re.MULTILINE))
    )
    return Ended(2, refusals) if refusals else Ended(None, escaped=done.stderr[-500:])


def write_case(case: Case, folder: Path) -> list[str]:
    """Write corpora and configuration into a folder; return the arguments of `train`."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(1)
    texts = [" ".join("".join(draw.choices(LETTERS, k=3)) for _ in range(draw.randint(1, 3))) for _ in range(30)]
    parts = {"train": texts[:24], "validation": texts[24:28]}
    for part, lines in parts.items():
        (folder / f"{part}.tsv").write_text("".join(f"{line}\t{line[::-1]}\n" for line in lines), encoding="utf-8")
    (folder / "test.txt").write_text("".join(f"{line}\n" for line in texts[28:]), encoding="utf-8")
    paths = {part: {"path": str(folder / f"{part}.tsv")} for part in parts}
    data = case.sections.get("data")
    sections = case.sections | ({"data": paths | data} if isinstance(data, dict) else {})
    text = yaml.safe_dump({"run_directory": str(folder / "run"), **sections}, sort_keys=False)
    (folder / "run.yaml").write_text(text, encoding="utf-8")
    overrides = [word for name, value in case.overrides for word in (f"--{name}", value)]
    return ["train", str(folder / "run.yaml"), *overrides]


def outcome(case: Case, folder: Path) -> str:
    """Run a case in an empty folder; return `done` or `refused`, or what went otherwise than it should."""
    arguments, run, output = write_case(case, folder), folder / "run", folder / "output.txt"
    trained = command(arguments) if case.processes == 1 else launched(arguments, case.processes)
    if trained.code != 0:
        worked = any(any(run.rglob(name)) for name in ("tokenizer", "step-*", "companions"))
        return refused("train", trained, worked=worked)
    if case.spoiled is not None and case.spoiled.verb == "train":
        return f"train: accepted: {case.spoiled}"
    files = ["--input", str(folder / "test.txt"), "--output", str(output), "--device", "cpu", "--processes", "1"]
    decoded = command(["decode", "--model", str(run), *files, *case.decode])
    if decoded.code != 0:
        return refused("decode", decoded, worked=output.exists())
    if case.spoiled is not None:
        return f"decode: accepted: {case.spoiled}"
    return DONE if output.read_text(encoding="utf-8").count("\n") >= 2 else "decode: fewer lines than sources"


def refused(verb: str, ended: Ended, *, worked: bool) -> str:
    """Return `refused` for a command that has properly ended with 2, or what is wrong about how it has ended."""
    if ended.escaped:
        return f"{verb}: escaped: {ended.escaped}"
    if ended.code != 2:
        return f"{verb}: wrong code: {ended.code}"
    if len(ended.errors) != 1:
        return f"{verb}: not one line: {ended.errors[:3]}"
    return f"{verb}: refused late: {ended.errors[0]}" if worked else REFUSED


def outcomes(seeds: Iterable[int], folder: Path) -> Iterator[tuple[Case, str]]:
    """Run the cases of the seeds; yield each with its outcome."""
    for seed in seeds:
        case = random_case(seed)
        yield case, outcome(case, folder / str(seed))
        shutil.rmtree(folder / str(seed), ignore_errors=True)


def report(seeds: Iterable[int], folder: Path) -> None:
    """Print the failures among the cases of the seeds, and how many there are of each sort."""
    counts: Counter[str] = Counter()
    for case, found in outcomes(seeds, folder):
        counts[":".join(found.split(":")[:2])] += 1
        if found not in (DONE, REFUSED):
            print(f"{found}\n    {case}", flush=True)
    print("\n".join(f"{number:6} {found}" for found, number in counts.most_common()))


if __name__ == "__main__":
    finishing.plot_curves = lambda *arguments: None  # which takes longer than everything else
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["HF_DATASETS_CACHE"] = temporary
        report(range(*map(int, sys.argv[1:3])), Path(temporary))
