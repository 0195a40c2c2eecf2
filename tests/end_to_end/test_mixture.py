"""Several corpora from the command line: what is said of them on the screen, in files, and when the run goes on."""

import json
from pathlib import Path

import pytest

from seq2seq.apps.command import main
from seq2seq.assembly.configuration import read_run_config
from seq2seq.training.tracking import read_log
from tests.launching import launch
from tests.tiny_run import NUM_TRAINING, write_copy_task

NAMES = ("de", "fr")
ENDS = (0, 360, NUM_TRAINING)
TRAINING = {"max_steps": 4, "checkpoint_every": 2, "log_every": 2, "threads": 1}


@pytest.fixture
def config(tmp_path: Path) -> list[str]:
    """Return a command line without its verb: pairs of two files, each with a tag in the third column."""
    config = write_copy_task(tmp_path, training=TRAINING, validation={"every": 4, "metrics": [], "select_by": "loss"})
    lines = (tmp_path / "train.tsv").read_text().splitlines()
    for name, start, end in zip(NAMES, ENDS, ENDS[1:], strict=False):
        (tmp_path / f"train.{name}.tsv").write_text("".join(f"{line}\t{name}\n" for line in lines[start:end]))
    held_out = (tmp_path / "validation.tsv").read_text().splitlines()
    (tmp_path / "validation.tsv").write_text("".join(f"{line}\tfr\n" for line in held_out))
    return [config, *listed(tmp_path), "--data.temperature", "5"]


def listed(folder: Path) -> list[str]:
    paths = [f"{{path: {folder / f'train.{name}.tsv'}, tag_column: 2, label: {name}}}" for name in NAMES]
    return ["--data.train", f"[{', '.join(paths)}]"]


def test_what_is_said_of_the_corpora(config: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By hand: 360^(1/5) = 3.245 and 40^(1/5) = 2.091 are shares of 60.8 % and 39.2 %, of 400 pairs 243 and 157."""
    with (tmp_path / "validation.tsv").open("a") as file:
        file.writelines((tmp_path / "train.fr.tsv").read_text().splitlines(keepends=True)[:3])
    assert main(["prepare", *config]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["mixed", "pairs", "kept", "share", "times", "seen", "validated", "on"] in lines
    assert ["de", "360", "360", "61", "%", "0.675", "0"] in lines
    assert ["fr", "40", "40", "39", "%", "3.92", "3"] in lines
    report = json.loads((tmp_path / "run" / "data.json").read_text())
    assert [(facts["label"], facts["drawn"], facts["in_validation"]) for facts in report["corpora"]] == [
        ("de", 243, 0),
        ("fr", 157, 3),
    ]
    assert main(["train", *config]) == 0
    assert "\n  fr: 40 pairs, 39.2% of an epoch, each seen 3.92 times\n" in capsys.readouterr().out
    log = read_log(tmp_path / "run" / "log.jsonl")
    assert log[0]["corpora"]["fr"] == {"rows": 40, "kept": 40, "drawn": 157, "share": 157 / 400, "times": 157 / 40}
    assert all(entry["rows_seen"].keys() == {"de", "fr"} for entry in log if entry["kind"] == "train")
    card = (tmp_path / "run" / "model" / "README.md").read_text()
    assert 'language: ["de", "fr"]' not in card, "names of files are no columns"
    assert (
        "- Trained on `train.de.tsv`, `train.fr.tsv`: 400 of 400 pairs.\n- They were mixed at temperature 5:\n" in card
    )
    assert "\n  - fr: 40 pairs, 39.2% of an epoch, each 3.92 times\n" in card
    assert "\ndata.train.1.label: fr\n" in card
    assert "data.train.1.weight" not in card
    assert read_run_config(tmp_path / "run" / "config.yaml").data.temperature == 5.0


def test_corpora_may_move_but_not_become_others(
    config: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    longer = ["--training.max_steps", "6"]
    assert main(["train", *config, *longer, "--run_directory", str(tmp_path / "whole")]) == 0
    assert main(["train", *config]) == 0
    for others, message in (
        (["--data.train.1.weight", "2"], "`data.train.1.weight` = 1.0, but now it is 2.0"),
        (["--data.temperature", "4"], "`data.temperature` = 5.0, but now it is 4.0"),
        (["--data.train.2.path", str(tmp_path / "train.de.tsv")], "`data.train.2."),
        (["--data.train", f"{{path: {tmp_path / 'train.de.tsv'}, tag_column: 2}}", "--data.temperature", "1"], "holds"),
    ):
        capsys.readouterr()
        assert main(["train", *config, *longer, *others]) == 2
        assert message in capsys.readouterr().err
    (tmp_path / "moved").mkdir()
    for name in NAMES:
        (tmp_path / f"train.{name}.tsv").rename(tmp_path / "moved" / f"train.{name}.tsv")
    moved = [config[0], *listed(tmp_path / "moved"), *config[3:], *longer]
    assert main(["train", *moved]) == 0
    assert (tmp_path / "run" / "model" / "model.safetensors").read_bytes() == (
        tmp_path / "whole" / "model" / "model.safetensors"
    ).read_bytes()
    first, second = ((tmp_path / "moved" / f"train.{name}.tsv") for name in NAMES)
    lines = first.read_text().splitlines(keepends=True)
    first.write_text("".join(lines[:-1]))
    second.write_text(lines[-1] + second.read_text())
    capsys.readouterr()
    assert main(["train", *moved]) == 2
    assert "The training pairs of" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_mix_and_guard_as_one(config: list[str], copy_task: Path, tmp_path: Path) -> None:
    """Two processes of one micro-batch a step are one of two."""
    metrics = ["--validation.metrics", "[exact_match]", "--data.guard.0.path", str(tmp_path / "validation.tsv")]
    command = ["train", *config, *metrics, "--init-from", str(copy_task / "run"), "--run_directory"]
    one, two = tmp_path / "one", tmp_path / "two"
    launch(2, "seq2seq", *command, str(two))
    assert main([*command, str(one), "--training.gradient_accumulation", "2"]) == 0
    logs = [[entry for entry in read_log(folder / "log.jsonl") if entry["kind"] == "train"] for folder in (one, two)]
    assert [entry["rows_seen"] for entry in logs[1]] == [entry["rows_seen"] for entry in logs[0]]
    losses = [[entry["loss"] for entry in log] for log in logs]
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)
    guards = [json.loads((folder / "guard.json").read_text())["validation"] for folder in (one, two)]
    assert guards[1]["before"] == guards[0]["before"]
    assert guards[1]["scores"].keys() == guards[0]["scores"].keys() == {"exact_match"}
    assert len(guards[1]["after"]["outputs"]) == 19
