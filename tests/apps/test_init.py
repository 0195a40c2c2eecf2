"""`seq2seq init`: a configuration is written once, with the user's files in it, and what to type next is said."""

from pathlib import Path

import pytest

from seq2seq.apps.command import main
from seq2seq.assembly.configuration import load_run_config
from seq2seq.config.shipped import TASKS, shipped, summary


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder, in which the test is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.tsv").write_text("ab\tba\n" * 40)
    return tmp_path


@pytest.mark.parametrize("task", TASKS)
def test_a_file_of_pairs_is_enough(task: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", task, "--train", "pairs.tsv"]) == 0
    assert capsys.readouterr().out == (
        f"Wrote {task}.yaml. Next:\n\n  seq2seq train {task}.yaml\n"
        f"  seq2seq decode --model runs/{task} < new.txt > output.txt\n"
    )
    config = load_run_config([f"{task}.yaml"])
    assert (config.run_directory, config.data.train.path, config.data.num_folds) == (f"runs/{task}", "pairs.tsv", 20)
    comments = [line for line in (folder / f"{task}.yaml").read_text().splitlines() if line.lstrip().startswith("#")]
    assert len(comments) > 8


def test_pairs_to_validate_on_and_another_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ["--train", "pairs.tsv", "--validation", "pairs.tsv"]
    assert main(["init", "titles", *files, "--output", "news.yaml"]) == 0
    assert "seq2seq train news.yaml" in capsys.readouterr().out
    config = load_run_config(["news.yaml"])
    assert (config.run_directory, config.data.validation.path, config.data.num_folds) == ("runs/news", "pairs.tsv", 0)


def test_commands_that_are_shown_can_be_typed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "titles", "--train", "pairs.tsv", "--output", "my news.yaml"]) == 0
    shown = capsys.readouterr().out
    assert "\n  seq2seq train 'my news.yaml'\n  seq2seq decode --model 'runs/my news' < new.txt" in shown


def test_it_goes_to_standard_output_as_well(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "titles", "--train", "pairs.tsv"]) == 0
    capsys.readouterr()
    assert main(["init", "titles", "--train", "pairs.tsv", "--output", "-"]) == 0
    assert capsys.readouterr().out == (folder / "titles.yaml").read_text()
    assert not (folder / "-").exists()


def test_what_is_there_is_not_overwritten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "titles.yaml").write_text("mine")
    assert main(["init", "titles"]) == 2
    assert capsys.readouterr().err == (
        "seq2seq init: error: titles.yaml is there already and stays as it is; give another name by `--output`.\n"
    )
    assert (folder / "titles.yaml").read_text() == "mine"


def test_any_configuration_is_written_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "multi30k_en_de"]) == 0
    assert (folder / "multi30k_en_de.yaml").read_text() == shipped()["multi30k_en_de"].read_text()
    assert "seq2seq train multi30k_en_de.yaml" in capsys.readouterr().out


def test_without_files_a_task_says_where_they_go(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "spelling"]) == 0
    assert "Put your files behind `train:` and `validation:`" in capsys.readouterr().out


def test_without_a_name_all_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init"]) == 0
    printed = capsys.readouterr().out
    for name, path in shipped().items():
        assert f"  {name} " in printed
        assert summary(path) in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tranlation"], "Did you mean `translation`?"),
        (["titles", "--train", "nothing.tsv"], "nothing.tsv: there is no such file; `--train` names the pairs' file."),
        (["titles", "--train", "pairs.tsv", "--validation", "dev.tsv"], "dev.tsv: there is no such file"),
        (["titles", "--validation", "pairs.tsv"], "`--validation` goes with `--train`"),
        (["titles", "--train", "pairs.tsv", "pairs.tsv", "pairs.tsv"], "`--train` names 3 files"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(
    arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(folder.glob("*.yaml")) == []
