"""The exports of docs/browser.md, on the copy task and packages that are only names."""

import re
import shlex
from pathlib import Path

import pytest

from seq2seq.apps.command import main
from tests.export.web_packages import empty_packages

pytest.importorskip("onnxruntime", reason="onnxruntime is an optional package")
pytest.importorskip("onnx", reason="onnx is an optional package")

PAGE = (Path(__file__).resolve().parents[2] / "docs/browser.md").read_text(encoding="utf-8")


def test_its_exports(copy_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    empty_packages(tmp_path / "web")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine").symlink_to(copy_task / "run")
    (tmp_path / "test.source").write_text((copy_task / "test.txt").read_text())
    commands = re.findall(r"^seq2seq (export .*)$", PAGE, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        assert main(shlex.split(command)) == 0
        assert (tmp_path / "site" / "engine.json").is_file()
