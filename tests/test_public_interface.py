"""What `import seq2seq` offers: every name is there and described, and the examples of pages and docstrings run."""

import contextlib
import doctest
import inspect
import io
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import seq2seq
from seq2seq.assembly import python_configuration, training_in_python
from seq2seq.config.nodes import Node, tree_of
from tests.tiny_run import OPTIONS, copy_task, private_cache, without_curves

__all__ = ["copy_task", "private_cache", "without_curves"]

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("docs/python.md", "docs/pipelines.md")
FUNCTIONS = ("load", "pipeline", "score", "train")


def small_values(said: Sequence[str]) -> Node:
    """Return what trains in a moment, in place of the configuration for one's own pairs."""
    return tree_of(OPTIONS | {"training": OPTIONS["training"] | {"max_steps": 2}}, "small")


@pytest.fixture
def beside_a_run(copy_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a folder with a trained run in `runs/mine`, where no training takes long."""
    shutil.copytree(copy_task / "run", tmp_path / "runs" / "mine")
    decoding = tmp_path / "runs" / "mine" / "model" / "decoding.json"
    decoding.write_text(decoding.read_text().replace('"beam_width": 3', '"beam_width": 5'))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(python_configuration, "shipped_values", small_values)
    return tmp_path


def test_every_name_is_there_and_described() -> None:
    assert sorted(seq2seq.__all__) == seq2seq.__all__
    assert {*seq2seq.__all__} <= {*dir(seq2seq)}
    for name in seq2seq.__all__:
        found = getattr(seq2seq, name)
        assert inspect.getdoc(found), name
        members = inspect.getmembers(found) if inspect.isclass(found) else []
        own = [(member, value) for member, value in members if member in vars(found) and not member.startswith("_")]
        functions = [
            (member, value) for member, value in own if inspect.isfunction(value) or isinstance(value, property)
        ]
        if found.__module__ != "seq2seq.models.transformer.modeling":  # whose methods transformers describes
            assert [member for member, value in functions if not inspect.getdoc(value)] == [], name
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        seq2seq.trian  # noqa: B018


def test_importing_takes_neither_torch_nor_transformers() -> None:
    code = "import sys, seq2seq; print([name for name in ('torch', 'transformers', 'datasets') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_examples_of_docstrings_run(name: str, beside_a_run: Path) -> None:
    examples = doctest.DocTestParser().get_examples(inspect.getdoc(getattr(seq2seq, name)) or "")
    assert examples
    values: dict[str, Any] = {}
    for example in examples:
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(compile(example.source, name, "single"), values)
        if example.want:
            assert output.getvalue() == example.want


@pytest.mark.parametrize("name", DOCUMENTS)
def test_blocks_of_documents_run(name: str, beside_a_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    assert blocks
    train = training_in_python.train

    def elsewhere(*arguments: Any, **options: Any) -> Any:
        return train(*arguments, **(options | {"run_directory": "runs/of_the_readme"}))

    monkeypatch.setattr(training_in_python, "train", elsewhere)
    for block in blocks:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(block, name, "exec"), {"pairs": [("ab", "ba"), ("abc", "cba")] * 3})
