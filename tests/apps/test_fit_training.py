"""The training of a plan on several processes: how they share a step, end, are stopped, and go on."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seq2seq.apps import fit_training
from seq2seq.apps.command import main
from seq2seq.apps.fit_training import Member, Said, Started
from seq2seq.assembly.configuration import read_run_config
from seq2seq.fitting import probe
from tests.tiny_run import distinct_texts

ROOT = Path(__file__).parents[2]
SET = [
    *("--set", "model.d_model=32", "model.encoder_layers=1", "model.decoder_layers=1", "model.ffn_size=64"),
    *("model.num_heads=2", "data.batch_tokens=512", "training.log_every=1"),
]
SHORT, LONG = "training.max_steps=12", "training.max_steps=100000"
SECONDS = 300.0
"""What hangs should fail."""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{text}\t{text}\n" for text in distinct_texts()))
    return path


@pytest.fixture
def planned(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return what makes a plan for two processes, and returns the command that trains by it."""
    monkeypatch.setattr(probe, "SECONDS", 0.01)

    def plan(steps: str) -> list[str]:
        command = ["fit", str(table), "--output", str(tmp_path / "run"), "--processes", "2", *SET, steps]
        assert main([*command, "--plan"]) == 0
        return command

    return plan


# ---- how processes end -----------------------------------------------------------------------------------------------


class Ended:
    """A process that has ended."""

    def __init__(self, code: int) -> None:
        self.exitcode = code


class Words:
    """What a process has said before it ended."""

    def __init__(self, said: Said | None) -> None:
        self.words = said

    def poll(self) -> bool:
        return True

    def recv(self) -> tuple[Any, ...]:
        if self.words is None:
            raise EOFError
        return tuple(self.words)


def ended(*how: tuple[int, Said | None]) -> list[Started]:
    members = [Member(rank, len(how), 1, True, 1, "runs/x", 1, ()) for rank in range(len(how))]
    found: Any = [(member, Ended(code), Words(said)) for member, (code, said) in zip(members, how, strict=True)]
    return [Started(*parts) for parts in found]


