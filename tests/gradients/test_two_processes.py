"""Two processes search as one does, whether they share the candidates or the pairs, and tell each other little.

All scenarios share one launch, since starting processes takes longer than what they then do.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from seq2seq.gradients.candidate_grid import CandidateGrid
from seq2seq.training.tracking import read_log
from tests.gradients.two_processes import NUM_STEPS, both
from tests.launching import launch

SHARE_PAIRS, SHARE_CANDIDATES = "1", "2"
COSTS = ("cost_mean", "cost_min", "cost_max")


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """Return the folder of the scenarios and what each process found."""
    folder = tmp_path_factory.mktemp("processes")
    launch(2, "tests.gradients.two_processes", str(folder))
    return folder, [json.loads((folder / f"{process}.json").read_text()) for process in range(2)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Return the folder and the findings of one process with all pairs and all candidates."""
    folder = tmp_path_factory.mktemp("alone")
    return folder, both(folder, 0, CandidateGrid())


@pytest.mark.parametrize("sharers", [SHARE_PAIRS, SHARE_CANDIDATES])
def test_replicas_stay_the_same_and_say_little(launched: tuple[Path, list[dict[str, Any]]], sharers: str) -> None:
    _, (first, second) = launched
    assert first[sharers]["trained"]["checksum"] == second[sharers]["trained"]["checksum"]
    assert 0 < first[sharers]["trained"]["bytes"] < 1024, "a step, beyond the gradient"


@pytest.mark.parametrize("sharers", [SHARE_PAIRS, SHARE_CANDIDATES])
def test_the_update_is_that_of_one_process(
    launched: tuple[Path, list[dict[str, Any]]], alone: tuple[Path, dict[str, Any]], sharers: str
) -> None:
    expected = load_file(alone[0] / "0-1.safetensors")
    for process in range(2):
        found = load_file(launched[0] / f"{process}-{sharers}.safetensors")
        for name, gradient in expected.items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-6)
        logs = launched[1][process][sharers]["decoded"]
        assert logs["cost_min"] < logs["cost_max"], "candidates differ"


def test_shared_candidates_cost_what_they_do_on_one_process_bit_by_bit(
    launched: tuple[Path, list[dict[str, Any]]], alone: tuple[Path, dict[str, Any]]
) -> None:
    for process in range(2):
        found = launched[1][process][SHARE_CANDIDATES]["decoded"]
        assert [found[name] for name in COSTS] == [alone[1]["decoded"][name] for name in COSTS]
        trained = launched[1][process][SHARE_CANDIDATES]["trained"]
        assert trained["checksum"] == alone[1]["trained"]["checksum"], "the mean of two equal gradients is exact"


@pytest.mark.parametrize("sharers", [SHARE_PAIRS, SHARE_CANDIDATES])
def test_training_logs_what_one_process_logs(
    launched: tuple[Path, list[dict[str, Any]]], alone: tuple[Path, dict[str, Any]], sharers: str
) -> None:
    one, two = (read_log(folder / "log.jsonl") for folder in (alone[0] / "1", launched[0] / sharers))
    assert len(one) == len(two) == NUM_STEPS
    steps = range(5 if sharers == SHARE_PAIRS else NUM_STEPS)  # sums in another order drift apart
    for name in ("loss", "nll", "token_accuracy", "gradient_norm", "effective_sample_size", *COSTS):
        assert [two[i][name] for i in steps] == pytest.approx([one[i][name] for i in steps], rel=1e-4), name
    # Per process; those who share candidates have the same pairs, each counted once.
    assert [2 * entry["target_tokens"] for entry in two] == [entry["target_tokens"] for entry in one]
    assert one[-1]["loss"] < one[0]["loss"]
