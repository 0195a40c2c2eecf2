import dataclasses
import re
import shutil
from pathlib import Path

import pytest

from seq2seq.assembly.configuration import RunConfig
from seq2seq.data.corpus_options import CorpusOptions
from seq2seq.data.tokenizer import TokenizerOptions
from seq2seq.fitting.pairs import Pairs, Parts
from seq2seq.fitting.plan import (
    USABLE,
    TimeEstimate,
    affordable,
    budget,
    check_disk,
    check_said,
    estimated,
    lengths,
    parsed,
    spare_time,
    without_contradicted,
)
from seq2seq.fitting.probe import Speed
from seq2seq.fitting.recipes import Recipe

SPEED = Speed(
    threads=2,
    seconds_per_step=0.5,
    pairs_per_step=100.0,
    target_tokens_per_second=3000.0,
    loss_seconds=1.0,
    decoding_seconds=0.01,
    parameters=1_000_000,
    memory_mib=900.0,
    batch_tokens=4096,
    accumulation=1,
    target_length=12,
    longest_source=40,
    longest_target=50,
)
OPTIONS = {"run_directory": "x", "training.max_steps": 4200, "optimizer.ema_decay": 0.999}


def pairs(number: int, source: str = "a b", target: str = "c d") -> Pairs:
    return Pairs([source] * number, [target] * number, CorpusOptions(path="x.tsv"))


PARTS = Parts(pairs(29000), pairs(1000), pairs(1000))


def estimate(minutes: float | None, spent: float = 10.0, **changes: float) -> TimeEstimate:
    return estimated(parsed(OPTIONS), PARTS, dataclasses.replace(SPEED, **changes), minutes, spent, 2 * 4200)


def test_without_a_limit_the_recipe_has_its_steps() -> None:
    found = estimate(None)
    assert found.steps == 4200
    assert found.training == 2100.0
    assert found.validation == 7 * (2 * 1.0 + 500 * 0.01)
    assert found.passes == pytest.approx(4200 * 100 / 29000)
    assert found.tested_pairs == 1000


@pytest.mark.parametrize("minutes", [5, 15, 30])
@pytest.mark.parametrize("seconds_per_step", [0.05, 0.5, 2.0])
def test_all_parts_end_within_the_time_that_is_given(minutes: float, seconds_per_step: float) -> None:
    found = estimate(minutes, seconds_per_step=seconds_per_step)
    assert 10.0 + found.total <= USABLE * 60 * minutes
    assert found.steps <= 2 * 4200
    if found.steps < 2 * 4200:
        assert 10.0 + found.total > USABLE * 60 * minutes - seconds_per_step, "and none of it is left over"


def test_teaching_takes_its_time_from_what_is_given() -> None:
    """By hand: 29,000 targets at three greedy searches of 0.01 s each, by two models 3.8 times that; and 500 steps of
    half a second with three validations, twice."""
    of_one = {"teaching.model": "self", "teaching.steps": 500}
    of_two = of_one | {"teaching.right_model": "self"}

    def shared(options: dict[str, object], minutes: float | None) -> TimeEstimate:
        return estimated(parsed(OPTIONS | options), PARTS, SPEED, minutes, 10.0, 2 * 4200)

    validation = 2 * 1.0 + 500 * 0.01
    assert shared(of_one, None).teaching == pytest.approx(870 + 250 + 3 * validation)
    assert shared(of_two, None).teaching == pytest.approx(3.8 * 870 + 2 * (250 + 3 * validation))
    assert shared({}, None).teaching == 0
    found = shared(of_one, 60)
    assert 10.0 + found.total <= USABLE * 60 * 60
    assert found.steps < shared({}, 60).steps
    assert shared(of_one, None).total == shared({}, None).total + shared(of_one, None).teaching


def test_time_to_spare_is_in_parts_of_what_the_recipe_takes() -> None:
    config = parsed(OPTIONS)
    found = estimate(60)
    left = USABLE * 3600 - 10.0 - found.validation - found.test
    assert spare_time(config, SPEED, found, 60, 10.0) == pytest.approx(left / 2100 - 1)


def test_only_the_teaching_that_there_is_time_for_is_kept() -> None:
    def row(**options: object) -> Recipe:
        return Recipe("", {}, {name.replace("_", ".", 1): value for name, value in options.items()}, "", "")

    usual, one, two = row(training_max_steps=1), row(teaching_model="self"), row(teaching_right_model="self")
    plain, taught = estimate(15), estimate(30)

    def fits(most: int) -> tuple[tuple[Recipe, ...], TimeEstimate]:
        return affordable([usual, one, two], plain, lambda rows: taught if len(rows) <= most else None)

    assert fits(3) == ((usual, one, two), taught)
    assert fits(2) == ((usual, one), taught)
    assert fits(1) == ((usual,), plain)
    assert affordable([usual], plain, lambda rows: None) == ((usual,), plain)


def test_more_time_is_more_steps() -> None:
    steps = [estimate(minutes).steps for minutes in (5, 15, 30)]
    assert steps == sorted(set(steps))


