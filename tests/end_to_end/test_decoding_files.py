"""Decoding a file to a file survives a stop, and never leaves half an output."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from seq2seq.apps import decoding_texts
from seq2seq.apps.command import main
from seq2seq.generation import files

POOL_LINES = 11


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the 53 lines of the test file make five parts."""
    monkeypatch.setattr(decoding_texts, "decode_file", partial(files.decode_file, pool_lines=POOL_LINES))


def interrupt_at(monkeypatch: pytest.MonkeyPatch, part: int) -> list[str]:
    """Press Ctrl-C as a part is to be written; return the list of parts that are written before."""
    written: list[str] = []
    write_nbest = files.write_nbest

    def interrupted(path: Path, *arguments: Any, **options: Any) -> None:
        if path.name == f"part-{part:08}.jsonl":
            raise KeyboardInterrupt
        write_nbest(path, *arguments, **options)
        written.append(path.name)

    monkeypatch.setattr(files, "write_nbest", interrupted)
    return written


def test_a_stopped_decode_goes_on_and_replaces_the_output_when_whole(
    copy_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["decode", "--model", str(copy_task / "run"), "--input", str(copy_task / "test.txt"), "--n-best", "2"]
    whole, output = tmp_path / "whole.jsonl", tmp_path / "output.jsonl"
    assert main([*command, "--output", str(whole)]) == 0
    output.write_text("what was there before\n")
    with monkeypatch.context() as patch:
        assert interrupt_at(patch, 2) == []
        assert main([*command, "--output", str(output)]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert output.read_text() == "what was there before\n"
    with monkeypatch.context() as patch:
        written = interrupt_at(patch, -1)
        assert main([*command, "--output", str(output)]) == 0
        assert written == [*(f"part-{part:08}.jsonl" for part in (2, 3, 4)), "output.jsonl"]
    assert output.read_bytes() == whole.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"whole.jsonl", "output.jsonl"}


def test_parts_of_another_search_are_in_the_way(
    copy_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["decode", "--model", str(copy_task / "run"), "--input", str(copy_task / "test.txt")]
    with monkeypatch.context() as patch:
        interrupt_at(patch, 1)
        assert main([*command, "--output", str(tmp_path / "output.txt")]) == 130
    capsys.readouterr()
    assert main([*command, "--output", str(tmp_path / "output.txt"), "--beam-width", "2"]) == 2
    error = capsys.readouterr().err
    assert "another search" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "output.txt").exists()


def test_empty_lines_stay_in_their_places(copy_task: Path, tmp_path: Path) -> None:
    texts = [*(copy_task / "test.txt").read_text().splitlines()[:9], "", "abc", " ", "", "abc", ""]
    (tmp_path / "input.txt").write_text("\n".join(texts) + "\n")
    command = ["decode", "--model", str(copy_task / "run"), "--input", str(tmp_path / "input.txt")]
    assert main([*command, "--output", str(tmp_path / "output.txt")]) == 0
    lines = (tmp_path / "output.txt").read_text().split("\n")[:-1]
    assert [bool(line) for line in lines] == [bool(text.strip()) for text in texts]
    assert sum(line == text.strip() for line, text in zip(lines, texts, strict=True)) > 12


def test_a_full_disk_leaves_the_old_output(
    copy_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    output = tmp_path / "output.txt"
    output.write_text("old\n")
    monkeypatch.setattr(files, "write_nbest", full)
    command = ["decode", "--model", str(copy_task / "run"), "--input", str(copy_task / "test.txt")]
    assert main([*command, "--output", str(output)]) == 2
    assert "error: no space left on device." in capsys.readouterr().err
    assert output.read_text() == "old\n"
