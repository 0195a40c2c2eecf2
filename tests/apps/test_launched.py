import errno
import subprocess
import sys
from pathlib import Path

import pytest

from seq2seq.apps.command import main
from seq2seq.apps.launched import is_said_by_another
from tests.tiny_run import write_copy_task

GONE = RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:42")


@pytest.mark.parametrize(
    ("rank", "size", "error", "silent"),
    [
        (None, None, ValueError("wrong"), False),
        ("0", "2", ValueError("wrong"), False),
        ("1", "2", ValueError("wrong"), True),
        ("1", "1", ValueError("wrong"), False),
        ("1", "2", FileNotFoundError(errno.ENOENT, "no such file", "x"), True),
        ("1", "2", MemoryError(), False),
        ("1", "2", IndexError("a fault of our own"), False),
        ("1", "2", GONE, True),
        ("0", "2", GONE, False),
    ],
)
def test_one_process_says_what_all_find(
    rank: str | None, size: str | None, error: Exception, silent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("LOCAL_RANK", rank), ("WORLD_SIZE", size)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert is_said_by_another(error) == silent


def test_a_process_that_has_gone_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    def gone(arguments: list[str]) -> int:
        raise GONE

    monkeypatch.setattr("seq2seq.apps.train.run", gone)
    assert main(["train"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("seq2seq train: error: another process of this run has gone, or has never come ([gloo")
    assert said.count("\n") == 1


@pytest.mark.slow
def test_a_refusal_of_several_processes_is_one_line(tmp_path: Path) -> None:
    command = ["-m", "seq2seq.apps.command", "train", write_copy_task(tmp_path), "--training.max_steps", "0"]
    environment = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    done = [
        subprocess.run(
            [sys.executable, *command],
            env=environment | {"RANK": rank, "LOCAL_RANK": rank, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=False,
        )
        for rank in ("0", "1")
    ]
    assert [process.returncode for process in done] == [2, 2]
    assert "`max_steps` must be at least 1" in done[0].stderr
    assert done[1].stderr == ""


def test_nobody_is_waited_for_that_no_launcher_has_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    sizes = {"training": {"max_steps": 1}, "validation": {"every": 0, "metrics": [], "select_by": "loss"}}
    with pytest.warns(UserWarning, match="`WORLD_SIZE` is 3 .* this is taken for the only process"):
        assert main(["train", write_copy_task(tmp_path, **sizes)]) == 0
    assert "Trained 1 steps" in capsys.readouterr().out
