"""Pieces of one's own: found where the user names them, and never because a folder does."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seq2seq import own_pieces
from seq2seq.assembly.configuration import PARSER, RunConfig, load_run_config, read_run_config
from seq2seq.config.declaring import UnreadPiece
from seq2seq.config.nodes import parse_yaml
from seq2seq.config.writing import to_yaml
from seq2seq.metrics import known_metric, make_metric
from seq2seq.metrics.cost import make_cost

HEAD = """
from dataclasses import dataclass
from typing import Literal
import numpy
from seq2seq.data.batch import Batch
from seq2seq.objectives.base import LossSum
from seq2seq.metrics import Score
"""
GOOD = """
@dataclass(frozen=True)
class Mine:
    weight: float = 1.5
    '''How much.'''
    kind: Literal["a", "b"] = "a"
    def __post_init__(self):
        if self.weight < 0:
            raise ValueError(f"`weight` must be 0 or more, but is {self.weight}.")
    def __call__(self, model, batch, step) -> LossSum:
        return LossSum.zero()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Be in a folder that commands would find modules in; forget them afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    own_pieces.forget()
    own_pieces.look_in(tmp_path)
    yield tmp_path
    own_pieces.forget()
    for name in [name for name in sys.modules if name.split(".")[0] in ("mine", "package")]:
        del sys.modules[name]


def written(folder: Path, text: str) -> None:
    (folder / "mine.py").write_text(HEAD + text)


def configured(*words: str) -> RunConfig:
    return load_run_config(["--run_directory", "x", *words])


def test_options_are_those_of_any_component(folder: Path) -> None:
    written(folder, GOOD)
    config = configured("--objective", "mine:Mine", "--objective.mine:Mine.weight", "2")
    assert (config.objective.weight, config.objective.kind) == (2.0, "a")
    assert configured("--objective", "{mine:Mine: {kind: b}}").objective.kind == "b"
    for words, error in {
        "--objective.mine:Mine.wieght=3": "Did you mean `objective.mine:Mine.weight`",
        "--objective.mine:Mine.weight=x": "`objective.mine:Mine.weight` must be a finite number",
        "--objective.mine:Mine.weight=-1": "`weight` must be 0 or more",
        "--objective.mine:Mine.kind=c": "one of a, b",
    }.items():
        with pytest.raises(ValueError, match=error):
            configured(words)


def test_what_is_written_reads_back(folder: Path) -> None:
    (folder / "package").mkdir()
    (folder / "package" / "__init__.py").touch()
    (folder / "package" / "part.py").write_text(HEAD + GOOD)
    config = configured("--objective.package.part:Mine.weight", "3", "--validation.metrics", "[package.part:M]")
    assert config.objective.weight == 3
    (folder / "config.yaml").write_text(to_yaml(config))
    assert "package.part:Mine:" in to_yaml(config)
    assert read_run_config(folder / "config.yaml") == config
    own_pieces.forget()
    own_pieces.look_in(folder)
    assert load_run_config(["config.yaml"]).objective == config.objective, "named in a file that the user gives"


def test_help_has_the_options_of_what_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(folder, GOOD)
    with pytest.raises(SystemExit):
        load_run_config(["--objective", "mine:Mine", "--help"])
    printed = capsys.readouterr().out
    assert "--objective.mine:Mine.weight FLOAT\n      How much. (default: 1.5)" in printed
    own_pieces.forget()
    with pytest.raises(SystemExit):
        load_run_config(["--help"])
    assert "mine:Mine" not in capsys.readouterr().out


def test_a_folder_has_nothing_imported(folder: Path) -> None:
    written(folder, "raise SystemExit('code of a folder has run')")
    text = "run_directory: x\nobjective:\n  mine:Mine:\n    weight: '2'\ngradient: mine:Other\n"
    (folder / "config.yaml").write_text(text)
    config = read_run_config(folder / "config.yaml")
    assert config.objective == UnreadPiece("mine:Mine", {"weight": "2"})
    assert PARSER.parse(parse_yaml(to_yaml(config), "x")) == config, "it is written back as it was"
    assert known_metric("mine:Metric") is None
    for find in (make_metric, make_cost):
        with pytest.raises(ValueError, match="imported only where you name it yourself"):
            find("mine:Metric")
    assert "mine" not in sys.modules


