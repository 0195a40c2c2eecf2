"""`seq2seq average`: what is written, and mistakes in one line."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from seq2seq.apps.command import main


def test_a_mean_can_be_decoded_with(copy_task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, mean = str(copy_task / "run"), str(tmp_path / "mean")
    assert main(["average", "--model", run, run, "--weights", "1", "3", "--output", mean]) == 0
    assert "mean of 2 models" in capsys.readouterr().out
    for model in (run, mean):
        output = str(tmp_path / f"{Path(model).name}.txt")
        assert main(["decode", "--model", model, "--input", str(copy_task / "test.txt"), "--output", output]) == 0
    assert (tmp_path / "mean.txt").read_bytes() == (tmp_path / "run.txt").read_bytes() != b""


def test_one_model_has_no_mean(copy_task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["average", "--model", str(copy_task / "run"), "--output", str(tmp_path / "mean")]) == 2
    assert capsys.readouterr().err == "seq2seq average: error: A mean is of two or more models.\n"


FULL_DISK = """
import resource, signal, sys
from seq2seq.apps.command import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
raise SystemExit(main(["average", *sys.argv[1:]]))
"""


def test_a_full_disk_leaves_nothing(copy_task: Path, tmp_path: Path) -> None:
    run, mean = str(copy_task / "run"), str(tmp_path / "mean")
    command = [sys.executable, "-c", FULL_DISK, "--model", run, run, "--output", mean]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert re.fullmatch(rf"seq2seq average: error: {mean}: .*too large.*\n", done.stderr), done.stderr
    assert list(tmp_path.iterdir()) == []
