"""`seq2seq decode --score-targets`: each line's given target with what the model gives it."""

import json
import math
from pathlib import Path

import pytest

import seq2seq
from seq2seq.apps import target_scoring
from seq2seq.apps.command import main

SOURCES = ["abc", "jab", "hgf", "abcj", "", "ij", "cab"]
TARGETS = ["abc", "jab", "hgg", "abcj", "a", "", "bac"]


@pytest.fixture
def command(copy_task: Path, tmp_path: Path) -> list[str]:
    (tmp_path / "input.txt").write_text("".join(line + "\n" for line in SOURCES))
    (tmp_path / "targets.txt").write_text("".join(line + "\n" for line in TARGETS))
    files = ["--input", str(tmp_path / "input.txt"), "--score-targets", str(tmp_path / "targets.txt")]
    return ["decode", "--model", str(copy_task / "run"), *files]


def test_scores_in_both_formats_are_those_of_python(
    copy_task: Path,
    command: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(target_scoring, "POOL_LINES", 3)
    expected = seq2seq.load(copy_task / "run", device="cpu").score_targets(SOURCES, TARGETS)
    assert main(command) == 0
    printed = [float(line) for line in capsys.readouterr().out.splitlines()]
    assert printed == pytest.approx([h.normalized_score for h in expected], abs=1e-5)
    assert min(printed[i] for i in (0, 1, 3)) > max(printed[i] for i in (2, 6)), "copies are likelier"
    assert main([*command, "--output", str(tmp_path / "scores.jsonl")]) == 0
    records = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert [(r["id"], r["source"]) for r in records] == list(enumerate(SOURCES))
    for record, target, hypothesis in zip(records, TARGETS, expected, strict=True):
        [scored] = record["hypotheses"]
        assert scored["text"] == target
        assert len(scored["token_log_probs"]) == len(scored["tokens"]) == len(target) + 1
        assert scored["token_log_probs"] == pytest.approx(hypothesis.token_log_probs, abs=1e-5)
        assert scored["score"] == pytest.approx(math.fsum(scored["token_log_probs"]))


@pytest.mark.parametrize("num_lines", [0, 6, 8])
def test_as_many_targets_as_sources(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], num_lines: int
) -> None:
    (tmp_path / "targets.txt").write_text("a\n" * num_lines)
    assert main([*command, "--output", str(tmp_path / "scores.txt")]) == 2
    assert f"as many targets as sources up to line {min(num_lines, 7)} alone" in capsys.readouterr().err
    assert not (tmp_path / "scores.txt").exists()


@pytest.mark.parametrize(
    "option", [["--beam-width", "3"], ["--prefixes", "x"], ["--reference", "x"], ["--trace", "x"], ["--mbr", "chrf"]]
)
def test_options_of_a_search_are_refused(
    command: list[str], capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    assert main([*command, *option]) == 2
    assert f"`{option[0]}` is about what a model generates" in capsys.readouterr().err
