"""A run that copies letters, and what decodes with it."""

from pathlib import Path

import pytest

from seq2seq.apps.command import main
from tests.tiny_run import copy_task, private_cache, without_curves

__all__ = ["copy_task", "private_cache", "without_curves"]


@pytest.fixture
def command(copy_task: Path, tmp_path: Path) -> list[str]:
    """Return arguments that decode `input.txt` into `output.txt`."""
    (tmp_path / "input.txt").write_text("abc\ncab\nbac\n")
    files = ["--input", str(tmp_path / "input.txt"), "--output", str(tmp_path / "output.txt")]
    return ["--model", str(copy_task / "run"), *files]


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line on standard error of a decoding that is refused."""
    assert main(["decode", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("seq2seq decode: error: ")
    assert error.count("\n") == 1, error
    return error
