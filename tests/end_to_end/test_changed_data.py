"""A run knows its pairs by what they hold: they may move, but not change unseen, before it begins or as it goes on."""

import json
from pathlib import Path
from typing import Any

import pytest

from seq2seq.apps.command import main
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.training.checkpoint_folder import STATE, checkpoint_paths
from seq2seq.training.tracking import read_log
from tests.tiny_run import ALPHABET, write_copy_task

SECTIONS: dict[str, dict[str, Any]] = {
    "training": {"max_steps": 4, "checkpoint_every": 2, "log_every": 2},
    "validation": {"every": 4, "metrics": [], "select_by": "loss"},
}
OTHER_LETTERS = str.maketrans(ALPHABET, "klmnopqrst")


def changed(path: Path) -> str:
    """Write other letters into a file; return its text before."""
    before = path.read_text()
    path.write_text(before.translate(OTHER_LETTERS))
    return before


def weights(folder: Path) -> bytes:
    return (folder / "model" / "model.safetensors").read_bytes()


def changes_in_log(folder: Path) -> list[dict[str, Any]]:
    return [entry for entry in read_log(folder / "log.jsonl") if entry["kind"] == "changed"]


def newest_state(folder: Path) -> dict[str, Any]:
    return json.loads((checkpoint_paths(folder / "checkpoints")[-1] / STATE).read_text())


@pytest.mark.parametrize("streaming", [False, True])
def test_the_same_pairs_elsewhere_go_on_bit_by_bit(tmp_path: Path, streaming: bool) -> None:
    pools = {"pool_rows": 61} if streaming else {}
    sections = SECTIONS | {"data": {"train": {"streaming": streaming}, **pools}}
    config = write_copy_task(tmp_path, **sections)
    assert main(["train", config, "--training.max_steps", "8", "--run_directory", str(tmp_path / "whole")]) == 0
    assert main(["train", config]) == 0
    (tmp_path / "moved").mkdir()
    paths = []
    for name in ("train", "validation"):
        (tmp_path / f"{name}.tsv").rename(tmp_path / "moved" / f"{name}.other")
        paths += [f"--data.{name}.path", str(tmp_path / "moved" / f"{name}.other"), f"--data.{name}.format", "tsv"]
    assert main(["train", config, *paths, "--training.max_steps", "8"]) == 0
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")
    assert changes_in_log(tmp_path / "run") == []


@pytest.mark.parametrize(("name", "what"), [("train", "training pairs"), ("validation", "validation pairs")])
def test_other_pairs_are_refused_also_where_nothing_is_left_to_train(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, what: str
) -> None:
    config = write_copy_task(tmp_path, **SECTIONS)
    assert main(["train", config]) == 0
    before = changed(tmp_path / f"{name}.tsv")
    exported, log = weights(tmp_path / "run"), read_log(tmp_path / "run" / "log.jsonl")
    capsys.readouterr()
    for max_steps in ("4", "8"):
        assert main(["train", config, "--training.max_steps", max_steps]) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert f"The {what} of {tmp_path / 'run'} have changed since its last checkpoint" in line
    assert weights(tmp_path / "run") == exported
    assert read_log(tmp_path / "run" / "log.jsonl") == log
    (tmp_path / f"{name}.tsv").write_text(before)
    assert main(["train", config]) == 0


def test_a_stream_whose_head_or_size_changed_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_copy_task(tmp_path, **SECTIONS | {"data": {"train": {"streaming": True}}})
    assert main(["train", config]) == 0
    before = changed(tmp_path / "train.tsv")
    assert main(["train", config]) == 2
    assert "The training pairs of" in capsys.readouterr().err
    (tmp_path / "train.tsv").write_text(f"{before}a\tb\n")
    assert main(["train", config]) == 2
    (tmp_path / "train.tsv").write_text(before)
    assert main(["train", config]) == 0


def test_other_pairs_may_be_accepted_which_the_log_says(tmp_path: Path) -> None:
    config = write_copy_task(tmp_path, **SECTIONS)
    assert main(["train", config]) == 0
    before = newest_state(tmp_path / "run")
    lines = (tmp_path / "train.tsv").read_text().splitlines(keepends=True)
    (tmp_path / "train.tsv").write_text("".join(reversed(lines[:-7])))
    more = ["train", config, "--training.max_steps", "8"]
    assert main([*more, "--training.accept_changed_data", "true"]) == 0
    [entry] = changes_in_log(tmp_path / "run")
    after = newest_state(tmp_path / "run")
    assert (entry["step"], entry["train"]) == (4, [before["data"]["train"], after["data"]["train"]])
    assert after["data"]["validation"] == before["data"]["validation"]
    assert before["position"]["batch"] == 4
    assert after["position"]["epoch"] == before["position"]["epoch"] == 0
    assert after["position"]["batch"] == 4, "the epoch began anew"
    assert main(more) == 0, "now these are the run's pairs"
    assert len(changes_in_log(tmp_path / "run")) == 1


@pytest.mark.parametrize("streaming", [False, True])
def test_smaller_batches_go_on_with_what_the_epoch_has_left(tmp_path: Path, streaming: bool) -> None:
    """400 pairs in 9 batches, of which 4 are done; with half the budget, two a step, the rest of the epoch follows."""
    sections = SECTIONS | {"data": {"train": {"streaming": streaming}}}
    config = write_copy_task(tmp_path, **sections)
    assert main(["train", config]) == 0
    smaller = ["--data.batch_tokens", "256", "--training.gradient_accumulation", "2"]
    assert main(["train", config, *smaller, "--training.max_steps", "6"]) == 0
    [entry] = changes_in_log(tmp_path / "run")
    assert {name: entry[name] for name in ("step", "batch_tokens", "gradient_accumulation")} == {
        "step": 4,
        "batch_tokens": ["512", "256"],
        "gradient_accumulation": ["1", "2"],
    }
    assert newest_state(tmp_path / "run")["position"] | {"stream": None, "row": None} == {
        "epoch": 0,
        "pool": 0,
        "batch": 4,
        "batch_tokens": 256,
        "earlier": [[512, 4]],
        "number": 8,
        "stream": None,
        "row": None,
    }
    assert main(["train", config, *smaller, "--training.max_steps", "20"]) == 0
    assert newest_state(tmp_path / "run")["position"]["epoch"] > 0
    assert len(changes_in_log(tmp_path / "run")) == 1


@pytest.mark.parametrize(("command", "streaming"), [("train", False), ("prepare", False), ("prepare", True)])
def test_a_tokenizer_prepared_from_other_pairs_is_made_anew(tmp_path: Path, command: str, streaming: bool) -> None:
    config = write_copy_task(tmp_path, **SECTIONS | {"data": {"train": {"streaming": streaming}}})
    good = changed(tmp_path / "train.tsv")
    assert main(["prepare", config]) == 0
    (tmp_path / "train.tsv").write_text(good)
    assert main([command, config]) == 0
    tokenizer = TextTokenizer.load(tmp_path / "run" / "tokenizer")
    [ids] = tokenizer.encode_sources([ALPHABET])
    assert tokenizer.unk_id not in ids
    kept = (tmp_path / "run" / "tokenizer" / "tokenizer.json").stat().st_mtime_ns
    assert main([command, config]) == 0
    assert (tmp_path / "run" / "tokenizer" / "tokenizer.json").stat().st_mtime_ns == kept
