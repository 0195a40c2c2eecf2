"""Kills over trainings, validations, exports and decodings: what is repeated until it ends is bit by bit what one that
nobody killed makes, nobody dies in silence, and nothing half-written stays.

    python -m tests.end_to_end.kills 200 --seed 1   # until so many kills have hit; the cases of the seeds from 1

Each case is done once without a kill. Then each of its commands is killed a few times in succession, at random moments
and before random changes to files, and repeated to its end.
"""

import argparse
import hashlib
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from seq2seq.apps import decoding_texts
from seq2seq.apps.command import VERBS, main
from seq2seq.assembly import finishing
from seq2seq.generation.files import decode_file
from tests.end_to_end.kill_cases import KillCase, kill_case, write_kill_case
from tests.end_to_end.killing import Death, Ended, environment_of, run_killed

POOL_LINES = 3
MOST_KILLS = 3
"""In succession, before a command may end."""
CLOCK = {"seconds", "seconds_per_step", "tokens_per_second", "memory_mib"}
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
REFUSAL = "is there; give a new name"
"""What a command says that replaces nothing, when it is repeated although all was done."""
Snapshot = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """A command of a case, and what it makes.

    Args:
        makes: what is removed before it is begun anew.
        kinds: what it counts as, and whether its workers are killed too.
    """

    arguments: Sequence[str]
    makes: tuple[str, ...]
    kind: str
    num_processes: int = 1
    has_workers: bool = False


@dataclass
class Report:
    """Kills by kind of command and signal, and what went wrong."""

    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(self.kills.values())


def steps_of(case: KillCase, folder: Path) -> Iterator[Step]:
    """Yield the commands of a case in turn, each of which builds on those before."""
    run = str(folder / "run")
    name = "train, 2 processes" if case.num_processes > 1 else "train"
    yield Step(write_kill_case(case, folder), ("run", "cache"), name, case.num_processes)
    files = ["decode", "--model", run, "--device", "cpu", "--input", str(folder / "test.txt")]
    for number, options in enumerate(case.decode):
        output = folder / f"output-{number}"
        to_file = [*files, *options, "--output", str(output), "--processes"]
        makes = (output.name, f"{output.name}.parts")
        if case.num_processes > 1:
            yield Step([*to_file, "1"], makes, "decode, 2 processes", num_processes=2)
        elif number == 0:
            yield Step([*to_file, "2"], makes, "decode, 2 workers", has_workers=True)
            yield Step([*files, *options, "--processes", "2"], (), "decode, to a pipe", has_workers=True)
        else:
            yield Step([*to_file, "1"], makes, "decode")
    yield Step(["average", "--model", run, run, "--output", str(folder / "mean")], ("mean",), "average")
    if case.sections["model"]["generation_order"] == "l2r" and case.seed % 3 == 0:
        served = ["export", "--model", run, "--format", "ctranslate2", "--output", str(folder / "served")]
        yield Step(served, ("served",), "export")


def do_case(case: KillCase, folder: Path, report: Report, say: Callable[[str], None]) -> None:
    """Do each command of a case without a kill, then with kills; compare, and go on with what it has made."""
    draw = random.Random(case.seed + 1_000_003)
    for step in steps_of(case, folder):
        whole = run_killed(main, step.arguments, folder / "printed", num_processes=step.num_processes)
        if any(whole.codes):
            refused = "refused" if set(whole.codes) == {2} else "FAILED"
            say(f"{case.seed} {step.kind}: {refused} without a kill: {whole.codes} {whole.errors[0][-300:]}")
            if refused == "FAILED":
                report.problems.append(f"{case.seed} {step.kind}: fails without a kill")
            return
        expected = snapshot(folder, whole)
        for _ in range(2):
            story: list[str] = []
            try:
                killed_until_it_ends(step, folder, whole, expected, draw, report, story)
            except AssertionError as error:
                report.problems.append(f"{case.seed} {step.kind}: {error} after {'; '.join(story)}")
                say(f"WRONG {report.problems[-1]}")
                remove(folder, step)
                if any(run_killed(main, step.arguments, folder / "printed", None, step.num_processes).codes):
                    return
        say(f"{case.seed} {step.kind}: {whole.seconds:.1f} s, {whole.num_events} changes; {report.total} kills")


