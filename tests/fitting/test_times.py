"""How the time of a plan is shared out."""

import dataclasses
import re

import pytest

from seq2seq.data.corpus_options import CorpusOptions
from seq2seq.data.options import TeachingOptions
from seq2seq.fitting.pairs import Pairs, Parts
from seq2seq.fitting.plan import parsed
from seq2seq.fitting.probe import Speed
from seq2seq.fitting.recipes import Recipe
from seq2seq.fitting.times import USABLE, TimeEstimate, affordable, budget, estimated, spare_time

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

    too_few = dataclasses.replace(taught, steps=99)

    def fits(most: int) -> tuple[tuple[Recipe, ...], TimeEstimate]:
        times = {1: plain} | {rows: taught if rows <= most else too_few for rows in (2, 3)}
        return affordable([usual, one, two], lambda rows: times[len(rows)], 100)

    assert fits(3) == ((usual, one, two), taught)
    assert fits(2) == ((usual, one), taught)
    assert fits(1) == ((usual,), plain)
    assert affordable([usual], lambda rows: too_few, 100) == ((usual,), too_few)


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
    options = budget(2 * 4200, SPEED, found, 15, TeachingOptions())
    assert found.steps // options["validation.every"] >= found.num_validations
    assert options["training.max_steps"] == 2 * 4200
    assert options["training.checkpoint_every"] * 0.5 <= 120
    assert options["training.max_minutes"] * 60 == pytest.approx(found.training, abs=0.5)
    assert options["decoding.beam.max_length"] > SPEED.longest_target
    assert budget(2 * 4200, SPEED, found, None, TeachingOptions())["training.max_minutes"] == 0
    parsed(OPTIONS | options)


def test_a_training_that_is_slower_than_planned_may_take_what_is_left() -> None:
    found = estimate(600)
    assert found.steps == 2 * 4200
    assert found.most_training == pytest.approx(USABLE * 36_000 - 10.0 - found.validation - found.test)
    teaching = TeachingOptions(model="self", steps=600)
    options = budget(2 * 4200, SPEED, found, 600, teaching)
    assert options["training.max_minutes"] == round(found.most_training / 60, 2)
    assert options["teaching.max_minutes"] == 5.0
    assert "teaching.max_minutes" not in budget(2 * 4200, SPEED, found, None, teaching)
