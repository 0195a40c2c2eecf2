from pathlib import Path

import pytest

from seq2seq.assembly.checks import check_config
from seq2seq.assembly.configuration import load_run_config
from seq2seq.assembly.limits import cut_length, longest_source
from tests.tiny_run import write_copy_task

LEARNED = ["--model.positions", "learned", "--model.max_positions", "16"]
SHORT = ["--data.max_source_tokens", "16", "--data.max_target_tokens", "16", "--decoding.beam.max_length", "16"]


def check(folder: Path, *options: str) -> None:
    check_config(load_run_config([write_copy_task(folder), *options]))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("data.max_source_tokens", "`data.max_source_tokens`"),
        ("data.max_target_tokens", "`data.max_target_tokens`"),
        ("decoding.beam.max_length", "the `max_length` of `decoding`"),
        ("decoding.rescored.candidates.beam.max_length", "the `max_length` of `decoding`"),
        ("decoding.minimum_bayes_risk.samples.max_length", "the `max_length` of `decoding`"),
    ],
)
def test_nothing_may_be_longer_than_learned_positions(tmp_path: Path, name: str, said: str) -> None:
    check(tmp_path, *LEARNED, *SHORT)
    order = ["--model.generation_order", "bidirectional"] if "rescored" in name else []
    check(tmp_path, *order, f"--{name}", "17")
    with pytest.raises(ValueError, match=rf"{said} allows 17 tokens, but .*no more than `model.max_positions` \(16\)"):
        check(tmp_path, *LEARNED, *SHORT, *order, f"--{name}", "17")


def test_sources_that_are_cut_are_no_longer_than_learned_positions(tmp_path: Path) -> None:
    cut = ["--data.long_sources", "cut", *LEARNED, *SHORT, "--data.max_source_tokens", "256"]
    config = load_run_config([write_copy_task(tmp_path), *cut])
    check_config(config)
    assert cut_length(config) == longest_source(config) == 16
    of_rotary = load_run_config([write_copy_task(tmp_path), *cut, "--model.positions", "rotary"])
    assert cut_length(of_rotary) == 256
    assert cut_length(load_run_config([write_copy_task(tmp_path)])) is None
    with pytest.raises(ValueError, match="`max_source_tokens` must be at least 2 where `long_sources` are cut"):
        check(tmp_path, "--data.long_sources", "cut", "--data.max_source_tokens", "1")


@pytest.mark.filterwarnings("ignore:.*training.initialize_from")
def test_what_is_generated_in_training_counts_too(tmp_path: Path) -> None:
    samples = ["--objective", "minimum_risk", *LEARNED, *SHORT]
    longest = "--objective.minimum_risk.candidates.sampling.max_length"
    check(tmp_path, *samples, longest, "16")
    with pytest.raises(ValueError, match="the `max_length` of `objective` allows 20 tokens"):
        check(tmp_path, *samples, longest, "20")
    with pytest.raises(ValueError, match="the `max_length` of `objective` allows 24 tokens"):
        check(tmp_path, *samples)
    search = ["--gradient", "parameter_search", *LEARNED, *SHORT, "--data.max_target_tokens"]
    check(tmp_path, *search, "12")
    with pytest.raises(ValueError, match="`data.max_target_tokens` allows 20 tokens"):
        check(tmp_path, *search, "16")


@pytest.mark.parametrize(
    "name",
    [
        *("training.log_every", "training.checkpoint_every", "training.average_checkpoints", "training.max_minutes"),
        *("validation.every", "validation.patience", "validation.max_rows", "validation.batch_tokens"),
    ],
)
def test_counts_are_not_negative(tmp_path: Path, name: str) -> None:
    check(tmp_path, f"--{name}", "0")
    with pytest.raises(ValueError, match=f"`--{name}`: .*`{name.split('.')[1]}` must be 0 or more, but is -1"):
        check(tmp_path, f"--{name}", "-1")


@pytest.mark.parametrize(("every", "most"), [(100, 3), (299, 2), (300, 1), (0, 1), (70, 5), (1, 300)])
def test_no_more_checkpoints_are_averaged_than_there_will_be(tmp_path: Path, every: int, most: int) -> None:
    """In 300 steps."""
    check(tmp_path, "--training.checkpoint_every", str(every), "--training.average_checkpoints", str(most))
    with pytest.raises(ValueError, match=f"`average_checkpoints` is {most + 1}, but 300 steps with a check"):
        check(tmp_path, "--training.checkpoint_every", str(every), "--training.average_checkpoints", str(most + 1))
