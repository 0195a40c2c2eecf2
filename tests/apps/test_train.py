"""Mistakes in `seq2seq train`: one line that names file and line, exit code 2, nothing half-written."""

import shutil
from pathlib import Path

import pytest

from seq2seq.apps.command import main
from seq2seq.assembly.decoding_defaults import read_decoding
from seq2seq.assembly.generator import load
from seq2seq.training.tracking import read_log
from tests.tiny_run import write_copy_task


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line on standard error of a training that must not start."""
    assert main(["train", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("seq2seq train: error: ")
    assert printed.err.count("\n") == 1, printed.err
    return printed.err


def assert_nothing_begun(run: Path) -> None:
    assert not run.exists() or [path.name for path in run.iterdir()] == ["config.yaml"]


def test_an_unknown_option_in_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_copy_task(tmp_path, training={"max_step": 7})
    assert "line 31: `training` has no option `max_step`. Did you mean `training.max_steps`?" in error_of(
        [config], capsys
    )
    assert not (tmp_path / "run").exists()


def test_a_file_that_is_not_yaml(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.yaml").write_text("run_directory: x\ntraining: [\n")
    assert "line 3" in error_of([str(tmp_path / "bad.yaml")], capsys)


def test_a_missing_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nowhere.yaml" in error_of([str(tmp_path / "nowhere.yaml")], capsys)


def test_a_missing_corpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_copy_task(tmp_path)
    (tmp_path / "train.tsv").unlink()
    assert f"{tmp_path / 'train.tsv'}: there is no such file" in error_of([config], capsys)
    assert_nothing_begun(tmp_path / "run")


@pytest.mark.parametrize("streaming", ["false", "true"])
def test_a_line_that_is_not_utf8(tmp_path: Path, streaming: str, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_copy_task(tmp_path)
    lines = (tmp_path / "train.tsv").read_bytes().split(b"\n")
    lines[6] = b"caf\xe9\tcafe"
    (tmp_path / "train.tsv").write_bytes(b"\n".join(lines))
    error = error_of([config, "--data.train.streaming", streaming], capsys)
    assert f"{tmp_path / 'train.tsv'}:7: not valid UTF-8 (byte 4 of the line, 0xe9)" in error
    assert_nothing_begun(tmp_path / "run")


def test_files_with_unequal_numbers_of_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_copy_task(tmp_path, data={"train": {"source": str(tmp_path / "a"), "target": str(tmp_path / "b")}})
    (tmp_path / "a").write_text("x\n" * 7)
    (tmp_path / "b").write_text("y\n" * 5)
    error = error_of([config, "--data.train.path", "null"], capsys)
    assert f"{tmp_path / 'a'} has 7 lines, but {tmp_path / 'b'} has 5" in error
    assert_nothing_begun(tmp_path / "run")


def test_a_row_without_a_target(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_copy_task(tmp_path)
    with (tmp_path / "validation.tsv").open("a") as file:
        file.write("alone\n")
    error = error_of([config], capsys)
    assert f"{tmp_path / 'validation.tsv'}:20: column 1" in error
    assert_nothing_begun(tmp_path / "run")


def test_no_pair_that_is_short_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_copy_task(tmp_path, data={"max_source_tokens": 2})
    assert main(["train", config]) == 2
    assert "error: No training pair is left: " in capsys.readouterr().err
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_heads_that_do_not_divide_the_width(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", write_copy_task(tmp_path, model={"num_heads": 5})]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "num_heads" in error
    assert "d_model" in error


def test_long_sources_are_cut_in_training_and_validation(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Beyond learned positions too, and validation does not name each of them each time."""
    config = write_copy_task(
        tmp_path,
        data={"long_sources": "cut", "max_target_tokens": 6, "batch_tokens": 512},
        model={"positions": "learned", "max_positions": 6},
        training={"max_steps": 2, "checkpoint_every": 1},
        validation={"every": 1},
        decoding={"beam": {"max_length": 6}},
    )
    for name in ("train", "validation"):
        with (tmp_path / f"{name}.tsv").open("a") as file:
            file.write("abcdefghabcdefgh\tab\n" * 3)
    assert main(["train", config]) == 0
    [data] = [entry for entry in read_log(tmp_path / "run" / "log.jsonl") if entry["kind"] == "data"]
    assert (data["cut_source"], data["kept"], data["validation_cut_source"]) == (3, data["rows"], 3)
    assert "the rest of the line is not decoded" not in caplog.text
    generator = load(tmp_path / "run")
    assert generator.max_source_tokens == 6, "decoding cuts as training does"
    assert read_decoding(tmp_path / "run" / "model", "l2r").max_source_tokens == 6
    whole, cut = (generator(text)[0].token_log_probs for text in ("abcdefghabcdefgh", "abcde"))
    assert whole == cut


def test_a_run_that_was_moved_is_not_begun_anew_where_it_was(
    copy_task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(copy_task / "run", moved)
    said = error_of([str(moved / "config.yaml")], capsys)
    assert f"says `run_directory: {copy_task / 'run'}`. To go on with the run in {moved}, add" in said
    assert main(["train", str(moved / "config.yaml"), "--run_directory", str(moved)]) == 0
