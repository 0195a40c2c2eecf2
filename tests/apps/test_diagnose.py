"""`seq2seq diagnose` from end to end on the copy task: table, report.json, picture, and what it says of mistakes."""

import json
import sys
from pathlib import Path

import pytest
import yaml

from seq2seq.apps import diagnose
from seq2seq.apps.command import main
from seq2seq.assembly.model_folder import find_model, names_of_models

SMALL = ["--max-rows", "7", "--beam-widths", "3", "1", "--metrics", "chrf", "exact_match", "--device", "cpu"]


def report(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def without_picture(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing, which takes longer than the rest, but where the test asks for it by its name."""
    if "picture" not in request.node.name:
        monkeypatch.setattr(diagnose, "draw", lambda models, path: None)


@pytest.fixture
def run(copy_task: Path, tmp_path: Path) -> Path:
    """Return a run directory that may be written to, with the trained model and configuration of the copy task."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "model").symlink_to(copy_task / "run" / "model")
    (run / "config.yaml").symlink_to(copy_task / "run" / "config.yaml")
    return run


def test_a_run_on_its_validation_corpus(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", "--model", str(run), *SMALL]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("7 pairs of data.validation\n\nExposure gap")
    assert f"wrote {run / 'diagnosis' / 'report.json'}" in printed
    facts = report(run / "diagnosis")
    assert (facts["num_pairs"], facts["num_blank"], facts["seed"], facts["same_tokenizer"]) == (7, 0, 1, True)
    found = facts["models"]["run"]
    assert (found["num_pairs"], found["generation_order"]) == (7, "l2r")
    assert [point["beam_width"] for point in found["beams"]] == [1, 3]
    # The task is learnt, so almost all is right behind either prefix, and the curve starts at 1.
    assert found["gap"]["gold_accuracy"] > 0.9
    assert found["survival"]["survival"][0] == 1
    assert found["beams"][0]["scores"]["exact_match"] > 60
    assert f"{100 * found['gap']['gold_accuracy']:.1f}" in printed
    assert len(found["damages"]) == 6
    [said] = facts["conclusions"]
    assert f"\n\nConclusion\n{said}\n" in printed
    assert "exposure bias" in said
    assert found["damages"][0]["num_references"] == 7


def test_two_models_on_files(run: Path, copy_task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "source").write_text("abc\n\nfedcb\nab ab\n")
    (tmp_path / "reference").write_text("abc\nd\nfedcb\nabab\n")
    files = ["--source", str(tmp_path / "source"), "--reference", str(tmp_path / "reference")]
    models = ["--model", str(run), str(copy_task / "run" / "model")]
    assert main(["diagnose", *models, *files, *SMALL, "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].endswith("1 with a blank side left out")
    facts = report(tmp_path / "out")
    assert (facts["num_pairs"], facts["num_blank"]) == (3, 1)
    first, second = facts["models"].values()
    assert first == second, "it is the same model"
    for line in printed.splitlines():
        if line.startswith(("beam ", "1st quarter", "likely")):
            label, *cells = [part for part in line.split("  ") if part.strip()]
            assert [c.strip() for c in cells[: len(cells) // 2]] == [c.strip() for c in cells[len(cells) // 2 :]], line


def test_the_seed_changes_what_is_random_alone(run: Path, tmp_path: Path) -> None:
    first, second = ({}, {})
    for found, seed in ((first, "1"), (second, "2")):
        assert main(["diagnose", "--model", str(run), *SMALL, "--seed", seed, "--output", str(tmp_path / seed)]) == 0
        found |= report(tmp_path / seed)["models"]["run"]
    likely, other_likely = ([d for d in found["damages"] if d["replacement"] == "likely"] for found in (first, second))
    assert likely == other_likely
    assert first["damages"] != second["damages"]
    same = ("by_position", "by_quarter", "survival", "greedy", "references", "beams")
    assert [first[name] for name in same] == [second[name] for name in same]


def test_the_picture_is_there(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    assert main(["diagnose", "--model", str(run), *SMALL]) == 0
    assert (run / "diagnosis" / "report.png").read_bytes().startswith(b"\x89PNG")
    assert f"wrote {run / 'diagnosis' / 'report.png'}" in capsys.readouterr().out
    assert sorted(path.name for path in (run / "diagnosis").iterdir()) == ["report.json", "report.png"]


def test_without_matplotlib_there_is_no_picture(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("matplotlib", "matplotlib.backends.backend_agg", "matplotlib.figure", "matplotlib.lines"):
        monkeypatch.setitem(sys.modules, module, None)
    assert main(["diagnose", "--model", str(run), *SMALL]) == 0
    assert "report.png" not in capsys.readouterr().out
    assert [path.name for path in (run / "diagnosis").iterdir()] == ["report.json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "test"], "names no corpus `test`, only validation and train"),
        (["--source", "x"], "`--source` and `--reference` go together"),
        (["--source", "x", "--reference", "x", "--data", "train"], "not both"),
        (["--max-rows", "-1"], "`--max-rows` must be 0 (all) or more, but is -1"),
        (["--beam-widths", "5", "0"], "`--beam-widths` must be at least 1, but one is 0"),
        (["--metrics", "blue"], "did you mean 'bleu'?"),
        (["--device", "abacus"], "'abacus' cannot be used"),
        (["--precision", "fp64"], "invalid choice: 'fp64'"),
    ],
)
def test_mistakes_end_in_one_line(
    arguments: list[str], message: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diagnose", "--model", str(run), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (run / "diagnosis").exists()


def test_a_model_folder_needs_files_and_an_output(
    copy_task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = find_model(copy_task / "run")
    assert main(["diagnose", "--model", str(folder)]) == 2
    assert "say by `--output` where the report goes" in capsys.readouterr().err
    assert main(["diagnose", "--model", str(folder), "--output", str(tmp_path / "out")]) == 2
    assert "is no run directory" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_runs_with_other_corpora_are_not_compared(
    run: Path, copy_task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "model").symlink_to(run / "model")
    config = (run / "config.yaml").read_text().replace("validation.tsv", "train.tsv")
    (other / "config.yaml").write_text(config)
    assert main(["diagnose", "--model", str(run), str(other), *SMALL]) == 2
    assert "another validation corpus" in capsys.readouterr().err


@pytest.mark.parametrize("data", ["validation", "train"])
def test_rows_of_many_languages_are_not_taken_for_one(
    data: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"source": "ab", "target": "ab", "to": language} for language in ("deu", "fra")]
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    values = yaml.safe_load((run / "config.yaml").read_text())
    values["data"] |= {"train": {"path": str(tmp_path / "rows.jsonl"), "target_language_column": "to"}}
    values["data"] |= {"validation": {"path": str(tmp_path / "rows.jsonl")}}
    (run / "config.yaml").unlink()
    (run / "config.yaml").write_text(yaml.safe_dump(values))
    assert main(["diagnose", "--model", str(run), "--data", data, *SMALL]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert f"the pairs of data.{data} are in languages that each row says" in line


def test_pairs_keep_their_numbers_where_others_are_blank() -> None:
    pairs = [("a", "b"), ("", "c"), ("d", " "), ("e", "f")]
    assert diagnose.without_blanks(pairs) == ([pairs[0], pairs[3]], [1, 4], 2)


def test_code_that_the_configuration_of_a_run_names_is_not_imported(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "piece_of_another.py").write_text("raise SystemExit('it ran')\n")
    values = yaml.safe_load((run / "config.yaml").read_text()) | {"objective": "piece_of_another:Objective"}
    (run / "config.yaml").unlink()
    (run / "config.yaml").write_text(yaml.safe_dump(values))
    assert main(["diagnose", "--model", str(run), *SMALL]) == 0


def test_a_model_is_not_compared_with_itself(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", "--model", str(run), str(run)]) == 2
    assert "A model is named twice" in capsys.readouterr().err


def test_models_are_named_by_their_folders_where_these_differ() -> None:
    assert names_of_models(["runs/a", "runs/b/"]) == ["a", "b"]
    assert names_of_models(["x/model", "y/model"]) == ["x/model", "y/model"]
