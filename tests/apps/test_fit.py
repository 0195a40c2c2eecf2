"""`seq2seq fit` on a copy task: what it says, what it leaves, and that it goes on."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from seq2seq import own_pieces
from seq2seq.apps import fit
from seq2seq.apps.command import main
from seq2seq.assembly.configuration import read_run_config
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.fitting import probe
from tests.tiny_run import distinct_texts

SET = [
    *("--set", "model.d_model=32", "model.encoder_layers=1", "model.decoder_layers=1", "model.ffn_size=64"),
    *("model.num_heads=2", "training.max_steps=24", "data.batch_tokens=512"),
]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "SECONDS", 0.01)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{text}\t{text}\n" for text in distinct_texts()))
    return path


def weights(run: Path) -> bytes:
    [path] = (run / "model").glob("*.safetensors")
    return path.read_bytes()


def test_from_a_table_to_a_report(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    command = ["fit", str(table), "--output", str(run), *SET]
    assert main(command) == 0
    said = capsys.readouterr().out
    for words in (
        f"{table}: 472 pairs",
        "Task      correction",
        "378 pairs to learn from, 47 to choose the best moment of the training by, 47 to test with",
        "pairs are too few for a model that begins with nothing",
        f"seq2seq serve {run}",
    ):
        assert words in said
    plan = json.loads((run / "fit.json").read_text())
    assert plan["parts"] == {"train": 378, "validation": 47, "test": 47}
    assert plan["estimate"]["steps"] == read_run_config(run / "config.yaml").training.max_steps == 24
    assert plan["speed"]["muon_seconds"] > 0, "it is timed, whether a row will want it or not"
    assert not (run / "probe").exists()
    report = json.loads((run / "report" / "report.json").read_text())
    assert report["verdict"]
    assert all(line in " ".join(said.split()) for line in report["verdict"])

    before = weights(run)
    assert main(command) == 0
    assert "Going on with" in capsys.readouterr().out
    assert weights(run) == before
    again = tmp_path / "again"
    assert main(["train", str(run / "config.yaml"), "--run_directory", str(again)]) == 0
    assert weights(again) == before, "the configuration is the whole training"


def test_a_taught_run_is_repeated_by_the_configuration_of_all_its_trainings(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, again = tmp_path / "run", tmp_path / "again"
    teaching = ["teaching.model=self", "teaching.right_model=self", "teaching.steps=9"]
    command = ["fit", str(table), "--output", str(run), *SET, *teaching]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "of teaching after it" in " ".join(said.split())
    assert f"seq2seq train {run / 'fit.yaml'}" in said
    before = weights(run)
    assert main(command) == 0
    assert weights(run) == before
    assert main(["train", str(run / "fit.yaml"), "--run_directory", str(again)]) == 0
    assert weights(again) == before


def test_a_plan_trains_nothing_and_is_gone_on_with(table: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = ["fit", str(table), "--output", str(run), *SET]
    assert main([*command, "--plan"]) == 0
    assert (run / "fit.json").is_file()
    assert not (run / "model").exists()
    assert main(command) == 0
    assert (run / "model").is_dir()


OWN = """
from dataclasses import dataclass
import numpy
from seq2seq.metrics import Score
from seq2seq.objectives.base import LossSum
from seq2seq.objectives.cross_entropy import CrossEntropy

@dataclass(frozen=True)
class Objective:
    weight: float = 1.0
    def __call__(self, model, batch, step) -> LossSum:
        return CrossEntropy()(model, batch, step)

class Metric:
    name = "own"
    higher_is_better = True
    def statistics(self, hypotheses, references):
        return numpy.ones((len(hypotheses), 1))
    def score(self, statistics):
        return Score(self.name, float(statistics[0]), signature="own")
