"""What a configuration adds to the examination of its data, and what `train` says of it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from seq2seq.apps.command import main
from seq2seq.assembly.configuration import load_run_config
from seq2seq.assembly.data import build_data
from seq2seq.assembly.examination import examine_data
from seq2seq.data.examination.findings import Finding
from tests.tiny_run import write_copy_task

OPTIONS: dict[str, Any] = {
    "tokenizer": {"kind": "characters"},
    "training": {"max_steps": 1, "checkpoint_every": 1},
    "validation": {"every": 1, "metrics": [], "select_by": "loss"},
}
TRAIN, VALIDATION = range(1000, 1400), range(2000, 2060)


def spelled(numbers: Iterable[int]) -> list[str]:
    """Return rows of which nothing is to be said: numbers, and their digits as letters in words."""
    return [f"{number}\t{' '.join('abcdefghij'[int(digit)] for digit in str(number))}" for number in numbers]


def written(folder: Path, learnt: list[str], judged: list[str], **sections: dict[str, Any]) -> str:
    """Return the configuration of a run on these rows."""
    path = write_copy_task(folder, **(OPTIONS | sections))
    for name, rows in (("train", learnt), ("validation", judged)):
        (folder / f"{name}.tsv").write_text("".join(f"{row}\n" for row in rows))
    return path


def found_in(config: str, *options: str) -> dict[str, Finding]:
    read = load_run_config([config, *options])
    examination = examine_data(read, build_data(read, Path(read.run_directory)))
    return {finding.kind: finding for finding in examination.findings}


def test_training_says_what_spoils_it_in_a_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, validation = spelled(TRAIN), spelled(VALIDATION)
    assert main(["train", written(tmp_path / "good", train, validation)]) == 0
    assert "warning" not in capsys.readouterr().out
    assert main(["train", written(tmp_path / "spoiled", ["source\ttarget", *train], validation)]) == 0
    [said, more] = [line for line in capsys.readouterr().out.splitlines() if "warning" in line or "prepare" in line]
    assert said.startswith(f"{tmp_path / 'spoiled' / 'run'}: warning: The first training pair reads like the names of")
    assert "`seq2seq prepare` with the same options" in more


def test_bleu_has_nothing_to_count_in_short_targets(tmp_path: Path) -> None:
    bleu = {"validation": {"every": 1, "metrics": ["bleu"], "select_by": "bleu"}}
    short = [row.replace(" ", "") for row in spelled(VALIDATION)]
    found = found_in(written(tmp_path, spelled(TRAIN), short, **bleu))
    assert found["short_for_bleu"].is_warning
    by_loss = {"validation": bleu["validation"] | {"select_by": "loss"}}
    shown_only = found_in(written(tmp_path / "shown", spelled(TRAIN), short, **by_loss))
    assert not shown_only["short_for_bleu"].is_warning
    assert "60 of 60 (100 %) validation targets have fewer than four words" in found["short_for_bleu"].sentence
    assert "short_for_bleu" not in found_in(written(tmp_path / "long", spelled(TRAIN), spelled(VALIDATION), **bleu))
    assert "short_for_bleu" not in found_in(written(tmp_path / "other", spelled(TRAIN), short))


def test_what_is_generated_may_be_shorter_than_targets(tmp_path: Path) -> None:
    config = written(tmp_path, spelled(TRAIN), spelled(VALIDATION), decoding={"beam": {"max_length": 7}})
    found = found_in(config)["cut_outputs"]
    assert found.is_warning
    assert "the `max_length` (7) of `decoding`; 8 is enough for all" in found.sentence
    assert "cut_outputs" not in found_in(config, "--decoding.beam.max_length", "8")


def test_a_model_that_is_too_large(tmp_path: Path) -> None:
    config = written(tmp_path, spelled(range(1000, 1003)), spelled(VALIDATION))
    found = found_in(config, "--model.d_model", "64")["few_pairs"]
    assert found.is_warning
    assert found.sentence.startswith("There are 3 training pairs with 24 target tokens for a model of")


def test_a_stream_is_known_by_its_first_pairs(tmp_path: Path) -> None:
    config = written(tmp_path, spelled(TRAIN), spelled(TRAIN)[:100])
    assert found_in(config, "--data.train.streaming", "true")["overlap"].count == 100


def test_pairs_held_out_of_doubled_ones_are_learnt_too(tmp_path: Path) -> None:
    config = written(tmp_path, spelled([*TRAIN, *TRAIN]), [])
    found = found_in(config, "--data.validation.path", "null", "--data.num_folds", "7")
    assert found["overlap"].is_warning
    assert found["overlap"].count == -(-800 // 7)


@pytest.mark.filterwarnings("ignore:.*more fields than")
def test_what_was_wrong_in_the_files_is_found_each_time(tmp_path: Path) -> None:
    config = written(tmp_path, [*spelled(TRAIN), "a stray\ttab\there"], spelled(VALIDATION))
    for _ in range(2):
        found = found_in(config)["uneven_rows"]
        assert f"{tmp_path / 'train.tsv'}:401: 1 row (line 401) has more fields" in found.sentence
