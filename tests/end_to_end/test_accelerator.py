"""Training and search on an accelerator, by the commands: `pytest -m gpu`, on a machine that has one."""

from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq.apps.command import main
from seq2seq.training.tracking import read_log
from tests.tiny_run import NUM_TEST, write_copy_task

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.accelerator.is_available(), reason="this machine has no accelerator"),
]

FEW_STEPS: dict[str, dict[str, Any]] = {
    "training": {"max_steps": 6, "checkpoint_every": 3, "log_every": 1},
    "validation": {"every": 0, "metrics": [], "select_by": "loss"},
}


def texts(folder: Path, device: str, *options: str) -> list[str]:
    """Return what the command makes of the test lines on a device."""
    output = folder / f"{device}.txt"
    files = ["--input", str(folder / "test.txt"), "--output", str(output)]
    assert main(["decode", "--model", str(folder / "run"), "--device", device, *files, *options]) == 0
    return output.read_text().splitlines()


def num_equal(first: list[str], second: list[str]) -> int:
    return sum(a == b for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_copying_is_learnt_in_every_precision(precision: str, tmp_path: Path) -> None:
    options = {"max_steps": 400, "precision": precision}
    assert main(["train", write_copy_task(tmp_path, training=options)]) == 0
    sources = (tmp_path / "test.txt").read_text().splitlines()
    for decoding in ("fp32", "bf16"):
        assert num_equal(texts(tmp_path, "auto", "--precision", decoding), sources) > NUM_TEST * 0.8


@pytest.mark.parametrize("order", ["l2r", "r2l", "bidirectional", "interleaved"])
def test_every_search_finds_what_a_cpu_finds(order: str, tmp_path: Path) -> None:
    """All but near ties, which rounding decides: products add up in another order there. Samples are compared with
    another draw by the same seed."""
    sections = {
        "model": {"generation_order": order},
        "decoding": {"beam": {"beam_width": 4}},
        "training": {"max_steps": 100},
    }
    assert main(["train", write_copy_task(tmp_path, **sections)]) == 0
    accelerator = torch.accelerator.current_accelerator()
    searches = [[], ["--beam-width", "8"]]
    searches += [["--rescore", "both"], ["--pairing", "joint"]] if order == "bidirectional" else []
    searches += [["--method", "sampling"], ["--mbr", "chrf", "--num-samples", "8"]] if order == "l2r" else []
    for options in searches:
        is_random = "sampling" in options or "--mbr" in options  # a CPU may draw other numbers
        again = texts(tmp_path, str(accelerator) if is_random else "cpu", *options)
        assert num_equal(texts(tmp_path, "auto", *options), again) >= NUM_TEST - 2, options


@pytest.mark.filterwarnings("ignore:.*training.initialize_from")
@pytest.mark.parametrize(
    "sections",
    [
        {"objective": {"r_drop": {}}, "gradient": {"adversarial_training": {}}},
        {"objective": {"minimum_risk": {}}},
        {"objective": {"ranking": {}}},
        {
            "decoder_inputs": {
                "scheduled_sampling": {"mixture": {"mixing": "soft"}, "gold": {"step_schedule": "constant"}}
            }
        },
        {"gradient": {"parameter_search": {}}},
    ],
    ids=lambda sections: "-".join(kind for section in sections.values() for kind in section),
)
def test_ways_of_training_go_on_where_they_were_stopped(sections: dict[str, Any], tmp_path: Path) -> None:
    """To rounding: sums on an accelerator have no fixed order."""
    config = write_copy_task(tmp_path, **(FEW_STEPS | sections))
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    for folder, max_steps in ((stopped, 3), (stopped, 6), (whole, 6)):
        assert main(["train", config, "--run_directory", str(folder), "--training.max_steps", str(max_steps)]) == 0
    losses = [
        [entry["loss"] for entry in read_log(folder / "log.jsonl") if entry["kind"] == "train"]
        for folder in (stopped, whole)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
