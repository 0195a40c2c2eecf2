"""Two processes search as one does, each on pairs of its own, and tell each other little.

All scenarios share one launch, since starting processes takes longer than what they then do.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from seq2seq.training.tracking import read_log
from tests.gradients.two_processes import NUM_STEPS, Shards, both
from tests.launching import launch

COSTS = ("cost_mean", "cost_min", "cost_max")


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """Return the folder of the scenarios and what each process found."""
    folder = tmp_path_factory.mktemp("processes")
    launch(2, "tests.gradients.two_processes", str(folder))
    return folder, [json.loads((folder / f"{process}.json").read_text()) for process in range(2)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Return the folder and the findings of one process with all pairs."""
    folder = tmp_path_factory.mktemp("alone")
    return folder, both(folder, Shards(0, 1))


def test_replicas_stay_the_same_and_say_little(launched: tuple[Path, list[dict[str, Any]]]) -> None:
    _, (first, second) = launched
    assert first["trained"]["checksum"] == second["trained"]["checksum"]
    assert 0 < first["trained"]["bytes"] < 1024, "a step, beyond the gradient"


def test_the_update_is_that_of_one_process(
    launched: tuple[Path, list[dict[str, Any]]], alone: tuple[Path, dict[str, Any]]
) -> None:
    expected = load_file(alone[0] / "0.safetensors")
    for process in range(2):
        found = load_file(launched[0] / f"{process}.safetensors")
        for name, gradient in expected.items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-6)
        logs = launched[1][process]["decoded"]
        assert logs["cost_min"] < logs["cost_max"], "candidates differ"
        assert [logs[name] for name in COSTS] == pytest.approx([alone[1]["decoded"][name] for name in COSTS])


def test_training_logs_what_one_process_logs(
    launched: tuple[Path, list[dict[str, Any]]], alone: tuple[Path, dict[str, Any]]
) -> None:
    one, two = (read_log(folder / "run" / "log.jsonl") for folder in (alone[0], launched[0]))
    assert len(one) == len(two) == NUM_STEPS
    for name in ("loss", "nll", "token_accuracy", "gradient_norm", "effective_sample_size", *COSTS):
        values = [[entry[name] for entry in log[:5]] for log in (one, two)]  # sums in another order drift apart
        assert values[1] == pytest.approx(values[0], rel=1e-4), name
    assert [2 * entry["target_tokens"] for entry in two] == [entry["target_tokens"] for entry in one]
    assert one[-1]["loss"] < one[0]["loss"]
