"""A tuned copy is a run of its own, made once; the run that it is from stays as it is."""

import json
from hashlib import file_digest
from pathlib import Path

import pytest

from seq2seq.apps.command import main
from seq2seq.build import tuning as build_tuning
from seq2seq.build.process import OneProcess
from seq2seq.build.tuning import Tuning, tune
from seq2seq.config.loading import load_run_config
from seq2seq.training.tracking import read_log
from tests.tiny_run import NUM_TEST


def checksums(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            found[str(path)] = file_digest(file, "sha256").hexdigest()
    return found


def options(copy_task: Path, output: Path) -> list[str]:
    test = str(copy_task / "test.txt")
    files = ["--tune-source", test, "--tune-reference", test, "--tune-output", str(output)]
    return ["--model", str(copy_task / "run"), "--input", test, "--tune-metric", "chrf", "--tune-steps", "3", *files]


def test_decode_tunes_a_copy_once_and_decodes_with_it(
    copy_task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, output = checksums(copy_task / "run"), tmp_path / "tuned"
    command = ["decode", *options(copy_task, output)]
    assert main(command) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == NUM_TEST, "nothing but what is decoded"
    found = json.loads((output / "tuning.json").read_text())
    shown = (
        f"greedy chrf on {copy_task / 'test.txt'} {found['before']:.2f} before and {found['after']:.2f} after 3 steps"
    )
    assert shown in printed.err
    assert found["after"] > 60
    assert checksums(copy_task / "run") == before

    log = read_log(output / "log.jsonl")
    train = [entry for entry in log if entry["kind"] == "train"]
    assert [entry["step"] for entry in train] == [1, 2, 3]
    assert all(0 <= entry["cost_min"] <= entry["cost_mean"] <= entry["cost_max"] <= 1 for entry in train)
    weights = [next((folder / "model").glob("*.safetensors")) for folder in (output, copy_task / "run")]
    assert weights[0].read_bytes() != weights[1].read_bytes()

    monkeypatch.setattr(build_tuning, "train", lambda config: pytest.fail("it was finished"))
    assert main(command) == 0
    again = capsys.readouterr()
    assert again.out == printed.out
    assert shown in again.err


def test_another_tuning_in_the_same_place_is_refused(copy_task: Path, tmp_path: Path) -> None:
    test = str(copy_task / "test.txt")
    first = Tuning(copy_task / "run", "chrf", test, test, 1, tmp_path / "tuned", 1)
    assert tune(first, OneProcess("cpu"), lambda text: None)
    other = Tuning(copy_task / "run", "character_error_rate", test, test, 1, tmp_path / "tuned", 1)
    with pytest.raises(ValueError, match="holds a run with `parameter_search.cost` = 'chrf', but now it is"):
        tune(other, OneProcess("cpu"), lambda text: None)


def test_more_steps_go_on_with_a_finished_tuning(copy_task: Path, tmp_path: Path) -> None:
    test, said = str(copy_task / "test.txt"), []
    for steps in (1, 2):
        tuning = Tuning(copy_task / "run", "chrf", test, test, steps, tmp_path / "tuned", 1)
        assert tune(tuning, OneProcess("cpu"), said.append)
    assert "after 2 steps" in said[-1]
    steps = [entry["step"] for entry in read_log(tmp_path / "tuned" / "log.jsonl") if entry["kind"] == "train"]
    assert steps == [1, 2]


def test_the_tuned_run_stands_beside_the_run_and_is_like_it(copy_task: Path) -> None:
    tuning = Tuning(copy_task / "run", "bleu", "dev.en", "dev.de")
    assert tuning.folder == copy_task / "run-tuned-bleu"
    config, original = tuning.config(), load_run_config([str(copy_task / "run" / "config.yaml")])
    assert (config.model, config.decoding) == (original.model, original.decoding)
    assert config.training.initialize_from == str(copy_task / "run")
    assert config.data.batch_tokens == original.data.batch_tokens
    assert (config.data.train.source, config.data.train.target) == ("dev.en", "dev.de")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "a", "--tune-metric", "bleu"], "Tuning needs `--tune-metric`, `--tune-source` and"),
        (["--model", "a", "--tune-source", "dev.en"], "Tuning needs `--tune-metric`, `--tune-source` and"),
        (["--model", "a", "b", "--tune-metric", "bleu", *["--tune-source", "x"], *["--tune-reference", "y"]], "single"),
        (["--model", "a", "--tune-metric", "bleu", "--tune-source", "x", "--tune-reference", "y"], "a has no config.y"),
    ],
)
def test_mistakes(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_files_that_are_not_aligned(copy_task: Path, tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("abc\n")
    test, short = str(copy_task / "test.txt"), str(tmp_path / "short.txt")
    tuning = Tuning(copy_task / "run", "chrf", test, short, 1, tmp_path / "tuned", 1)
    with pytest.raises(
        ValueError, match=r"`--tune-source` has 53 lines and `--tune-reference` 1; they must be aligned"
    ):
        tune(tuning, OneProcess("cpu"))