def test_slow_decoding_costs_validations_and_not_the_training() -> None:
    found = estimate(5, decoding_seconds=0.1)
    assert (found.num_validations, found.validated_pairs, found.tested_pairs) == (2, 100, 100)
    assert found.training > 0.3 * 300


@pytest.mark.parametrize("minutes", [0.1, 1, 3])
@pytest.mark.parametrize("spent", [5.0, 30.0, 90.0, 900.0])
@pytest.mark.parametrize("decoding_seconds", [0.001, 0.05, 1.0])
def test_too_little_time_says_how_much_is_enough(minutes: float, spent: float, decoding_seconds: float) -> None:
    try:
        estimate(minutes, spent, decoding_seconds=decoding_seconds)
    except ValueError as error:
        [enough] = re.findall(r"minutes are too few: .* give at least (\d+)\.", str(error))
        assert estimate(int(enough), spent, decoding_seconds=decoding_seconds).steps > 0
        assert int(enough) >= minutes
    else:
        assert spent < 60 * minutes


def test_the_budget_validates_as_often_as_planned() -> None:
    found = estimate(15)
    options = budget(2 * 4200, SPEED, found, 15)
    assert found.steps // options["validation.every"] >= found.num_validations
    assert options["training.max_steps"] == 2 * 4200
    assert options["training.checkpoint_every"] * 0.5 <= 120
    assert options["training.max_minutes"] * 60 == pytest.approx(found.training, abs=0.5)
    assert options["decoding.beam.max_length"] > SPEED.longest_target
    assert budget(2 * 4200, SPEED, found, None)["training.max_minutes"] == 0
    parsed(OPTIONS | options)


def test_a_training_that_is_slower_than_planned_may_take_what_is_left() -> None:
    found = estimate(600)
    assert found.steps == 2 * 4200
    assert found.most_training == pytest.approx(USABLE * 36_000 - 10.0 - found.validation - found.test)
    assert budget(2 * 4200, SPEED, found, 600)["training.max_minutes"] == round(found.most_training / 60, 2)


def test_lengths_are_in_the_tokens_of_each_side() -> None:
    parts = Parts(pairs(3, "abc defg", "x y z"), pairs(1), pairs(1))
    of_words = {"tokenizer.kind": "word_and_characters", "tokenizer.target_kind": "words", "tokenizer.shared": False}
    found = lengths(parts, parsed(OPTIONS | of_words))
    assert found["data.max_source_tokens"] == 8 + 2 + 2
    assert found["data.max_target_tokens"] == 3 + 2
    assert lengths(parts, parsed(OPTIONS))["data.max_source_tokens"] == 256
    very_long = Parts(pairs(3, "x" * 5000), pairs(1), pairs(1))
    characters = parsed(OPTIONS | {"tokenizer.kind": "characters"})
    assert lengths(very_long, characters)["data.max_source_tokens"] == 1000
    assert lengths(Parts(pairs(3, "字" * 700), pairs(1), pairs(1)), parsed(OPTIONS))["data.max_source_tokens"] == 700
    assert (
        lengths(Parts(pairs(3, "a word " * 100), pairs(1), pairs(1)), parsed(OPTIONS))["data.max_source_tokens"] == 350
    )


def test_what_a_user_sets_counts_most() -> None:
    config = parsed(OPTIONS, [("training.max_steps", "7"), ("model.d_model", "64")])
    assert (config.training.max_steps, config.model.d_model) == (7, 64)
    with pytest.raises(ValueError, match="modle"):
        parsed(OPTIONS, [("modle.d_model", "64")])


def test_a_disk_too_small_is_said_before_the_start(tmp_path: Path) -> None:
    check_disk(tmp_path, 1000)
    with pytest.raises(ValueError, match="MiB on the disk, of which .* are free; make room"):
        check_disk(tmp_path, 2 * shutil.disk_usage(tmp_path).total)


def test_a_recipe_gives_way_to_what_a_user_sets() -> None:
    recipe = {
        "run_directory": "runs/new",
        **{"tokenizer.vocab_size": 2000, "tokenizer.min_frequency": 10},
        **{"validation.metrics": ["bleu", "chrf"], "validation.select_by": "chrf"},
    }

    def left(*said: tuple[str, str]) -> RunConfig:
        check_said(said)
        return parsed(without_contradicted(recipe, said), said)

    assert left(("tokenizer.path", "own.model")).tokenizer == TokenizerOptions(path="own.model")
    assert left(("tokenizer.kind", "sentencepiece")).tokenizer.vocab_size == 2000
    assert left(("validation.metrics", "[ter]")).validation.select_by == "loss"
    assert left(("validation.metrics", "[ter, chrf]")).validation.select_by == "chrf"
    assert left(("validation.select_by", "bleu")).validation.select_by == "bleu"
    with pytest.raises(ValueError, match="`tokenizer`: `min_frequency` is nothing that sentencepiece can be told"):
        check_said([("tokenizer.kind", "sentencepiece"), ("tokenizer.min_frequency", "3")])
    with pytest.raises(ValueError, match="neither `loss` nor one of `metrics`"):
        check_said([("validation.select_by", "ter")])
