"""Lines and worker processes that fail while `seq2seq decode` runs: what is left of the others, and what is said."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import seq2seq
from seq2seq.apps.command import main
from seq2seq.decoding import Hypothesis
from seq2seq.decoding.running.in_process import InProcess
from seq2seq.generation.batches import SourceBatch
from tests.apps.test_decode import error_of


def fail_on(monkeypatch: pytest.MonkeyPatch, rows: set[int], fault: Callable[[], Any]) -> None:
    """Let whatever is searched together with one of these lines call a function first."""
    searched = InProcess._searched

    def failing(self: InProcess, batch: SourceBatch, *others: Any) -> Iterator[tuple[int, list[Hypothesis]]]:
        if rows & set(batch.rows):
            fault()
        return searched(self, batch, *others)

    monkeypatch.setattr(InProcess, "_searched", failing)


def out_of_range() -> None:
    raise IndexError("index out of range in self")


@pytest.mark.parametrize("sharing", [["--processes", "1"], ["--processes", "2", "--batch-tokens", "30"]])
@pytest.mark.parametrize("from_file", [True, False])
def test_lines_that_fail_leave_all_others(
    command: list[str],
    tmp_path: Path,
    sharing: list[str],
    from_file: bool,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    fail_on(monkeypatch, {1}, out_of_range)
    reference = ["--reference", str(tmp_path / "input.txt"), "--metrics", "exact_match"]
    if not from_file:
        del command[-2:]
    assert main(["decode", *command, *sharing, *reference]) == 1
    printed = capfd.readouterr()
    output = (tmp_path / "output.txt").read_text() if from_file else printed.out
    assert output == "abc\n\nbac\n"
    assert "seq2seq decode: 1 line could not be decoded and left an empty output; see above.\n" in printed.err
    assert "66.67" in (printed.out if from_file else printed.err), "scored all the same"
    assert "Line 2 could not be decoded: IndexError: index out of range in self" in caplog.text


def test_a_failure_has_its_reason_beside_it(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_on(monkeypatch, {0, 2}, out_of_range)
    assert main(["decode", *command, "--format", "jsonl", "--n-best", "2"]) == 1
    lists = [json.loads(line)["hypotheses"] for line in (tmp_path / "output.txt").read_text().splitlines()]
    assert [[h.get("error") for h in hypotheses] for hypotheses in lists] == [
        ["IndexError: index out of range in self"],
        [None, None],
        ["IndexError: index out of range in self"],
    ]
    assert "2 lines could not be decoded" in capsys.readouterr().err
    [hypothesis] = seq2seq.load(command[1], device="cpu")("abc")
    assert (hypothesis.text, hypothesis.error) == ("", "IndexError: index out of range in self")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_is_gone_is_an_error(
    command: list[str],
    number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fail_on(monkeypatch, {1}, lambda: os.kill(os.getpid(), number))
    error = error_of([*command, "--processes", "2", "--batch-tokens", "30"], capsys)
    assert f"A process that searches was ended by {number.name}" in error
    assert ("lower `--batch-tokens`" in error) == (number == signal.SIGKILL)
