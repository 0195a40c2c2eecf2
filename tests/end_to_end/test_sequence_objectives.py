"""Objectives over generated candidates, from a configuration to a trained run that stops and goes on bit by bit."""

from pathlib import Path
from typing import Any

import pytest

from seq2seq.apps.command import main
from seq2seq.training.tracking import read_log
from tests.end_to_end.test_resume import CLOCK
from tests.tiny_run import write_copy_task

COST = "character_error_rate"
SECTIONS: dict[str, dict[str, Any]] = {
    "model": {"dropout": 0.1},
    "optimizer": {"learning_rate": 1e-3, "schedule": "constant", "warmup_steps": 1},
    "training": {"max_steps": 4, "checkpoint_every": 2, "log_every": 1, "gradient_accumulation": 2},
    "validation": {"every": 2, "metrics": ["repetition"], "select_by": "loss"},
}

FOUR = {"num_candidates": 4}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "minimum_risk": {"cost": COST, "candidates": {"sampling": FOUR}},
    "reinforce": {"cost": COST, "candidates": FOUR},
    "ranking": {"cost": COST, "candidates": {"diverse_beam": FOUR}},
    "experimental.sequence_unlikelihood": {},
}


def train(folder: Path, config: str, *options: str) -> list[dict[str, Any]]:
    """Train in `folder`; return what its log says of training."""
    assert main(["train", config, "--run_directory", str(folder), *options]) == 0
    log = [entry for entry in read_log(folder / "log.jsonl") if entry["kind"] == "train"]
    return [{name: value for name, value in entry.items() if name not in CLOCK} for entry in log]


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_a_run_goes_on_bit_by_bit(copy_task: Path, tmp_path: Path, kind: str) -> None:
    config = write_copy_task(tmp_path, **SECTIONS, objective={kind: OBJECTIVES[kind]})
    start = ["--training.initialize_from", str(copy_task / "run")]
    whole = train(tmp_path / "whole", config, *start)
    train(tmp_path / "stopped", config, *start, "--training.max_steps", "2")
    assert train(tmp_path / "stopped", config, *start) == whole
    models = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("stopped", "whole")]
    assert models[0] == models[1]
    assert [entry["step"] for entry in whole] == [1, 2, 3, 4]
    watched = "repeated_tokens" if "unlikelihood" in kind else "sampled_cost"
    assert {watched, "nll", "loss"} <= whole[0].keys()
    assert all(0 <= entry[watched] <= 1 for entry in whole)


def test_without_a_trained_model_there_is_a_warning_and_with_all_likelihood_none(tmp_path: Path) -> None:
    sections = SECTIONS | {
        "training": {"max_steps": 2, "checkpoint_every": 0},
        "objective": {"reinforce": OBJECTIVES["reinforce"]},
    }
    config = write_copy_task(tmp_path, **sections)
    with pytest.warns(UserWarning, match="This `objective` looks at what the model generates"):
        train(tmp_path / "warned", config)
    likelihood = train(tmp_path / "likelihood", config, "--objective.reinforce.mle_weight", "1")
    assert train(tmp_path / "plain", config, "--objective", "cross_entropy") == likelihood
