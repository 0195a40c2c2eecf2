"""Warnings of ours are errors, and those of a foreign plugin of pytest are none of ours."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = """import warnings

warnings.warn("on import")

def pytest_load_initial_conftests(): warnings.warn("before the conftest")
def pytest_configure(): warnings.warn("when set up")
def pytest_sessionstart(): warnings.warn("at the start")
def pytest_sessionfinish(): warnings.warn("at the end")
def pytest_terminal_summary(): warnings.warn("in the summary")
"""


def test_a_warning_is_an_error() -> None:
    with pytest.raises(UserWarning, match="now"):
        warnings.warn("now", stacklevel=1)


@pytest.mark.slow
def test_a_plugin_that_warns_ends_no_session(tmp_path: Path) -> None:
    (tmp_path / "warns_always.py").write_text(PLUGIN)
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "warns_always", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, f"{__file__}::test_a_warning_is_an_error"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
