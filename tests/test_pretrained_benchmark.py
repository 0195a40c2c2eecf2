"""`benchmarks/pretrained.py` with tiny shapes: all systems of each comparison run and do equal work."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def pretrained(monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("pretrained")


def test_ratios_are_medians_of_rounds_between_the_fastest_of_both_sides(pretrained: Any) -> None:
    measured = {
        "ours fp32, 1 x n": {"seconds": [9.0, 9.0, 9.0], "peak_memory_mib": 900.0},
        "ours int8, 1 x n": {"seconds": [1.0, 2.0, 1.0], "peak_memory_mib": 300.0},
        "transformers fp32": {"seconds": [3.0, 5.0, 4.0], "peak_memory_mib": 600.0},
        "transformers bf16": {"seconds": [8.0, 8.0, 8.0], "peak_memory_mib": 400.0},
    }
    comparison = pretrained.Comparison("t5-small", tuple(measured), {"transformers": 3.0}, memory_bar=0.6)
    [row] = pretrained.ratios(comparison, measured)
    assert (row["ours"], row["theirs"]) == ("ours int8, 1 x n", "transformers fp32")
    assert (row["times_as_fast"], row["share_of_memory"]) == (3.0, 0.5)


def test_systems_that_did_other_work_are_named(pretrained: Any) -> None:
    measured = {"ours fp32": {"hypotheses": [[4, 5], [6]]}, "transformers fp32": {"hypotheses": [[4, 5], [6, 7]]}}
    with pytest.raises(SystemExit, match=r"transformers fp32 did other work than ours fp32: \[2, 2\] and \[2, 1\]"):
        pretrained.check_equal_work(measured)


@pytest.mark.slow
@pytest.mark.parametrize(
    "comparison", ["decode-opus-mt", "decode-t5-small", "decode-nllb", "train-opus-mt", "train-t5-small"]
)
def test_a_comparison_runs_with_tiny_shapes(comparison: str, tmp_path: Path) -> None:
    pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed")
    command = [sys.executable, str(ROOT / "benchmarks" / "pretrained.py"), comparison, "--tiny", "--rounds", "1"]
    results = tmp_path / "results.jsonl"
    done = subprocess.run([*command, "--threads", "2", "--results", str(results)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [line] = results.read_text(encoding="utf-8").splitlines()
    found = json.loads(line)
    assert found["comparison"] == comparison
    assert all(row["times_as_fast"] > 0 for row in found["ratios"])
    assert "times as fast as transformers" in done.stdout