@pytest.mark.parametrize(
    ("text", "name", "error"),
    [
        (None, "mine:Mine", r"there is no module `mine` in .* or among what is installed"),
        (None, "package.mine:Mine", "there is no module `package`"),
        ("import nowhere_at_all", "mine:Mine", r"mine.py, line 8: ModuleNotFoundError: No module named 'nowhere"),
        ("\n1 / 0", "mine:Mine", r"mine.py, line 9: ZeroDivisionError: division by zero"),
        ("def f(:", "mine:Mine", r"mine.py, line 8: SyntaxError"),
        (GOOD, "mine:Mien", r"there is no `Mien` in .*mine.py. Did you mean `mine:Mine`\?"),
        (GOOD, "mine:numpy", "it is an object of the type `module`. An objective is a frozen dataclass"),
        ("def f(model, batch, step): pass", "mine:f", "it is a function"),
        ("class Mine: pass", "mine:Mine", "it has no `__call__`"),
        (GOOD.replace(", step)", ")"), "mine:Mine", r"is not called with \(model, batch, step\)"),
        (GOOD.replace("-> LossSum", ""), "mine:Mine", "does not say what it returns; write `-> LossSum`"),
        (GOOD.replace("-> LossSum", "-> Batch"), "mine:Mine", "it returns `Batch` and not `LossSum`"),
        (GOOD.replace("(frozen=True)", ""), "mine:Mine", "it is no frozen dataclass"),
        (GOOD.replace("float = 1.5", "float"), "mine:Mine", "without a default|give each field a default|non-default"),
        (GOOD.replace("float = 1.5", "dict = None"), "mine:Mine", "its field `weight` is of a type"),
        (GOOD.replace("float = 1.5", "Nothing = 1.5"), "mine:Mine", "name 'Nothing' is not defined|NameError"),
        (GOOD.replace("float = 1.5", "float = -1.5"), "mine:Mine", "`weight` must be 0 or more"),
        (GOOD, "mine.:Mine", "one of your own is `package.module:Name`"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(folder: Path, text: str | None, name: str, error: str) -> None:
    if text is not None:
        written(folder, text)
    with pytest.raises(ValueError, match=error) as raised:
        configured("--objective", name)
    assert "--objective" in str(raised.value)


def test_pieces_of_the_wrong_axis(folder: Path) -> None:
    written(folder, GOOD)
    with pytest.raises(ValueError, match="cannot be a decoder input: it returns `LossSum` and not `Batch`"):
        configured("--decoder_inputs", "mine:Mine")
    with pytest.raises(ValueError, match=r"cannot be a gradient rule: it is not called with \(objective, model"):
        configured("--gradient", "mine:Mine")
    with pytest.raises(ValueError, match="`decoding` is one of"):
        configured("--decoding", "mine:Mine")


METRIC = """
class Metric:
    name, higher_is_better = "mine", False
    def __init__(self, lowercase=False):
        self.lowercase = lowercase
    def statistics(self, hypotheses, references):
        return numpy.array([[1, len(text)] for text in hypotheses])
    def score(self, summed):
        return Score("mine", 100 * summed[1] / summed[0], "mine")
def words(hypotheses, references):
    return [len(text.split()) for text in hypotheses]
"""


def test_metrics_and_costs(folder: Path) -> None:
    written(folder, METRIC)
    own_pieces.said_by_user(["mine:Metric", "mine:words"])
    metric = make_metric("mine:Metric", lowercase=True)
    assert metric.score(metric.statistics(["a", "bcd"], [["a"], ["b"]]).sum(0)).value == 200
    with pytest.raises(ValueError, match="has no option 'stemmer'; it has lowercase"):
        make_metric("mine:Metric", stemmer=True)
    for pooled in (False, True):
        assert make_cost("mine:Metric", pooled).per_segment(["abc"], ["a"]).tolist() == [3.0]
        cost = make_cost("mine:words", pooled)
        assert cost.per_segment(["a b", "c"], ["x", "y"]).tolist() == [2.0, 1.0]
        assert cost.value(cost.statistics(["a b", "c"], ["x", "y"]).sum(0)) == 1.5


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (METRIC.replace("lowercase=False", "lowercase"), "it cannot be made without arguments"),
        (METRIC.replace("name, higher_is_better", "name, higher"), "has no `higher_is_better`"),
        (METRIC.replace("[[1, len(text)] for", "[len(text) for"), r"statistics of the shape \(2,\) for 2 segments"),
        (METRIC.replace('return Score("mine", 100 * summed[1] / summed[0], "mine")', "return 3"), "gives a int"),
        (METRIC.replace("[1, len(text)]", "[1, len(txt)]"), r"mine.py, line 14: NameError"),
        ("Metric = 3", "is an object of the type `int`"),
    ],
)
def test_what_is_no_metric(folder: Path, text: str, error: str) -> None:
    written(folder, text)
    own_pieces.said_by_user(["mine:Metric"])
    with pytest.raises(ValueError, match=error):
        make_metric("mine:Metric")


def test_a_function_that_is_no_cost(folder: Path) -> None:
    written(folder, "def words(hypotheses, references):\n    return [0.0]\ndef one(hypotheses):\n    return []\n")
    own_pieces.said_by_user(["mine:words", "mine:one"])
    with pytest.raises(ValueError, match="must give a finite cost for each of 2 segments"):
        make_cost("mine:words")
    with pytest.raises(ValueError, match=r"not called with \(hypotheses, references\)"):
        make_cost("mine:one")


def test_installed_modules_come_before_those_of_the_folder(folder: Path) -> None:
    (folder / "fractions.py").write_text("raise SystemExit('a file in the folder has run')")
    own_pieces.said_by_user(["fractions:Nothing"])
    sys.modules.pop("fractions", None)
    with pytest.raises(ValueError, match="there is no `Nothing`"):
        make_metric("fractions:Nothing")
