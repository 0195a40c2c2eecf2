"""The page on pieces of one's own: its examples are one module, and its commands train and score with it."""

import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import seq2seq
from seq2seq import own_pieces
from seq2seq.apps.command import main
from tests.tiny_run import copy_task, private_cache, without_curves, write_copy_task

__all__ = ["copy_task", "private_cache", "without_curves"]

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "own_pieces.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
MODULE = "\n\n".join(text for language, text in BLOCKS if language == "python")
COMMANDS = [line for language, text in BLOCKS if not language for line in text.splitlines()]


@pytest.fixture
def folder(copy_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Be in a folder with the module of the page and what its commands name."""
    written = Path(write_copy_task(tmp_path, training={"max_steps": 2, "checkpoint_every": 2}, validation={"every": 2}))
    (tmp_path / "pieces.py").write_text(MODULE)
    (tmp_path / "output.txt").write_text("abc\nde\n")
    (tmp_path / "test.txt").write_text("abcd\ndef\n")
    shutil.copytree(copy_task / "run", tmp_path / "runs" / "first")
    assert written.name == "run.yaml"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    own_pieces.forget()
    yield tmp_path
    own_pieces.forget()
    sys.modules.pop("pieces", None)


def test_the_page_has_them_all() -> None:
    for name in ("LengthRatio", "FocalLoss", "WordDropout", "missing_words"):
        assert re.search(rf"\b(class|def) {name}\b", MODULE)
        assert any(f"pieces:{name}" in command for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_page_runs(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program, *words = shlex.split(command)
    assert program == "seq2seq"
    if "--help" in words:
        with pytest.raises(SystemExit):
            main(words)
        assert "--objective.pieces:FocalLoss.gamma FLOAT" in capsys.readouterr().out
        return
    assert main(words) == 0
    if words[0] == "score":
        printed = capsys.readouterr().out
        assert re.search(r"length_ratio +71.43 +length_ratio", printed), "5 of 7 characters"
        return
    config = (folder / "run" / "config.yaml").read_text()
    assert "pieces:" in config
    entries = [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in entries if entry["kind"] == "validation"][-1] == 2
    if "LengthRatio" in command:
        assert all("pieces:LengthRatio" in entry for entry in entries if entry["kind"] == "validation")


def test_a_run_goes_on_and_is_used_without_the_module(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = ["--objective", "pieces:FocalLoss", "--decoder_inputs", "pieces:WordDropout"]
    own += ["--validation.metrics", "[exact_match, pieces:LengthRatio]"]
    assert main(["train", "run.yaml", *own]) == 0
    assert main(["train", "run.yaml", *own, "--training.max_steps", "4"]) == 0
    config = (folder / "run" / "config.yaml").read_text()
    own_pieces.forget()
    del sys.modules["pieces"]
    (folder / "pieces.py").write_text("raise SystemExit('code of a folder has run')\n")
    (folder / "run" / "pieces.py").write_text("raise SystemExit('code of a folder has run')\n")
    for checkpoint in ([], ["--checkpoint", "last"]):
        decode = ["decode", "--model", "run", "--input", "test.txt", "--output", "out.txt", "--processes", "1"]
        assert main([*decode, *checkpoint]) == 0
    export = ["export", "--model", "run", "--checkpoint", "last", "--format", "transformers", "--output", "exported"]
    assert main(export) == 0
    assert main(["info", "run"]) == 0
    assert (folder / "run" / "config.yaml").read_text() == config
    assert "code of a folder" not in "".join(capsys.readouterr())
    (folder / "pieces.py").unlink()
    assert main(["train", "run/config.yaml", "--training.max_steps", "6"]) == 2
    assert "there is no module `pieces`" in capsys.readouterr().err
    (folder / "pieces.py").write_text(MODULE)
    assert main(["train", "run/config.yaml", "--training.max_steps", "6"]) == 0


def test_a_search_that_a_folder_names_is_not_imported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "runs" / "first" / "model" / "decoding.json"
    search = {"minimum_bayes_risk": {"metric": "pieces:LengthRatio"}}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"search": search}))
    decode = ["decode", "--model", "runs/first", "--input", "test.txt", "--output", "out.txt", "--processes", "1"]
    assert main(decode) == 2
    printed = capsys.readouterr().err
    assert "its code is imported only where you name it yourself" in printed
    assert printed.count("\n") == 1
    assert "pieces" not in sys.modules
    assert main([*decode, "--mbr", "pieces:LengthRatio", "--num-samples", "2"]) == 0
    assert "pieces" in sys.modules


def test_from_python(folder: Path) -> None:
    sys.path.append(str(folder))
    generator = seq2seq.load("runs/first", device="cpu")
    with pytest.raises(ValueError, match="only where you name it yourself"):
        generator.searcher(mbr="pieces:LengthRatio")  # as a server does, for a request
    scores = seq2seq.score(["abc"], ["abcd"], metrics=["pieces:LengthRatio"])
    assert scores.values == {"length_ratio": 75.0}
    assert len(generator("abc", mbr="pieces:LengthRatio", num_samples=2)) == 1
