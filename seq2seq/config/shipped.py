"""The configurations that come with the package: where they are, what each is for, and one of them for one's own data.

They are the files of `configs/`, which stand beside the package in a tree and in it once it is installed. A name and
where the data are enter; the text of a configuration leaves, comments included.
"""

import difflib
import json
import re
from collections.abc import Sequence
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
OWN_PAIRS = "tsv"
"""The one for pairs of any kind, whose values also count where no configuration is named."""
TUNING = "finetune"
"""The one whose values count there if a trained model is to begin with."""
TASKS = {
    "translation": OWN_PAIRS,
    "spelling": "spelling",
    "phonemes": "phonemes",
    "titles": "titles",
    "finetune": TUNING,
}
"""The configurations to begin with by what they are for."""
HELD_OUT_FOLDS = 20
"""Where no pairs are named to validate on, one of so many is held out."""
_PLAIN = re.compile(r"[\w./-]*[./][\w./-]*", re.ASCII)
"""Paths that YAML takes for texts as they are."""


def shipped() -> dict[str, Path]:
    """Return the files by their names: tasks first, then all others."""
    folders = (PACKAGE / "configs", PACKAGE.parent / "configs")
    folder = next((folder for folder in folders if folder.is_dir()), folders[0])
    files = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    return {task: folder / f"{name}.yaml" for task, name in TASKS.items()} | files


def shipped_file(name: str) -> Path:
    """Return the file of a name.

    Raises:
        ValueError: there is none; says the nearest.
    """
    files = shipped()
    if name not in files:
        near = difflib.get_close_matches(name, files, n=1)
        hint = f" Did you mean `{near[0]}`?" if near else ""
        raise ValueError(f"There is no configuration {name!r} in the package.{hint} They are {', '.join(files)}.")
    return files[name]


def summary(path: Path) -> str:
    """Return what a configuration is for: the first sentence of its comment."""
    comment = re.match(r"(?:#.*\n)+", path.read_text(encoding="utf-8"))
    text = " ".join(comment[0].replace("#", " ").split()) if comment else ""
    return re.split(r"[.:](?= |$)", text, maxsplit=1)[0]


def adapted(path: Path, run_directory: str | None, train: Sequence[str] = (), validation: Sequence[str] = ()) -> str:
    """Return the text of a configuration for a run of its own.

    Args:
        path: the configuration, in which each of these stands on a line of its own.
        run_directory: None leaves the one that is there.
        train: a table of pairs, or the files of both sides; without any, both corpora stay as they are.
        validation: in the same way; without any, every twentieth training pair is held out.
    """
    text = path.read_text(encoding="utf-8")
    if run_directory is not None:
        text = _with_line(text, "run_directory:", f" {_quoted(run_directory)}")
    if train:
        text = _with_line(text, "  train:", f" {_corpus(train)}")
    if train and validation:
        text = _with_line(text, "  validation:", f" {_corpus(validation)}")
    elif train:
        text = _with_line(text, "  validation:", f" # none, so that pairs are held out\n  num_folds: {HELD_OUT_FOLDS}")
    return text


def _with_line(text: str, name: str, value: str) -> str:
    """Return a text with another value behind a name that begins one line."""
    before, after = re.split(rf"^{name}.*$", text, flags=re.MULTILINE)
    return f"{before}{name}{value}{after}"


def _corpus(files: Sequence[str]) -> str:
    """Return the section of a corpus in YAML."""
    names = ("path",) if len(files) == 1 else ("source", "target")
    return f"{{{', '.join(f'{name}: {_quoted(file)}' for name, file in zip(names, files, strict=True))}}}"


def _quoted(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
