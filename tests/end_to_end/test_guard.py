"""Guard corpora: a copier of strings that is tuned to reverse them forgets to copy, and the run says so."""

import json
from pathlib import Path

import pytest

from seq2seq.apps.command import main
from seq2seq.assembly import validation
from seq2seq.training.tracking import read_log
from tests.end_to_end.test_pretrained import pretrained, tune
from tests.tiny_run import write_copy_task

TRAINING = {"max_steps": 60, "checkpoint_every": 20, "log_every": 20}
VALIDATION = {"every": 60, "metrics": ["exact_match", "chrf"], "select_by": "chrf"}


@pytest.fixture
def command(copy_task: Path, tmp_path: Path) -> list[str]:
    """Return the command line of a tuning of the copy task's run, guarded by the pairs of the copy task."""
    config = write_copy_task(tmp_path, training=TRAINING, validation=VALIDATION)
    held_out = (tmp_path / "validation.tsv").read_text()
    (tmp_path / "general.tsv").write_text(held_out)
    for name in ("train", "validation"):
        lines = (tmp_path / f"{name}.tsv").read_text().split()[::2]
        (tmp_path / f"{name}.tsv").write_text("".join(f"{text}\t{text[::-1]}\n" for text in lines))
    guard = ["--data.guard.0.path", str(tmp_path / "general.tsv")]
    return ["train", config, "--init-from", str(copy_task / "run"), *guard]


def test_a_run_says_what_it_has_forgotten(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    decoded: list[int] = []
    decode = validation.decode_lines
    monkeypatch.setattr(validation, "decode_lines", lambda *given: decoded.append(len(given[0])) or decode(*given))
    assert main([*command, "--training.max_steps", "20"]) == 0
    assert main(command) == 0
    printed = capsys.readouterr().out.splitlines()
    starts = [line for line in printed if line.endswith("before the training, 19 pairs")]
    assert len(starts) == 1, "not again where the run goes on"
    assert len(decoded) == 2 + 1 + 2, "of each part a validation and the end, and one start"
    first, last = [entry for entry in read_log(run / "log.jsonl") if entry["kind"] == "guard" and "general" in entry][
        ::2
    ]
    assert first["step"] == 0
    assert first["general"]["exact_match"] > 90
    kept = json.loads((run / "guard.json").read_text())["general"]
    assert last["step"] == 60
    assert last["general"] == kept["scores"]
    assert kept["scores"]["exact_match"]["before"] == first["general"]["exact_match"]
    assert kept["scores"]["chrf"]["after"] < kept["scores"]["chrf"]["before"] - 20
    assert kept["scores"]["chrf"]["p_value"] < 0.01
    assert len(kept["before"]["outputs"]) == len(kept["after"]["outputs"]) == 19
    [end] = [line for line in printed if line.startswith("general: exact_match") and line.endswith(": forgotten")][-1:]
    assert f"{kept['scores']['chrf']['difference']:+.2f}, p = " in end
    card = (run / "model" / "README.md").read_text()
    numbers = kept["scores"]["chrf"]
    assert f"| general | chrf | {numbers['before']:.2f} | {numbers['after']:.2f} | {numbers['p_value']:.3f} |" in card
    log = read_log(run / "log.jsonl")
    decoded.clear()
    assert main(command) == 0
    assert decoded == [], "a run that is finished has said it"
    assert read_log(run / "log.jsonl") == log


def test_a_guard_changes_nothing_of_a_training(command: list[str], tmp_path: Path) -> None:
    without = [*command[:4], "--run_directory", str(tmp_path / "without")]
    short = ["--training.max_steps", "5"]
    assert main([*without, *short]) == 0
    assert main([*command, *short]) == 0
    first, second = (folder / "model" / "model.safetensors" for folder in (tmp_path / "run", tmp_path / "without"))
    assert first.read_bytes() == second.read_bytes()
    assert not (tmp_path / "without" / "guard.json").exists()


def test_a_guard_may_be_added_or_taken_out_when_a_run_goes_on(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main([*command[:4], "--training.max_steps", "2"]) == 0
    assert main([*command, "--data.guard.0.label", "copies", "--training.max_steps", "3"]) == 0
    assert json.loads((run / "guard.json").read_text())["copies"]["scores"]["exact_match"]["before"] > 90
    capsys.readouterr()
    assert main([*command[:4], "--training.max_steps", "4"]) == 0
    assert "copies" not in capsys.readouterr().out


def test_a_guard_that_cannot_be_decoded_at_the_end_costs_nothing(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    decode, calls = validation.decode_lines, []

    def failing(*given: object) -> object:
        calls.append(given)
        if len(calls) > 2:
            raise RuntimeError("no memory")
        return decode(*given)

    monkeypatch.setattr(validation, "decode_lines", failing)
    assert main([*command, "--training.max_steps", "2"]) == 0
    assert "could not be decoded with the exported model: RuntimeError: no memory" in capsys.readouterr().out
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()


@pytest.mark.parametrize("name", ["marian", "t5"])
def test_models_of_families_are_guarded_too(name: str, tmp_path: Path) -> None:
    """Their exported folder is one of the family."""
    start = pretrained(name, tmp_path / "start")
    guard = ["--data.guard.0.path", str(tmp_path / "validation.tsv"), "--training.max_steps", "3"]
    run = tune(tmp_path, start, *guard, validation=VALIDATION | {"every": 3})
    kept = json.loads((run / "guard.json").read_text())["validation"]
    [scores] = [entry for entry in read_log(run / "log.jsonl") if entry["kind"] == "validation"]
    assert kept["scores"]["chrf"]["after"] == pytest.approx(scores["chrf"]), "of the same pairs and weights"
    assert kept["before"]["made_of"]["weights"] != kept["after"]["made_of"]["weights"]


def test_prepare_reads_the_guard(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", *command[1:]]) == 0
    assert "guard pairs of general: 19\n" in capsys.readouterr().out