def killed_until_it_ends(
    step: Step,
    folder: Path,
    whole: Ended,
    expected: Snapshot,
    draw: random.Random,
    report: Report,
    story: list[str],
) -> None:
    """Begin a command anew, kill it a few times, repeat it to its end, and compare.

    Raises:
        AssertionError: with what is wrong.
    """
    remove(folder, step)
    for _ in range(draw.randint(1, MOST_KILLS)):
        death = random_death(step, whole, draw)
        ended = run_killed(main, step.arguments, folder / "printed", death, step.num_processes)
        story.append(f"{death} (ended {ended.codes})")
        assert ended.problem is None, f"{ended.problem}: {ended.errors}"
        if not any(ended.codes):  # it was not hit, or so late that all was done
            compare(expected, snapshot(folder, ended), "ends with 0, but unfinished")
            return
        if ended.codes == [2] and REFUSAL in ended.errors[0]:  # it had done all when it was killed
            compare(silent(expected), silent(snapshot(folder, ended)), "is refused, but unfinished")
            return
        check_end(step, death, ended)
        report.kills[step.kind, _name(death)] += 1
    ended = run_killed(main, step.arguments, folder / "printed", None, step.num_processes)
    assert ended.problem is None, f"{ended.problem}: {ended.errors}"
    assert not any(ended.codes) or REFUSAL in ended.errors[0], f"cannot be repeated: {ended.codes} {ended.errors}"
    if any(ended.codes):  # all had been done, and it says no more than that
        compare(silent(expected), silent(snapshot(folder, ended)), "is refused, but differs")
    else:
        compare(expected, snapshot(folder, ended), "differs")


def random_death(step: Step, whole: Ended, draw: random.Random) -> Death:
    """Return how a command is to die, within what it takes undisturbed."""
    signal_number, rank = draw.choice(SIGNALS), draw.randrange(step.num_processes)
    if step.has_workers and draw.random() < 0.5:
        return Death(signal.SIGKILL, seconds=whole.seconds * draw.uniform(0.3, 1), of_worker=True)
    if draw.random() < 0.5:
        return Death(signal_number, seconds=whole.seconds * draw.random(), rank=rank)
    return Death(signal_number, event=draw.randint(1, max(1, whole.num_events)), rank=rank)


def check_end(step: Step, death: Death, ended: Ended) -> None:
    """Raise AssertionError unless a killed command has ended as it should."""
    number = death.signal_number
    assert ended.was_hit, f"ended by itself: {ended.codes} {ended.errors}"
    if step.num_processes == 1:
        assert "Traceback" not in ended.errors[0], ended.errors[0][-1500:]
    if death.of_worker:
        assert ended.codes == [2], f"{ended.codes} {ended.errors}"
        assert "process that searches" in ended.errors[0], f"not a word of the worker: {ended.errors}"
        return
    code = ended.codes[death.rank]
    assert code in ((-number,) if number == signal.SIGKILL else (-number, 128 + number)), f"{code} {ended.errors}"
    assert code < 0 or step.num_processes > 1 or ended.errors[0] + ended.output, "ended without a word"
    assert all(ended.codes), f"one process ends with 0: {ended.codes} {ended.errors}"


def _name(death: Death) -> str:
    return "a worker's " * death.of_worker + signal.Signals(death.signal_number).name


# ---- what is compared ------------------------------------------------------------------------------------------------


def remove(folder: Path, step: Step) -> None:
    """Remove what a command makes."""
    for name in step.makes:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def snapshot(folder: Path, ended: Ended) -> Snapshot:
    """Return all that is in a folder, without what tells the time: contents by path, and what a decoding has printed.

    Of the cache of corpora only names are compared, which tell when a corpus was written: where a run has written one
    itself, what its teachers say, their numbers.
    """
    found: Snapshot = {}
    is_taught = any(folder.rglob("taught"))
    for number, path in enumerate(sorted(folder.rglob("*"))):
        name = str(path.relative_to(folder))
        if name.startswith("printed") or path.is_dir():
            continue
        if name.startswith("cache") and is_taught:
            name = f"cache/{number}{path.suffix}"
        found[name] = None if name.startswith("cache") else contents(path)
    folders = {f"{path.relative_to(folder)}/": None for path in folder.rglob("*") if path.is_dir()}
    lines = [line for line in ended.output.splitlines() if not line.startswith("Trained ")]
    return found | folders | {"standard output": lines if "run/" not in ended.output else None}


def silent(found: Snapshot) -> Snapshot:
    """Return what there is without what was printed."""
    return found | {"standard output": None}


def contents(path: Path) -> Any:
    """Return a file's contents, those of logs and of the states of trainings without times.

    Nor is `regular` compared, the checkpoints that count: one that a stop leaves at the last step does so only when the
    run goes on, which the names of those that are kept then show.
    """
    if path.name == "log.jsonl":
        return [_without_clock(json.loads(line)) for line in path.read_text().splitlines()]
    if path.name == "3-state.json":
        return _without_clock(json.loads(path.read_text())) | {"regular": None}
    if path.name == "checksums.json":
        return None  # of the state too
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _without_clock(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: _without_clock(entry) for name, entry in value.items() if name not in CLOCK}


def compare(expected: Snapshot, found: Snapshot, what: str) -> None:
    """Raise AssertionError with what differs."""
    missing, surplus = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    different = sorted(name for name in expected.keys() & found.keys() if expected[name] != found[name])
    details = [f"{name}: {_difference(expected[name], found[name])}" for name in different[:3]]
    if missing or surplus or different:
        raise AssertionError(f"{what}: lacks {missing}, has {surplus} too many; {details}")


def _difference(expected: Any, found: Any) -> str:
    if isinstance(expected, list) and isinstance(found, list):
        return f"{[e for e in expected if e not in found][:3]} became {[f for f in found if f not in expected][:3]}"
    if isinstance(expected, dict) and isinstance(found, dict):
        return str({k: (v, found.get(k)) for k, v in expected.items() if found.get(k) != v})
    return "other bytes"


# ---- the command -----------------------------------------------------------------------------------------------------


def kill_until(number: int, seed: int, folder: Path) -> Report:
    """Do the cases of the seeds from this one on until so many kills have hit."""
    report, start = Report(), time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - start:6.0f} s  {text}", flush=True)

    while report.total < number:
        case, own = kill_case(seed), folder / str(seed)
        with environment_of(HF_DATASETS_CACHE=str(own / "cache")):
            import datasets

            datasets.config.HF_DATASETS_CACHE = own / "cache"
            do_case(case, own, report, say)
        shutil.rmtree(own, ignore_errors=True)
        seed += 1
    return report


def run(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("number", type=int, help="kills that must have hit")
    parser.add_argument("--seed", type=int, default=1, help="of the first case; default: %(default)s")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)  # before the first product: threads would be waited for in a fork
    for verb in VERBS:
        importlib.import_module(f"seq2seq.apps.{verb}")
    finishing.plot_curves = lambda *arguments: None  # takes longer than everything else
    decoding_texts.decode_file = partial(decode_file, pool_lines=POOL_LINES)
    with tempfile.TemporaryDirectory() as folder:
        report = kill_until(chosen.number, chosen.seed, Path(folder).resolve())
    for (kind, name), count in sorted(report.kills.items()):
        print(f"{count:6} {kind}: {name}")
    print(f"{report.total:6} kills, {len(report.problems)} problems", *report.problems, sep="\n       ")
    return 1 if report.problems else 0


if __name__ == "__main__":
    os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    raise SystemExit(run(sys.argv[1:]))
