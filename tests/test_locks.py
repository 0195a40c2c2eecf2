"""Locks that name their holder."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seq2seq import locks
from seq2seq.locks import locked

HOLD = """
import os, sys, time
from seq2seq.locks import locked
with locked(sys.argv[1]):
    if child := os.fork():
        print(child, flush=True)
    time.sleep(30)
"""


@pytest.mark.parametrize("is_folder", [True, False])
def test_the_second_is_told_who_was_first(tmp_path: Path, is_folder: bool) -> None:
    place = tmp_path if is_folder else tmp_path / "output"
    with locked(place):
        with (
            pytest.raises(ValueError, match=rf"in use by process {os.getpid()} on .* since 20.*\(`.*Wait until"),
            locked(place),
        ):
            pass
        other = tmp_path / "other"
        with locked(other):
            pass
    assert list(tmp_path.iterdir()) == []
    with locked(place):
        pass


def test_a_lock_ends_with_its_process_though_a_child_lives(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        try:
            with pytest.raises(ValueError, match=f"process {holder.pid} "), locked(tmp_path):
                pass
            time.sleep(0.2)  # until the child has let go
            holder.kill()
            holder.wait()
            with locked(tmp_path):
                pass
        finally:
            os.kill(child, signal.SIGKILL)


def test_one_that_has_not_said_its_name_yet_holds_too(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(locks, "_holder", lambda: "")
    with locked(tmp_path), pytest.raises(ValueError, match="in use by another process"), locked(tmp_path):
        pass


def test_the_lock_of_another_holder_stays(tmp_path: Path) -> None:
    """Somebody has replaced the folder, and holds the new one."""
    place = tmp_path / "run"
    place.mkdir()
    with locked(place):
        place.rename(tmp_path / "moved")
        place.mkdir()
        (place / ".lock").touch()
    assert (place / ".lock").exists()


def test_a_device_belongs_to_nobody() -> None:
    with locked("/dev/null"), locked("/dev/null"):
        assert not Path("/dev/.null.lock").exists()


def test_a_bad_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, locked(tmp_path / "nowhere" / "output"):
        pass
    assert caught.value.filename == str(tmp_path / "nowhere" / "output")


def test_a_file_system_without_locks_is_warned_of(tmp_path: Path, monkeypatch) -> None:
    def failing(descriptor: int, operation: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", failing)
    with pytest.warns(UserWarning, match=r"cannot be locked \(No locks available\)"), locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []
