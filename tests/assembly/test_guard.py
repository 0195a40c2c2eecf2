from dataclasses import replace

import pytest
import torch
from torch import nn

from seq2seq.assembly.checks import check_config
from seq2seq.assembly.configuration import RunConfig, load_run_config
from seq2seq.assembly.guard import verdict, weights_hash
from seq2seq.assembly.stages import stages
from seq2seq.data.corpus_options import GuardOptions
from seq2seq.data.options import CompanionOptions
from seq2seq.metrics.base import Score
from seq2seq.metrics.significance import Comparison

FILES = ["--run_directory", "x", "--data.train.path", "a.tsv", "--data.validation.path", "b.tsv"]
GUARDED = [*FILES, "--data.guard.0.path", "c.tsv", "--init-from", "runs/y", "--validation.metrics", "[chrf]"]


@pytest.mark.parametrize(
    ("after", "p_value", "higher_is_better", "expected"),
    [
        (40.0, 0.01, True, "forgotten"),
        (40.0, 0.01, False, "better than before"),
        (46.0, 0.01, True, "better than before"),
        (40.0, 0.05, True, "kept, as far as can be told"),
        (43.0, 0.01, True, "kept, as far as can be told"),
    ],
)
def test_a_verdict_needs_significance(after: float, p_value: float, higher_is_better: bool, expected: str) -> None:
    scores = [Score("chrf", value, "") for value in (after, 43.0)]
    assert verdict(Comparison(*scores, higher_is_better, p_value=p_value)) == expected


def test_weights_are_known_by_their_bits() -> None:
    torch.manual_seed(1)
    model = nn.Linear(3, 5)
    before = weights_hash(model)
    assert weights_hash(model) == before
    with torch.no_grad():
        model.bias[4] += 1e-7
    assert weights_hash(model) != before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--training.initialize_from", "null"], "`data.guard` shows what the weights that a run starts with have"),
        (["--validation.metrics", "[]"], "`data.guard` is scored with `validation.metrics`, of which there are none"),
    ],
)
def test_a_guard_needs_something_to_be_forgotten_and_to_measure_it_by(arguments: list[str], message: str) -> None:
    check_config(load_run_config(GUARDED))
    with pytest.raises(ValueError, match=message):
        check_config(load_run_config([*GUARDED, *arguments]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data.guard.1.label", "x"], "`guard.1` names no data"),
        (["--data.guard.1.path", "d/c.tsv", "--data.guard.0.label", "x"], None),
        (["--data.guard.1.path", "d.tsv", "--data.guard.1.label", "c"], "Two corpora are called 'c'"),
        (["--data.guard.0.streaming", "true"], r"`guard.0` \(c\) is read as a whole; leave out `streaming`"),
        (["--data.guard.0.weight", "2"], "`data.guard.0` has no option `weight`"),
        (
            ["--data.guard.path", "c.tsv"],
            "`data.guard` is a list of 1; say of which entry, as in `--data.guard.0.path`",
        ),
    ],
)
def test_guards_that_make_no_sense(arguments: list[str], message: str | None) -> None:
    if message is None:
        load_run_config([*GUARDED, *arguments])
        return
    with pytest.raises(ValueError, match=message):
        load_run_config([*GUARDED, *arguments])


def test_several_stages_have_no_guard() -> None:
    config: RunConfig = load_run_config(GUARDED)
    with pytest.raises(ValueError, match="`data.guard` compares the beginning of one run with its end"):
        stages(replace(config, companions=CompanionOptions(model="self", first_steps=3)))
    assert config.data.guard == (GuardOptions(path="c.tsv"),)
