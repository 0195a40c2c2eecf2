"""What `seq2seq decode` reads from and writes to: files of any kind, and what is no file of its own."""

import gzip
import os
import select
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from seq2seq.apps.command import main
from seq2seq.locks import locked


@pytest.fixture
def decoded(copy_task: Path, tmp_path: Path) -> Callable[..., str]:
    """Return a function that decodes `abc`, `cab` and returns the output."""
    (tmp_path / "input").write_text("abc\ncab\n")

    def decode(*more: str, output: Path | str = tmp_path / "output") -> str:
        files = ["--input", str(tmp_path / "input"), "--output", str(output)]
        assert main(["decode", "--model", str(copy_task / "run"), *files, "--processes", "1", *more]) == 0
        return Path(output).read_text() if Path(output).is_file() else ""

    return decode


def fed(pipe: Path, text: str) -> threading.Thread:
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(text,))
    writer.start()
    return writer


def test_marks_and_compression_are_no_text(decoded: Callable[..., str], tmp_path: Path) -> None:
    plain = decoded("--format", "jsonl")
    for data in (b"\xef\xbb\xbfabc\r\ncab\r\n", gzip.compress(b"abc\ncab\n"), "\ufeffabc\ncab\n".encode("utf-16-le")):
        (tmp_path / "input").write_bytes(data)
        assert decoded("--format", "jsonl") == plain


def test_a_device_and_a_pipe_are_written_to(decoded: Callable[..., str], tmp_path: Path) -> None:
    decoded(output="/dev/null")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    pipe, found = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: found.append(pipe.read_text()))
    reader.start()
    decoded(output=pipe)
    reader.join()
    assert found == ["abc\ncab\n"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["input", "pipe"]


def test_a_link_is_followed(decoded: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far" / "output")
    assert decoded(output=tmp_path / "link") == "abc\ncab\n"
    assert (tmp_path / "link").is_symlink()
    assert [path.name for path in (tmp_path / "far").iterdir()] == ["output"]


@pytest.mark.parametrize("input_is_pipe", [False, True])
def test_prefixes_come_from_a_pipe(decoded: Callable[..., str], tmp_path: Path, input_is_pipe: bool) -> None:
    writers = [fed(tmp_path / "prefixes", "b\nc\n")]
    if input_is_pipe:
        (tmp_path / "input").unlink()
        writers.append(fed(tmp_path / "input", "abc\ncab\n"))
    assert [line[0] for line in decoded("--prefixes", str(tmp_path / "prefixes")).split()] == ["b", "c"]
    for writer in writers:
        writer.join()


@pytest.mark.parametrize("is_pipe", [False, True])
def test_an_output_is_for_one_decode_at_a_time(
    copy_task: Path, tmp_path: Path, is_pipe: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    name, output = tmp_path / "input", tmp_path / "output"
    writer = fed(name, "abc\n") if is_pipe else None
    if writer is None:
        name.write_text("abc\n")
    with locked(output):
        files = ["--input", str(name), "--output", str(output), "--processes", "1"]
        assert main(["decode", "--model", str(copy_task / "run"), *files]) == 2
    error = capsys.readouterr().err
    assert f"error: {output} is in use by process {os.getpid()}" in error
    assert error.count("\n") == 1
    if writer is not None:
        if writer.is_alive():
            name.read_text()
        writer.join()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["input"]


@pytest.mark.parametrize("processes", ["1", "2"])
def test_lines_of_a_pipe_are_answered_as_they_come(copy_task: Path, processes: str) -> None:
    command = [sys.executable, "-m", "seq2seq.apps.command", "decode", "--model", str(copy_task / "run")]
    with subprocess.Popen(
        [*command, "--processes", processes], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for lines in (["abc", "cab"], ["bac"], ["", "abcd", "dcba"]):
            process.stdin.write("".join(f"{line}\n" for line in lines).encode())
            process.stdin.flush()
            answer = b""
            while answer.count(b"\n") < len(lines):
                assert select.select([process.stdout], [], [], 60)[0], "an answer while the pipe is open"
                answer += os.read(process.stdout.fileno(), 1000)
            assert answer.decode().splitlines() == lines
        process.stdin.close()
        assert (process.stdout.read(), process.stderr.read(), process.wait()) == (b"", b"", 0)


def test_an_error_while_a_pipe_is_open_is_one_line(copy_task: Path) -> None:
    command = [sys.executable, "-m", "seq2seq.apps.command", "decode", "--model", str(copy_task / "run")]
    with subprocess.Popen(
        [*command, "--processes", "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"abc\nb\xe9\n")
        process.stdin.flush()
        error = process.stderr.read().decode()
        assert process.wait() == 2
    assert error.startswith("seq2seq decode: error: standard input:2: not valid UTF-8 (byte 2 of the line, 0xe9)")
    assert error.count("\n") == 1
