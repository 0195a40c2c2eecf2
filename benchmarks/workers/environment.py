"""The interpreters of workers: ours, or that of a virtual environment for a toolkit that should not share ours.

An environment is made on first use below `benchmarks/.environments`, under its name only once it is whole. A folder or
a link of that name which is there already is taken as it is.
"""

import subprocess
import sys
import tempfile
import venv
from importlib.metadata import version
from pathlib import Path

from workers.protocol import BENCHMARKS

ENVIRONMENTS = BENCHMARKS / ".environments"
REQUIREMENTS = {"eole": "eole==0.6.4"}
"""Toolkits with an environment of their own."""


def interpreter(toolkit: str) -> Path:
    """Return the Python that runs a toolkit's worker; make its environment where it has none yet."""
    if toolkit not in REQUIREMENTS:
        return Path(sys.executable)
    folder = ENVIRONMENTS / toolkit
    if not folder.exists():
        make(folder, requirements(toolkit))
    return python_of(folder)


def requirements(toolkit: str) -> list[str]:
    """Return what to install one by one: torch as ours, before anything could choose another, and the toolkit."""
    return [f"torch=={version('torch').split('+')[0]}", REQUIREMENTS[toolkit]]


def make(folder: Path, requirements: list[str]) -> None:
    """Make an environment; exit with what to do by hand where that fails."""
    print(f"Installing {' and '.join(requirements)} into {folder} …", file=sys.stderr)
    folder.parent.mkdir(exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            unfinished = Path(temporary) / folder.name
            venv.create(unfinished, symlinks=True, with_pip=True)
            for requirement in requirements:
                command = [str(python_of(unfinished)), "-m", "pip", "install", "--quiet", requirement]
                subprocess.run(command, check=True, stdout=sys.stderr)
            unfinished.rename(folder)
    except (OSError, subprocess.CalledProcessError) as error:
        by_hand = [f"{sys.executable} -m venv {folder}"]
        by_hand += [f"{python_of(folder)} -m pip install {requirement}" for requirement in requirements]
        advice = "\n  ".join(["Make the environment by hand and run this again:", *by_hand])
        raise SystemExit(f"{error}\n{advice}") from error


def python_of(folder: Path) -> Path:
    return folder / "bin" / "python"
