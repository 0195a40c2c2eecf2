"""Lines through pipes: those that have come are decoded while others are awaited."""

import io
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from seq2seq.generation.arrival import as_they_come, input_lines, is_pipe, is_typed
from seq2seq.generation.corpus import pools_of
from seq2seq.lines import is_stream


def slowly(*lines: str | float) -> Iterator[str]:
    """Yield the texts, and sleep for the numbers."""
    for line in lines:
        if isinstance(line, str):
            yield line
        else:
            time.sleep(line)


def test_silence_ends_a_pool() -> None:
    lines = as_they_come(slowly("a", "b", 0.4, "c", 0.4))
    assert list(pools_of(lines, None, 2000)) == [(["a", "b"], None), (["c"], None)]


def test_full_pools_of_who_writes_quickly() -> None:
    lines = as_they_come(str(number) for number in range(4500))
    assert [len(pool) for pool, _ in pools_of(lines, None, 2000)] == [2000, 2000, 500]


def test_who_writes_steadily_does_not_wait_for_ever() -> None:
    lines = as_they_come(slowly(*["a", 0.02] * 100))
    begun = time.monotonic()
    first, _ = next(pools_of(lines, None, 2000))
    assert time.monotonic() - begun < 1.9
    assert 1 <= len(first) < 100


def test_prefixes_go_with_their_lines() -> None:
    lines = as_they_come(slowly("a", 0.3, "b", "c"))
    assert list(pools_of(lines, ["x", "y", "z"], 2)) == [(["a"], ["x"]), (["b", "c"], ["y", "z"])]


def test_what_reading_raises_comes_in_its_place() -> None:
    def failing() -> Iterator[str]:
        yield "a"
        raise ValueError("line 2 is bad")

    lines = as_they_come(failing())
    assert next(lines) == "a"
    with pytest.raises(ValueError, match="line 2 is bad"):
        next(line for line in lines if line is not None)


def test_the_empty_pipe() -> None:
    assert list(pools_of(as_they_come([]), None, 10)) == []


def test_kinds_of_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, pipe = tmp_path / "file", tmp_path / "pipe"
    file.write_bytes(b"a\r\n\xc3\xa4\n")
    os.mkfifo(pipe)
    for name, expected in ((file, (False, False)), (pipe, (True, True)), (tmp_path / "none", (False, False))):
        assert (is_pipe(str(name)), is_stream(str(name))) == expected
    assert list(input_lines(str(file))) == ["a", "ä"]
    writer = threading.Thread(target=pipe.write_text, args=("a\nb",))
    writer.start()
    assert [line for line in input_lines(str(pipe)) if line is not None] == ["a", "b"]
    writer.join()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"b\n\nc\xff\n")))
    assert (is_pipe("-"), is_stream("-"), is_typed("-")) == (False, True, False)
    lines = input_lines("-")
    assert [next(lines), next(lines)] == ["b", ""]
    with pytest.raises(ValueError, match="standard input:3: not valid UTF-8"):
        next(lines)