GONE = (2, Said("another process of this run has gone", "", is_of_peers=True))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ([(2, Said("no such file", "", is_of_peers=False)), GONE], "^no such file$"),
        ([GONE, (2, Said("no such file", "", is_of_peers=False))], "^no such file$"),
        ([GONE, (-9, None)], "process 2 of the 2 that train in runs/x ended by SIGKILL, by which the system ends"),
        ([(3, None), (-9, None)], "process 1 of the 2 that train in runs/x ended with exit code 3"),
        ([GONE, GONE], "another process of this run has gone"),
    ],
)
def test_the_reason_is_said_once(how: list[tuple[int, Said | None]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_training._end_as(ended(*how), None)


def test_a_fault_of_our_own_has_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        fit_training._end_as(ended((2, Said(None, "Traceback of it\n", is_of_peers=False)), GONE), None)
    assert end.value.code == 1
    assert capsys.readouterr().err == "Traceback of it\n"


@pytest.fixture
def heeds_interrupts() -> Iterator[None]:
    """What runs in the background may have been started with the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeds_interrupts")
def test_what_was_stopped_ends_as_one_process_would() -> None:
    fit_training._end_as(ended((0, None), (0, None)), None)
    with pytest.raises(SystemExit) as end:
        fit_training._end_as(ended((143, None), (143, None)), signal.SIGTERM)
    assert end.value.code == 143
    for others in ((-2, None), GONE, (-9, None)):
        with pytest.raises(KeyboardInterrupt):  # before there was anything to save
            fit_training._end_as(ended((-2, None), others), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):  # behind the last step, but before the report
        fit_training._end_as(ended((0, None), (0, None)), signal.SIGINT)


# ---- whole commands --------------------------------------------------------------------------------------------------


def begun(command: list[str], folder: Path, until: str) -> subprocess.Popen[bytes]:
    """Return a command that has said so much on standard error."""
    with (folder / "err").open("wb") as errors, (folder / "out").open("wb") as output:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        line = [sys.executable, "-m", "seq2seq", *command]
        process = subprocess.Popen(line, env=environment, stdout=output, stderr=errors, start_new_session=True)
    end = time.monotonic() + SECONDS
    while until not in (folder / "err").read_text():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            raise AssertionError((folder / "err").read_text())
        time.sleep(0.05)
    return process


def children_of(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the processes that a command trains on."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            is_member = b"spawn_main" in (place / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue
        if parent == process.pid and is_member:
            found.append(int(place.name))
    return sorted(found)


@pytest.mark.slow
def test_fit_trains_on_two_processes(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(probe, "SECONDS", 0.01)
    run = tmp_path / "run"
    assert main(["fit", str(table), "--output", str(run), "--processes", "2", *SET, SHORT]) == 0
    said = " ".join(capfd.readouterr().out.split())
    assert "Machine on 2 processes of 1 thread, " in said
    assert said.count("Trained 12 steps") == 1
    assert f"Go on torchrun --nproc_per_node 2 -m seq2seq train {run / 'config.yaml'}" in said
    plan = json.loads((run / "fit.json").read_text())
    assert plan["processes"] == {"asked": 2, "devices": 0, "used": 2, "micro_batches_of_step": 2}
    assert read_run_config(run / "config.yaml").data.batch_tokens == 256
    entries = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in entries if entry["kind"] == "train"] == list(range(1, 13))
    assert json.loads((run / "report" / "report.json").read_text())["verdict"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
def test_what_is_stopped_in_any_way_goes_on(planned: Callable[..., list[str]], tmp_path: Path) -> None:
    command = planned(LONG)
    process = begun(command, tmp_path, "step 3/")
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == 128 + signal.SIGTERM
    errors = (tmp_path / "err").read_text()
    assert errors.count("SIGTERM: stopped after step") == 1
    assert errors.splitlines()[-1].endswith("Run again to go on.")

    process = begun(command, tmp_path, "step 6")
    assert "Going on from step" in (tmp_path / "err").read_text()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert process.wait(SECONDS) == 130
    assert (tmp_path / "err").read_text().splitlines()[-1].startswith("SIGINT: stopped after step")

    process = begun(command, tmp_path, "target tokens/s")
    first, second = children_of(process)
    os.kill(second, signal.SIGKILL)
    assert process.wait(SECONDS) == 2
    errors = (tmp_path / "err").read_text()
    assert "seq2seq fit: error: process 2 of the 2 that train in" in errors.splitlines()[-1]
    assert "Traceback" not in errors

    process = begun(command, tmp_path, "target tokens/s")
    members = children_of(process)
    process.kill()
    process.wait(SECONDS)
    end = time.monotonic() + 10.0
    while any(Path(f"/proc/{member}/cmdline").exists() for member in members) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{member}/cmdline").exists() for member in members), "none outlives the command"


@pytest.mark.slow
def test_a_training_that_fails_is_an_error_of_fit(
    planned: Callable[..., list[str]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = planned(SHORT)
    (tmp_path / "run" / "data" / "train.jsonl").unlink()
    capfd.readouterr()
    assert main(command) == 2
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith("seq2seq fit: error: ")
    assert "train.jsonl" in line


def test_processes_that_make_no_sense(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, message in (("0", "must be at least 1"), ("600", "cannot share 512 tokens of a micro-batch")):
        assert main(["fit", str(table), "--output", str(tmp_path / "run"), "--processes", number, *SET, SHORT]) == 2
        assert message in capsys.readouterr().err.splitlines()[-1]
        assert not (tmp_path / "run" / "fit.json").exists()


def test_another_number_is_taken_where_the_steps_stay(
    planned: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = planned(SHORT)
    planned_config = read_run_config(tmp_path / "run" / "config.yaml")
    assert 2 * planned_config.training.gradient_accumulation * planned_config.data.batch_tokens == 512
    command[command.index("2")] = "3"
    assert main(command) == 2
    assert "which `--processes 3` cannot share evenly" in capsys.readouterr().err.splitlines()[-1]
    command[command.index("3")] = "1"
    assert main(command) == 0
    training = read_run_config(tmp_path / "run" / "config.yaml").training
    assert training.gradient_accumulation == 2, "a step is as large as on two processes"
