"""A run that copies letters, and what decodes with it."""

from pathlib import Path

import pytest

from tests.tiny_run import copy_task, private_cache, without_curves

__all__ = ["copy_task", "private_cache", "without_curves"]


@pytest.fixture
def command(copy_task: Path, tmp_path: Path) -> list[str]:
    """Return arguments that decode `input.txt` into `output.txt`."""
    (tmp_path / "input.txt").write_text("abc\ncab\nbac\n")
    files = ["--input", str(tmp_path / "input.txt"), "--output", str(tmp_path / "output.txt")]
    return ["--model", str(copy_task / "run"), *files]