"""


def test_pieces_of_ones_own_are_named_by_set_for_the_plan_and_for_what_goes_on(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "pieces_for_fit.py").write_text(OWN)
    own = ["objective=pieces_for_fit:Objective", "validation.metrics=[exact_match, pieces_for_fit:Metric]"]
    command = ["fit", str(table), "--output", "run", *SET, *own, "validation.select_by=pieces_for_fit:Metric"]
    try:
        assert main([*command, "--plan"]) == 0
        own_pieces.forget()  # as another process
        assert main(command) == 0
    finally:
        own_pieces.forget()
        sys.modules.pop("pieces_for_fit", None)
    assert '"pieces_for_fit:Metric": 47' in (tmp_path / "run" / "log.jsonl").read_text()


@pytest.mark.parametrize("change", [["--minutes", "20"], ["--seed", "2"], ["--from", "elsewhere"]])
def test_another_wish_needs_another_folder(
    change: list[str], table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    command = ["fit", str(table), "--output", str(run), *SET, "--plan"]
    assert main(command) == 0
    capsys.readouterr()
    assert main([*command, *change]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "give another `--output`" in line


def test_pairs_that_have_changed_need_another_folder(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["fit", str(table), "--output", str(tmp_path / "run"), *SET, "--plan"]
    assert main(command) == 0
    with table.open("a") as file:
        file.write("more\tmore\n")
    assert main(command) == 2
    assert "they have changed since" in capsys.readouterr().err


def test_the_same_pairs_are_known_on_another_machine(table: Path, tmp_path: Path) -> None:
    """A copy has another time and place, and pairs that are gone were read."""
    output = ["--output", str(tmp_path / "run"), *SET, "--plan"]
    assert main(["fit", str(table), *output]) == 0
    os.utime(table, (1, 1))
    assert main(["fit", str(table), *output]) == 0
    copy = table.rename(tmp_path / "copy.tsv")
    assert main(["fit", str(copy), *output]) == 0
    assert main(["fit", str(table), *output]) == 0
    table.write_text(copy.read_text().upper())
    assert main(["fit", str(table), *output]) == 2


def test_a_run_that_was_moved_goes_on_where_it_lies(table: Path, tmp_path: Path) -> None:
    run, moved = tmp_path / "run", tmp_path / "moved"
    assert main(["fit", str(table), "--output", str(run), *SET, "--plan"]) == 0
    run.rename(moved)
    assert main(["fit", str(table), "--output", str(moved), *SET]) == 0
    assert not run.exists()
    facts = json.loads((moved / "report" / "report.json").read_text())["data"]
    assert (facts["num_training"], facts["note"]) == (378, None)


def test_prepare_and_train_leave_a_plan_alone(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They would train on the pairs that the plan tests with."""
    run = tmp_path / "run"
    assert main(["fit", str(table), "--output", str(run), *SET, "--plan"]) == 0
    before = (run / "config.yaml").read_bytes()
    for verb in ("prepare", "train"):
        capsys.readouterr()
        assert main([verb, str(table), "--run_directory", str(run)]) == 2
        assert "holds the plan of a `seq2seq fit`" in capsys.readouterr().err
    assert (run / "config.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("optimizer.warmup_steps=500", "`warmup_steps` (500) must be below `max_steps` (24)"),
        ("companions.model=self", "`companions"),
        ("training.max_minutes=5", "give the time by `--minutes`"),
        ("training.max_epochs=5", "say how long by `--minutes`, or by `training.max_steps`"),
    ],
)
def test_what_a_training_would_refuse_makes_no_plan(
    option: str, message: str, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(["fit", str(table), "--output", str(run), *SET, option, "--plan"]) == 2
    assert message in capsys.readouterr().err
    assert not (run / "fit.json").exists()


def test_parts_of_ones_own_that_are_one_another_are_said(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held_out = tmp_path / "dev.tsv"
    held_out.write_text("".join(f"a sentence of its own, {n}\tsomething, {n}\n" for n in range(40)))
    given = ["--validation", str(held_out), "--test", str(held_out)]
    assert main(["fit", str(table), *given, "--output", str(tmp_path / "run"), *SET, "--plan"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "40 of 40 (100 %) sources of the test pairs are in the validation pairs as well" in said


def test_a_run_of_train_is_left_alone(copy_task: Path, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", str(table), "--output", str(copy_task / "run")]) == 2
    assert "holds a run that `seq2seq train` has begun" in capsys.readouterr().err


def num_tokens(run: Path, text: str) -> int:
    """Return how many tokens a run's tokenizer makes of a source, without its end."""
    return len(TextTokenizer.load(run / "tokenizer").encode_sources([text])[0]) - 1


def test_a_plan_that_failed_leaves_no_tokenizer_to_another(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    command = ["fit", str(table), "--output", str(run), *SET]
    pieces, characters = (["--set", f"tokenizer.kind={kind}"] for kind in ("bpe", "characters"))
    assert main([*command, *pieces, "--minutes", "0.01"]) == 2
    assert (run / "tokenizer").is_dir()

    with monkeypatch.context() as patch:  # as if it was killed in front of its last file
        patch.setattr(fit, "write_plan", lambda *_: (_ for _ in ()).throw(ValueError("killed")))
        assert main([*command, *pieces, "--plan"]) == 2
    assert (run / "config.yaml").is_file()

    assert main([*command, *characters, "--plan"]) == 0
    assert read_run_config(run / "config.yaml").tokenizer.kind == "characters"
    assert num_tokens(run, "abcdef") == 6
    made = (run / "tokenizer").stat().st_ino
    assert main([*command, *characters, "--plan"]) == 0
    assert (run / "tokenizer").stat().st_ino == made, "a plan that is whole loses nothing"


def test_a_plan_that_is_made_meanwhile_is_gone_on_with(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    command = ["fit", str(table), "--output", str(run), *SET, "--plan"]
    reading = fit.given_corpus

    def slowly(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(fit, "given_corpus", reading)
        assert main(command) == 0
        return reading(*arguments, **options)

    monkeypatch.setattr(fit, "given_corpus", slowly)
    assert main(command) == 0
    assert capsys.readouterr().out.count("Going on with") == 1


@pytest.mark.parametrize(
    ("name", "is_unfinished", "message"),
    [
        ("config.yaml", False, "holds a run that `seq2seq train` has begun"),
        ("tokenizer/own.json", False, "has a `tokenizer` already"),
        ("data/test.jsonl", False, "has a `data/test.jsonl` already"),
        # A plan could not be made there, and then `train` was told to go there.
        *((name, True, "has begun") for name in ("log.jsonl", "checkpoints/step-3/x", "model/config.json")),
        *((name, False, "has begun") for name in ("log.jsonl", "checkpoints/step-3/x", "model/config.json")),
    ],
)
def test_nothing_of_something_else_is_lost(
    name: str, is_unfinished: bool, message: str, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run" / name
    path.parent.mkdir(parents=True)
    path.write_text("kept")
    if is_unfinished:
        (tmp_path / "run" / "fit.unfinished").touch()
    assert main(["fit", str(table), "--output", str(tmp_path / "run"), *SET, "--plan"]) == 2
    assert message in capsys.readouterr().err
    assert path.read_text() == "kept"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("one column\nalone\nhere\n" * 20, "column"),
        ("a\tb\n", "There is 1 pair, too few"),
        (None, "there is no such file|no such file"),
    ],
)
def test_what_is_no_corpus_is_one_line(
    text: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.tsv"
    if text is not None:
        path.write_text(text)
    assert main(["fit", str(path), "--output", str(tmp_path / "run")]) == 2
    captured = capsys.readouterr()
    [line] = captured.err.splitlines()
    assert line.startswith("seq2seq fit: error: ")
    assert any(part in line for part in message.split("|"))
    assert not (tmp_path / "run" / "fit.json").exists()
    if text != "a\tb\n":  # read as a corpus, and found too small only when it is cut
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--minutes", "0"], "must be more than 0"),
        (["--seed", "-1"], "`--seed` must be 0 or more"),
        (["--minutes", "0.01"], "minutes are too few"),
        (["--set", "model.d_model"], "expected OPTION=VALUE"),
        (["--set", "model.width=3"], "`model` has no option `width`"),
        (["--test", "a", "b", "c"], "names 3 files"),
        (["--set", "run_directory=x"], "give the folder by `--output`"),
        (["--set", "data.train.path=x.tsv"], "name its files behind `fit`"),
        (["--set", "data.train={path: x.tsv}"], "name its files behind `fit`"),
        (["--set", "data={}"], "name its files behind `fit`"),
        (["--set", "data.validation.path=x.tsv"], "name its files by `--validation`"),
        (["--set", "data.validation.source=x", "data.validation.target=y"], "name its files by `--validation`"),
        (["--set", "training.initialize_from=x"], "name the model by `--from`"),
    ],
)
def test_options_that_make_no_sense(
    more: list[str], message: str, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", str(table), "--output", str(tmp_path / "run"), *more]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
