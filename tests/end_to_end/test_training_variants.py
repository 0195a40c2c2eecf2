"""Every kind of decoder inputs and of gradient trains, and goes on bit by bit after a stop."""

from pathlib import Path
from typing import Any

import pytest

from seq2seq.apps.command import main
from seq2seq.training.tracking import read_log
from tests.end_to_end.test_resume import assert_equal_runs
from tests.tiny_run import write_copy_task

SECTIONS: dict[str, dict[str, Any]] = {
    "model": {"dropout": 0.1},
    "training": {"checkpoint_every": 3, "log_every": 1},
    "validation": {"every": 3, "metrics": [], "select_by": "loss"},
}
ORACLE, PENALTY = "experimental.word_oracle", "experimental.gradient_penalty"
PREDICTED = {"step_schedule": "constant", "gold_floor": 0.3}

VARIANTS: list[dict[str, dict[str, Any]]] = [
    {"decoder_inputs": {"random_replacement": {"pool": "both"}}, "gradient": {PENALTY: {}}},
    {
        "decoder_inputs": {"scheduled_sampling": {"mixture": {"mixing": "soft"}, "gold": PREDICTED}},
        "gradient": {"adversarial_training": {}},
        "training": {"gradient_accumulation": 2},
    },
]
MORE: list[dict[str, dict[str, Any]]] = [
    {"decoder_inputs": {"random_replacement": {"pool": "vocabulary"}}},
    {"decoder_inputs": {"scheduled_sampling": {"gold": PREDICTED}}, "model": {"generation_order": "interleaved"}},
    {
        "decoder_inputs": {"scheduled_sampling": {"gold": {"gold_by": "step_and_position", "decay_steps": 0.5}}},
        "gradient": {"adversarial_training": {"norm_over": "row"}},
        "model": {"generation_order": "bidirectional"},
        "decoding": {"synchronous": {"beam_width": 2}},
    },
    {"decoder_inputs": {"confidence_sampling": {"gold_confidence": 0.05, "random_confidence": 0.1}}},
    {"decoder_inputs": {ORACLE: {"gold": {"gold_steps": 2, **PREDICTED}}}, "training": {"precision": "bf16"}},
    {"gradient": {PENALTY: {"where": "source"}}, "training": {"precision": "bf16"}},
]


def name(variant: dict[str, dict[str, Any]]) -> str:
    return "-".join(str(value) for section in variant.values() for value in section.values())


@pytest.mark.filterwarnings("ignore:.*computed in software")
@pytest.mark.parametrize(
    "variant", [*VARIANTS, *(pytest.param(variant, marks=pytest.mark.slow) for variant in MORE)], ids=name
)
def test_a_variant_trains_and_goes_on_bit_by_bit(variant: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    sections = SECTIONS | {section: SECTIONS.get(section, {}) | options for section, options in variant.items()}
    config = write_copy_task(tmp_path, **sections)
    stopped, whole, plain = tmp_path / "stopped", tmp_path / "whole", tmp_path / "plain"
    for folder, max_steps in ((stopped, 3), (stopped, 6), (whole, 6)):
        assert main(["train", config, "--run_directory", str(folder), "--training.max_steps", str(max_steps)]) == 0
    assert_equal_runs(stopped, whole)
    kinds = ["--decoder_inputs", "teacher_forcing", "--gradient", "backprop"]
    assert main(["train", config, "--run_directory", str(plain), "--training.max_steps", "3", *kinds]) == 0
    losses, others = (
        [e["loss"] for e in read_log(run / "log.jsonl") if e["kind"] == "train"] for run in (whole, plain)
    )
    assert losses[:3] != others
    assert losses[-1] < losses[0]
