"""The versions of libraries that the tests run with.

    python -m tests.versions lowest              lowest that pyproject.toml allows, for `pip install --constraint`
    python -m tests.versions row RESULT.xml      a dated row for docs/results/versions.md, from pytest's --junitxml

`make test-oldest` and `make test-newest` run both. Needs the standard library alone, since the first comes before
anything is installed.
"""

import platform
import re
import sys
import tomllib
from collections.abc import Iterator
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from xml.etree import ElementTree

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
SHOWN = (
    "torch",
    "transformers",
    "datasets",
    "accelerate",
    "tokenizers",
    "safetensors",
    "numpy",
    "pyarrow",
    "sacrebleu",
)


def requirements(pyproject: Path = PYPROJECT) -> Iterator[str]:
    """Yield what the project and its extras ask for, but not the extras that an extra names."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    for wanted in (project["dependencies"], *project.get("optional-dependencies", {}).values()):
        yield from (entry for entry in wanted if not entry.startswith(f"{project['name']}["))


def lowest(wanted: Iterator[str]) -> Iterator[str]:
    """Yield `name==version` of every requirement that has a lower bound."""
    for entry in wanted:
        name, bounds = re.fullmatch(r"([\w.-]+)(?:\[[^]]*\])?([^;]*).*", entry).groups()  # type: ignore[union-attr]
        for bound in bounds.split(","):
            if bound.strip().startswith(">="):
                yield f"{name}=={bound.strip().removeprefix('>=').strip()}"


def row(result: Path, today: date) -> str:
    """Return a row of Markdown: day, Python, versions, what became of the tests, and how long they took."""
    suites = ElementTree.parse(result).getroot().iter("testsuite")
    counted = dict.fromkeys(("tests", "skipped", "failures", "errors"), 0)
    seconds = 0.0
    for suite in suites:
        counted = {name: number + int(suite.get(name, 0)) for name, number in counted.items()}
        seconds += float(suite.get("time", 0))
    failed = counted["failures"] + counted["errors"]
    outcome = (
        f"{counted['tests'] - counted['skipped'] - failed:,} passed, {counted['skipped']} skipped, {failed} failed"
    )
    libraries = ", ".join(f"{name} {installed(name)}" for name in SHOWN)
    return f"| {today} | {platform.python_version()} | {libraries} | {outcome} | {seconds / 60:.0f} min |"


def installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def main(arguments: list[str]) -> int:
    match arguments:
        case ["lowest"]:
            print("\n".join(lowest(requirements())))
        case ["row", result]:
            print(row(Path(result), date.today()))
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
