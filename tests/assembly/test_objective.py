"""Every objective that a configuration can name, in trainings of a few steps."""

from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq.apps.command import main
from seq2seq.assembly.objective import OBJECTIVES, build_objective
from seq2seq.assembly.configuration import load_run_config
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.objectives.raml import RAML
from seq2seq.objectives.token_reweighting import ModelScorer, TokenReweighting
from seq2seq.training.tracking import read_log
from tests.tiny_run import write_copy_task

SHORT: dict[str, dict[str, Any]] = {
    "training": {"max_steps": 24, "log_every": 6, "checkpoint_every": 0, "threads": 1, "tensorboard": False},
    "validation": {"every": 0, "metrics": [], "select_by": "loss"},
    "model": {"dropout": 0.1},
    "decoding": {"beam_width": 2},
}


CASES: list[tuple[dict[str, Any], str, str]] = [
    ({"kind": "r_drop", "consistency_weight": 1.0}, "l2r", "divergence"),
    ({"kind": "r_drop", "consistency_weight": 1.0}, "bidirectional", "divergence"),
    ({"kind": "unlikelihood", "unlikelihood_weight": 0.5}, "l2r", "unlikelihood"),
    ({"kind": "token_reweighting", "weighting": "tailr"}, "l2r", "token_weight"),
    ({"kind": "token_reweighting", "weighting": "mixce"}, "l2r", "token_weight"),
    ({"kind": "token_reweighting", "weighting": "gold"}, "l2r", "token_weight"),
    ({"kind": "bag_of_words", "bag_of_words_weight": 0.5}, "bidirectional", "bag_of_words"),
    ({"kind": "raml", "raml_temperature": 0.2}, "l2r", "nll"),
    ({"kind": "raml", "raml_temperature": 0.2}, "interleaved", "nll"),
]


@pytest.mark.parametrize(
    ("objective", "generation_order", "log"),
    CASES,
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else value,
)
def test_each_trains(objective: dict[str, Any], generation_order: str, log: str, tmp_path: Path) -> None:
    model = SHORT["model"] | {"generation_order": generation_order}
    assert main(["train", write_copy_task(tmp_path, **(SHORT | {"objective": objective, "model": model}))]) == 0
    lines = [line for line in read_log(tmp_path / "run" / "log.jsonl") if log in line]
    assert lines[-1]["nll"] < lines[0]["nll"]


def test_all_kinds_are_tried_above() -> None:
    assert set(OBJECTIVES) == {"cross_entropy"} | {objective["kind"] for objective, _, _ in CASES}


def test_a_scorer_is_a_trained_model_that_fits(copy_task: Path, tmp_path: Path) -> None:
    run = str(copy_task / "run")
    objective = {"kind": "token_reweighting", "weighting": "gold", "scorer": run}
    path = write_copy_task(
        tmp_path, objective=objective, tokenizer={"from_run": run}, training={"initialize_from": run}
    )
    config, tokenizer = load_run_config([path]), TextTokenizer.load(copy_task / "run" / "model")
    built = build_objective(config, tokenizer, "cpu")
    assert isinstance(built, TokenReweighting)
    assert isinstance(built.scorer, ModelScorer)
    assert not built.scorer.model.training
    assert not any(parameter.requires_grad for parameter in built.scorer.model.parameters())
    short = [f"--training.max_steps={2}", "--validation.metrics=[]", "--validation.select_by=loss"]
    assert main(["train", path, *short]) == 0
    for options, message in [
        (["--objective.kind=raml"], "`objective.scorer` is for `objective.kind: token_reweighting`"),
        (["--objective.weighting=tailr"], "`scorer` gives the reward of `weighting: gold`"),
        (["--model.generation_order=r2l"], "generates in the order `l2r`, but this run trains"),
    ]:
        with pytest.raises(ValueError, match=message):
            build_objective(load_run_config([path, *options]), tokenizer, "cpu")


def test_a_scorer_of_another_tokenizer_is_refused(copy_task: Path, tmp_path: Path) -> None:
    config = load_run_config(
        [write_copy_task(tmp_path), "--objective.kind=token_reweighting", f"--objective.scorer={copy_task / 'run'}"]
    )
    other = TextTokenizer.train(["ab", "ba"], ["ab", "ba"], kind="characters", vocab_size=9)
    with pytest.raises(ValueError, match="has another tokenizer; set `tokenizer.from_run`"):
        build_objective(config, other, "cpu")


@pytest.mark.parametrize(("order", "num_starts"), [("l2r", 1), ("interleaved", 2)])
def test_what_raml_draws_from_is_the_tokenizers(copy_task: Path, tmp_path: Path, order: str, num_starts: int) -> None:
    options = ["--objective.kind=raml", f"--model.generation_order={order}"]
    tokenizer = TextTokenizer.load(copy_task / "run" / "model")
    built = build_objective(load_run_config([write_copy_task(tmp_path), *options]), tokenizer, torch.device("cpu"))
    assert isinstance(built, RAML)
    assert built.num_starts == num_starts
    assert set(built.special_ids) == {tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id}
    assert built.num_plain == 10  # letters of the copy task
