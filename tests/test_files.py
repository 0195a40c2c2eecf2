"""Files and folders that appear whole or not at all."""

import os
import random
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from seq2seq import files
from seq2seq.files import (
    added_files,
    fingerprint,
    is_special,
    new_folder,
    remove_folder,
    remove_leftovers,
    rename_folder,
    written,
)


@pytest.fixture
def umask() -> Iterator[Callable[[int], None]]:
    before = os.umask(0o022)
    yield lambda mask: os.umask(mask) and None
    os.umask(before)


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def dead_process() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    found = fingerprint(tmp_path / "file")
    assert found == {"bytes": 3, "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}


# ---- files -----------------------------------------------------------------------------------------------------------


def test_a_file_takes_its_name_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with written(path) as file:
        file.write("neü\n")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_bytes() == "neü\n".encode()
    with written(str(path), "wb") as file:
        file.write(b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert names(tmp_path) == ["file"]


def write_half(path: Path, error: BaseException) -> None:
    with written(path) as file:
        file.write("new")
        raise error


@pytest.mark.parametrize("error", [OSError("no"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file_alone(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(type(error)):
        write_half(path, error)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_files_have_the_rights_that_the_umask_leaves_or_keep_their_own(tmp_path: Path, umask) -> None:
    path = tmp_path / "file"
    for mask, expected in ((0o022, 0o644), (0o077, 0o600), (0o002, 0o664)):
        umask(mask)
        with written(path):
            pass
        assert rights(path) == expected
        path.unlink()
    path.touch()
    path.chmod(0o640)
    with written(path):
        pass
    assert rights(path) == 0o640


def test_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "file"
    barrier = threading.Barrier(7, timeout=300)

    def write(number: int) -> None:
        for _ in range(12):
            barrier.wait()
            with written(path) as file:
                file.writelines(f"{number}\n" for _ in range(1000))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(path.read_text().split())) == 1
    assert len(path.read_text().split()) == 1000
    assert names(tmp_path) == ["file"]


def test_a_bad_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, written(tmp_path / "nowhere" / "file"):
        pass
    assert caught.value.filename == str(tmp_path / "nowhere" / "file")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError), written(tmp_path / "file" / "file"):
        pass
    with pytest.raises(IsADirectoryError) as caught_too, written(tmp_path):
        pass
    assert caught_too.value.filename == str(tmp_path)


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    program = (
        "import resource, signal, sys; from seq2seq.files import written\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    with written(sys.argv[1]) as file:\n        file.write('a' * 5000)\n"
        "except OSError as error:\n    print(error.strerror, error.filename)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "file")], capture_output=True, text=True)
    assert done.stdout == f"File too large {tmp_path / 'file'}\n", done.stderr
    assert names(tmp_path) == []


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    link = tmp_path / "link"
    link.symlink_to("far/file")  # where there is nothing yet
    for text in ("first", "second"):
        with written(link) as file:
            file.write(text)
        assert link.is_symlink()
        assert (tmp_path / "far" / "file").read_text() == text
    assert names(tmp_path / "far") == ["file"]


def test_a_pipe_and_a_device_are_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_text()))
    reader.start()
    with written(pipe, may_be_stream=True) as file:
        file.write("through")
    reader.join()
    assert found == ["through"]
    assert is_special(pipe)
    with written("/dev/null", may_be_stream=True) as file:
        file.write("away")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    assert names(tmp_path) == ["pipe"]


def test_a_pipe_in_the_place_of_a_file_of_our_own_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe: a pipe or a device, where a file is to be written"):
        written(tmp_path / "pipe").__enter__()


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_a_standard_stream_keeps_what_was_written_to_it(tmp_path: Path, name: str) -> None:
    program = (
        "import sys; from seq2seq.files import written\n"
        f"print('first')\nwith written({name!r}, may_be_stream=True) as file:\n"
        "    file.write('second\\n')\nprint('third')\n"
    )
    output = tmp_path / "output"
    output.write_text("zeroth\n")
    with output.open("a") as file:
        subprocess.run([sys.executable, "-c", program], stdout=file, check=True)
    assert output.read_text().split() == ["zeroth", "first", "second", "third"]


def test_what_a_kill_has_left_goes_with_the_next_attempt_and_nothing_else_does(tmp_path: Path) -> None:
    dead = dead_process()
    ours = f".file.{files._machine()}-{dead}-0123abcd.unfinished"
    others = [
        "file.tmp",
        ".file.tmp",
        f".other.{files._machine()}-{dead}-0123abcd.unfinished",
        f".file.{'0' * 8}-{dead}-0123abcd.unfinished",  # of another machine
        f".file.{files._machine()}-{os.getpid()}-0123abcd.unfinished",  # of one that lives
        f".file.{files._machine()}-{dead}-0123abcd.kept",
    ]
    for name in (ours, *others):
        (tmp_path / name).touch()
    with written(tmp_path / "file"):
        pass
    assert names(tmp_path) == sorted(["file", *others])


# ---- folders ---------------------------------------------------------------------------------------------------------


def test_a_folder_stands_where_another_did_once_it_is_full(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "model"
    folder.mkdir(parents=True)
    (folder / "old").write_text("old")
    with new_folder(folder) as unfinished:
        (unfinished / "weights").write_text("new")
        assert names(folder) == ["old"]
    assert names(folder) == ["weights"]
    assert names(folder.parent) == ["model"]


def fill_half(folder: Path) -> None:
    with new_folder(folder) as unfinished:
        (unfinished / "weights").write_text("half")
        raise OSError("no space")


def test_a_failure_leaves_the_old_folder_alone(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "old").write_text("old")
    with pytest.raises(OSError, match="no space"):
        fill_half(folder)
    assert names(tmp_path) == ["model"]
    assert (folder / "old").read_text() == "old"


def test_a_folder_that_is_not_ours_stays(tmp_path: Path) -> None:
    (tmp_path / "model.tmp").mkdir()
    (tmp_path / "model.tmp" / "mine").touch()
    dead = tmp_path / f".model.{files._machine()}-{dead_process()}-0123abcd.unfinished"
    dead.mkdir()
    (dead / "half").touch()
    with new_folder(tmp_path / "model") as unfinished:
        (unfinished / "weights").touch()
    assert names(tmp_path) == ["model", "model.tmp"]
    assert names(tmp_path / "model.tmp") == ["mine"]


def test_a_file_that_cannot_be_removed_costs_neither_folder(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_text("old")
    unlink = os.unlink

    def failing(path, *arguments, **options) -> None:
        if os.fspath(path).endswith("weights"):
            raise OSError(16, "busy")
        unlink(path, *arguments, **options)

    monkeypatch.setattr(os, "unlink", failing)
    with pytest.warns(UserWarning, match=r"\.model\..*remove it yourself"), new_folder(folder) as unfinished:
        (unfinished / "weights").write_text("new")
    monkeypatch.undo()
    assert (folder / "weights").read_text() == "new"
    [left] = [path for path in tmp_path.iterdir() if path.name != "model"]
    assert (left / "weights").read_text() == "old"


def test_the_old_folder_comes_back_where_the_new_one_cannot_stand(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_text("old")
    rename = os.rename

    def failing(source, target) -> None:
        if str(source).endswith("unfinished"):
            raise OSError(5, "input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(OSError, match="input/output"), new_folder(folder) as unfinished:
        (unfinished / "weights").write_text("new")
    assert names(tmp_path) == ["model"]
    assert (folder / "weights").read_text() == "old"


def test_all_files_of_a_folder_have_the_rights_that_the_umask_leaves(tmp_path: Path, umask) -> None:
    for mask, expected, of_folder in ((0o022, 0o644, 0o755), (0o077, 0o600, 0o700)):
        umask(mask)
        with new_folder(tmp_path / "model") as unfinished:
            (unfinished / "inner").mkdir()
            for name in ("weights", "inner/tokens"):
                (unfinished / name).touch()
                (unfinished / name).chmod(0o600)
        assert {rights(tmp_path / "model" / name) for name in ("weights", "inner/tokens")} == {expected}
        assert rights(tmp_path / "model") == of_folder


def test_a_folder_behind_a_link_is_replaced_there(tmp_path: Path) -> None:
    (tmp_path / "far" / "model").mkdir(parents=True)
    (tmp_path / "model").symlink_to(tmp_path / "far" / "model")
    with new_folder(tmp_path / "model") as unfinished:
        (unfinished / "weights").touch()
    assert (tmp_path / "model").is_symlink()
    assert names(tmp_path / "far" / "model") == ["weights"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "model").touch()
    with pytest.raises(NotADirectoryError), new_folder(tmp_path / "model"):
        pass
    assert names(tmp_path) == ["model"]


def test_makers_of_one_folder_do_not_meet(tmp_path: Path) -> None:
    """One may look whether the folder is there while another one has just put it aside."""
    barrier, draw = threading.Barrier(5, timeout=60), random.Random(1)

    def make(number: int) -> None:
        for _ in range(200):
            barrier.wait()
            time.sleep(draw.random() * 0.004)
            with new_folder(tmp_path / "model") as unfinished:
                for name in ("a", "b"):
                    (unfinished / name).write_text(str(number))

    with ThreadPoolExecutor(5) as pool:
        for made in [pool.submit(make, number) for number in range(5)]:
            made.result()
    assert (tmp_path / "model" / "a").read_text() == (tmp_path / "model" / "b").read_text()
    assert names(tmp_path) == ["model"]


def test_files_are_added_beside_others(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    (tmp_path / "tokens").write_text("old")
    with added_files(tmp_path) as unfinished:
        (unfinished / "tokens").write_text("new")
        (unfinished / "merges").touch()
        assert (tmp_path / "tokens").read_text() == "old"
    assert names(tmp_path) == ["merges", "other", "tokens"]
    assert (tmp_path / "tokens").read_text() == "new"


def test_folders_are_removed_and_renamed_whole(tmp_path: Path, monkeypatch) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    rename_folder(tmp_path / "a", tmp_path / "b")
    assert names(tmp_path) == ["b"]
    assert names(tmp_path / "b") == ["a"]
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        remove_folder(tmp_path / "b")
    monkeypatch.undo()
    [left] = names(tmp_path)
    assert left.endswith(".replaced")
    (tmp_path / left).rename(tmp_path / left.replace(f"-{os.getpid()}-", f"-{dead_process()}-"))
    (tmp_path / "b").mkdir()
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["b"]
    remove_folder(tmp_path / "b")
    assert names(tmp_path) == []


def test_what_was_replaced_stays_while_nothing_has_taken_its_place(tmp_path: Path) -> None:
    left = tmp_path / f".model.{files._machine()}-{dead_process()}-0123abcd.replaced"
    left.mkdir()
    (tmp_path / "model2").mkdir()
    remove_leftovers(tmp_path)
    assert left.is_dir()
    with new_folder(tmp_path / "model"):
        pass
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["model", "model2"]
