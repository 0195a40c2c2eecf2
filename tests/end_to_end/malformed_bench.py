"""Where a malformed file is tried: a folder for each case, limits around a command, and what is wrong with its end."""

import contextlib
import faulthandler
import hashlib
import io
import os
import resource
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import datasets

from tests.end_to_end.malformed_material import Material, copied
from tests.end_to_end.random_running import Ended, command

CPU_SECONDS, WALL_SECONDS = 10, 120
MEMORY = 4 * 2**30
RIGHT = "right"


@dataclass
class Bench:
    """A folder to work in, and what the good files give."""

    material: Material
    folder: Path
    outputs: list[str] = field(default_factory=list)
    """What each of `SOURCES` becomes."""

    def new(self) -> Path:
        """Return a folder for a case, with nothing in it but a cache of corpora."""
        folder = self.folder / "case"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        use_cache(copied(self.folder / "cache", folder / "cache"))
        return folder

    @property
    def sentinel(self) -> Path:
        """A file that is there if code has run."""
        return self.folder / "SENTINEL"


def use_cache(folder: Path) -> None:
    datasets.config.HF_DATASETS_CACHE = folder
    os.environ["HF_DATASETS_CACHE"] = str(folder)


@dataclass
class Case:
    """What was done, how it ended, and what is wrong with that."""

    what: str
    ended: Ended
    problem: str = ""

    @property
    def verdict(self) -> str:
        return self.problem or RIGHT


@contextlib.contextmanager
def confined(folder: Path) -> Iterator[None]:
    """Stay in a folder, with little memory and somebody on standard input who agrees to everything."""
    before, where = resource.getrlimit(resource.RLIMIT_AS), Path.cwd()
    stdin = sys.stdin
    with Path("/proc/self/statm").open(encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, before[1]))
    os.chdir(folder)
    sys.stdin = io.TextIOWrapper(io.BytesIO(b"y\n" * 100))
    try:
        yield
    finally:
        sys.stdin = stdin
        os.chdir(where)
        resource.setrlimit(resource.RLIMIT_AS, before)


def judged(what: str, arguments: list[str], folder: Path, *, names: str = "") -> Case:
    """Run a command in a folder; return how it ended and what is wrong with that, if its error has to hold `names`."""
    begin = time.process_time()
    faulthandler.dump_traceback_later(2 * WALL_SECONDS, exit=True)  # of what waits where no signal is looked at
    with confined(folder):
        ended = command(arguments, WALL_SECONDS)
    faulthandler.cancel_dump_traceback_later()
    return Case(f"{arguments[0]}: {what}", ended, problem_of(ended, time.process_time() - begin, names))


def problem_of(ended: Ended, seconds: float, names: str = "") -> str:
    """Say what is wrong with how a command has ended after so much work; nothing, if nothing is."""
    errors = [line for line in ended.errors if ": error: " in line]
    if ended.escaped:
        return f"escaped: {ended.escaped}"
    if seconds > CPU_SECONDS:
        return f"slow: {seconds:.0f} s: {ended.errors[-1:]}"
    if ended.code not in (0, 1, 2):
        return f"code {ended.code}: {ended.errors[-1:]}"
    if ended.code != 2:
        return ""
    if len(errors) != 1 or ended.errors[-1] != errors[0]:
        return f"not one line: {ended.errors[:4]}"
    if "not enough memory" in errors[0]:
        return f"memory: {errors[0]}"
    is_named = names in errors[0] or "this model cannot be exported" in errors[0]
    return "" if is_named else f"nameless: {errors[0]}"


def contents(folder: Path) -> dict[str, str]:
    """Return what stands in a folder, links not followed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        is_file = path.is_file() and not path.is_symlink()
        found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest() if is_file else ""
    return found
