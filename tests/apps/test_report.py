"""`seq2seq report` from end to end on the copy task, and what it says of mistakes."""

import json
import shutil
from pathlib import Path

import pytest

from seq2seq.apps.command import main


@pytest.fixture
def run(copy_task: Path, tmp_path: Path) -> Path:
    """Return a run directory that may be written to, with what the trained run of the copy task has."""
    run = tmp_path / "run"
    run.mkdir()
    for name in ("model", "config.yaml", "checkpoints", "log.jsonl"):
        (run / name).symlink_to(copy_task / "run" / name)
    return run


def report_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return what the command prints."""
    assert main(["report", *arguments, "--device", "cpu", "--processes", "1"]) == 0
    return capsys.readouterr().out


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["report", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


def facts_of(run: Path) -> dict:
    return json.loads((run / "report" / "report.json").read_text(encoding="utf-8"))


def test_on_the_test_pairs_of_a_run(run: Path, copy_task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "data").mkdir()
    texts = (copy_task / "test.txt").read_text().split()
    rows = [json.dumps({"source": text, "target": text}) + "\n" for text in texts]
    (run / "data" / "test.jsonl").write_text("".join(rows))
    said = report_of([str(run)], capsys)
    assert said.startswith("53 pairs: ")
    assert f"page: {run / 'report' / 'report.html'}" in said
    facts = facts_of(run)
    assert facts["data"]["origin"] == "test"
    assert facts["runs"][0]["num_seen"] == 0
    assert facts["runs"][0]["is_finished"]
    assert facts["runs"][0]["scores"][0]["value"] > 80
    assert facts["runs"][0]["course"]["best_step"] in (100, 200, 300)
    # The source is its own target here, so that nothing can be better than to copy it.
    assert said.count("It does not work yet") == 1
    assert [own["name"] for own in facts["runs"][0]["baselines"]] == ["copy", "frequent", "nearest"]
    assert facts["runs"][0]["exposure"]["num_pairs"] == 53


def test_on_validation_pairs_and_in_part(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report_of([str(run), "--max-rows", "12"], capsys)
    facts = facts_of(run)
    assert (facts["data"]["origin"], facts["data"]["num_pairs"], facts["data"]["num_more"]) == ("validation", 12, 7)
    assert any("chose the checkpoint" in sentence for sentence in facts["verdict"])


def test_several_references_blank_lines_and_a_single_pair(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "source").write_text("abc\nabc\n\n")
    (tmp_path / "reference").write_text("xyz\nabc\nx\n")
    files = ["--source", str(tmp_path / "source"), "--reference", str(tmp_path / "reference")]
    said = report_of([str(run), *files, "--output", str(tmp_path / "out")], capsys)
    assert "a single pair to measure on is too little" in " ".join(said.split())
    facts = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (facts["data"]["num_pairs"], facts["data"]["num_blank"]) == (1, 1)
    assert facts["data"]["has_several_references"]
    row = json.loads((tmp_path / "out" / "outputs.jsonl").read_text())
    assert (row["reference"], row["other_references"]) == ("xyz", ["abc"])


def test_a_model_alone_and_training_pairs_that_are_gone(
    copy_task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").write_text("abc\nbca\n" * 6)
    files = ["--source", str(tmp_path / "text"), "--reference", str(tmp_path / "text")]
    report_of([str(copy_task / "run" / "model"), *files, "--output", str(tmp_path / "out")], capsys)
    facts = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [own["name"] for own in facts["runs"][0]["baselines"]] == ["copy"]
    assert "is a model without its run" in facts["data"]["note"]
    run = tmp_path / "moved"
    shutil.copytree(copy_task / "run", run)
    text = (run / "config.yaml").read_text().replace(str(copy_task), str(tmp_path / "gone"))
    (run / "config.yaml").write_text(text)
    report_of([str(run), *files], capsys)
    assert "cannot be read any more" in facts_of(run)["data"]["note"]
    assert "cannot be read" in error_of([str(run)], capsys)


def test_mistakes(run: Path, copy_task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "holds no model" in error_of([str(tmp_path)], capsys)
    assert "is a model folder" in error_of([str(copy_task / "run" / "model")], capsys)
    assert "go together" in error_of([str(run), "--source", "x"], capsys)
    assert "`--max-rows` must be 0 or more" in error_of([str(run), "--max-rows", "-1"], capsys)
    assert "named twice" in error_of([str(run), str(run)], capsys)
    (tmp_path / "file").touch()
    said = "nothing can be written there; give a folder of your own by `--output`"
    assert said in error_of([str(run), "--output", str(tmp_path / "file" / "report")], capsys)
    (tmp_path / "blank").write_text("\n\n")
    files = ["--source", str(tmp_path / "blank"), "--reference", str(tmp_path / "blank")]
    assert "no pair with text on both sides" in error_of([str(run), *files], capsys)
