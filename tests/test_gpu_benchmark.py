"""`benchmarks/gpu.py`, on a processor: its refusals, limits of time and tables; and, marked slow, all of it."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("gpu")


@pytest.mark.parametrize("given", [[], ["--device", "cpu"]])
def test_without_an_accelerator_one_line_refuses(
    given: list[str], gpu: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        gpu.main(given)
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.count("\n") == 1
    assert "--dry-run" in error


def test_a_part_that_runs_out_of_time_keeps_its_rows(gpu: Any, tmp_path: Path) -> None:
    rows = tmp_path / "rows.json"
    program = f"import pathlib, time; pathlib.Path({str(rows)!r}).write_text('[{{}}]'); print('so far'); time.sleep(60)"
    part = gpu.run_part([sys.executable, "-uc", program], rows, limit=2.0)
    assert (part["outcome"], part["rows"], part["last_line"]) == (gpu.CUT, [{}], "so far")
    assert part["seconds"] < 30


def test_a_part_that_fails_says_why(gpu: Any, tmp_path: Path) -> None:
    part = gpu.run_part([sys.executable, "-c", "raise SystemExit('no such luck')"], tmp_path / "rows.json", limit=30.0)
    assert (part["outcome"], part["rows"]) == ("failed with code 1", [])
    assert part["output"] == "no such luck\n"


def test_limits_leave_room_within_eight_minutes(gpu: Any) -> None:
    assert sum(gpu.LIMITS.values()) <= 460


@pytest.mark.slow
def test_all_of_it_runs_with_tiny_sizes(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--device", "cpu", "--dry-run"]
    done = subprocess.run([*command, "--results", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "gpu-dry-run.json").read_text())
    assert {name: part["outcome"] for name, part in results["parts"].items()} == dict.fromkeys(
        ("tests", "training", "decoding"), "passed"
    )
    assert [(row["size"], row["precision"]) for row in results["parts"]["training"]["rows"]] == [
        ("smallest", "fp32"),
        ("smallest", "bf16"),
    ]
    rows = results["parts"]["decoding"]["rows"]
    assert [(row["beam_width"], row["precision"]) for row in rows] == [
        (1, "fp32"),
        (5, "fp32"),
        (1, "bf16"),
        (5, "bf16"),
    ]
    assert all(row["equal"] == row["rows"] for row in rows if row["precision"] == "fp32")
    assert "| beam 5, bf16 |" in done.stdout
