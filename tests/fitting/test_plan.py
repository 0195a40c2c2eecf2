import dataclasses
import random
import shutil
import time
from pathlib import Path

import pytest

from seq2seq.assembly.configuration import RunConfig
from seq2seq.data.corpus_options import CorpusOptions
from seq2seq.data.tokenizer import TokenizerOptions
from seq2seq.fitting import plan
from seq2seq.fitting.pairs import Pairs, Parts
from seq2seq.fitting.plan import (
    FitPlan,
    check_disk,
    check_said,
    lengths,
    parsed,
    plan_of,
    steps_at_most,
    without_contradicted,
)
from seq2seq.fitting.recipes import recipe_options, recipe_table, recipes_for
from tests.fitting.test_times import OPTIONS, SPEED, pairs


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


@pytest.mark.parametrize(("number", "steps"), [(7, 2600), (65_000, 2600), (70_000, 2800), (300_000, 12_000)])
def test_very_many_pairs_may_be_seen_a_few_times(number: int, steps: int) -> None:
    parts, config = Parts(pairs(number), pairs(1), pairs(1)), parsed(OPTIONS | {"training.max_steps": 1300})
    assert steps_at_most(config, parts, SPEED, []) == steps, "a step has 100 pairs"
    assert steps_at_most(config, parts, SPEED, [("training.max_steps", "1300")]) == 1300


def sentence_parts(number: int) -> Parts:
    """Return so many pairs to train on, whose kind is that of translation, and some to validate and test with."""
    draw = random.Random(1)
    words = ["".join(draw.choices("abcdefghij", k=draw.randint(2, 9))) for _ in range(3000)]

    def sentences(number: int, letter: str) -> list[str]:
        return [" ".join(letter + draw.choice(words) for _ in range(draw.randint(6, 14))) for _ in range(number)]

    def part(number: int) -> Pairs:
        return Pairs(sentences(number, "x"), sentences(number, "y"), CorpusOptions(path="x.tsv"))

    return Parts(part(number), part(100), part(100))


def planned(parts: Parts, folder: Path, minutes: float | None, *overrides: tuple[str, str], **options: int) -> FitPlan:
    files = {name: folder / f"{name}.jsonl" for name in ("train", "validation", "test")}
    given = {"minutes": minutes, "overrides": overrides, "started": time.time(), "start": None, "seed": 1}
    return plan_of(parts, files, folder, **given, **options)


@pytest.mark.parametrize(
    ("minutes", "teachers"),
    [
        (None, (None, None)),
        (30, (None, None)),
        (60, ("self", None)),
        (150, ("self", "self")),
    ],
)
def test_time_to_spare_is_for_teaching(
    minutes: float | None, teachers: tuple[str | None, str | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """4,200 steps of half a second are 35 minutes; 1,080 more and one search of 9,000 sources take 13.5."""
    monkeypatch.setattr(plan, "measured", lambda *arguments: SPEED)
    parts = sentence_parts(9000)
    found = planned(parts, tmp_path, minutes)
    assert (found.config.teaching.model, found.config.teaching.right_model) == teachers
    assert any("teaching.model" in row.options for row in found.recipes) == (teachers[0] is not None)
    assert found.estimate.steps >= 4200 or minutes == 30
    if minutes is not None:
        assert found.estimate.total <= 60 * minutes
    assert planned(parts, tmp_path, minutes, ("teaching.model", "null")).config.teaching.model is None


@pytest.mark.parametrize(("minutes", "tokens"), [(5, 2048), (15, 2048), (30, 4096)])
def test_sentences_are_learned_by_muon_where_time_is_short(
    minutes: float, tokens: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """4,200 steps of half a second are 35 minutes, and would see each of 40,000 pairs ten times."""
    monkeypatch.setattr(plan, "measured", lambda *arguments: dataclasses.replace(SPEED, muon_seconds=0.25))
    parts = sentence_parts(40_000)
    found = planned(parts, tmp_path, minutes)
    assert (found.config.optimizer.name, found.config.optimizer.learning_rate) == ("muon", 0.004)
    assert (found.config.data.batch_tokens, found.speed.muon_seconds) == (tokens, 0)
    assert found.speed.seconds_per_step == 0.5 * tokens / 4096 + 0.25
    assert found.estimate.training == pytest.approx(found.estimate.steps * found.speed.seconds_per_step)
    assert found.estimate.total <= 60 * minutes
    other = planned(parts, tmp_path, minutes, ("optimizer.name", "adamw"))
    assert other.config.optimizer.learning_rate < 0.004, "which is Muon's"
    assert other.config.data.batch_tokens == (1024 if minutes == 5 else tokens)
    assert other.speed.seconds_per_step == 0.5 * other.config.data.batch_tokens / 4096


@pytest.mark.parametrize(
    ("number", "minutes", "said", "name"),
    [
        (20_000, None, None, "muon"),
        (20_000, None, "adamw", "adamw"),
        (20_000, 200, None, "adamw"),
        (60_000, None, None, "adamw"),
    ],
)
def test_sentences_are_learned_by_muon_where_no_time_is_said(
    number: int, minutes: float | None, said: str | None, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speed = dataclasses.replace(SPEED, batch_tokens=2048 if name == "muon" else 4096)
    monkeypatch.setattr(plan, "measured", lambda *arguments: speed)
    found = planned(sentence_parts(number), tmp_path, minutes, *([("optimizer.name", said)] if said else []))
    assert (found.config.optimizer.name, found.config.optimizer.learning_rate) == (
        ("muon", 0.004) if name == "muon" else ("adamw", 0.0015)
    )
    assert (found.config.data.batch_tokens, found.config.model.dropout) == (
        (2048, 0.15) if name == "muon" else (4096, 0.2)
    )


@pytest.mark.parametrize("passes", [0.5, 7, 8, 9, 10.5, 12])
def test_muon_is_never_without_its_rate(passes: float) -> None:
    kinds, _, _ = recipe_table()
    for kind in kinds:
        rows = recipes_for(kind, {"pairs": 9000, "steps": 500, "passes": passes, "spare": 0}, is_pretrained=False)
        options = recipe_options(rows)
        assert options.get("optimizer.name") != "muon" or options["optimizer.learning_rate"] == 0.004, kind


@pytest.mark.parametrize(("minutes", "name"), [(5, "muon"), (30, "adamw")])
def test_numbers_are_learned_by_muon_where_time_is_short(
    minutes: float, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,300 steps of half a second are 11 minutes, and see each of 9,000 pairs 14 times."""
    monkeypatch.setattr(plan, "measured", lambda *arguments: SPEED)
    draw = random.Random(1)
    numbers = [str(draw.randrange(10**6)) for _ in range(9000)]
    spoken = [" ".join(f"number{number[at : at + 3]}" for at in (0, 3)) for number in numbers]
    train = Pairs(numbers, spoken, CorpusOptions(path="x.tsv"))
    found = planned(Parts(train, pairs(100, "17", "number17"), pairs(100, "17", "number17")), tmp_path, minutes)
    assert (found.kind.kind, found.config.optimizer.name) == ("normalisation", name)
    assert found.config.optimizer.learning_rate == (0.004 if name == "muon" else 0.003)
    assert found.config.data.batch_tokens == (2048 if name == "muon" else 4096)


@pytest.mark.parametrize(("minutes", "tokens"), [(None, 4096), (30, 4096), (15, 2048), (5, 1024)])
def test_batches_are_smaller_where_there_is_time_for_few_steps(
    minutes: float | None, tokens: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "measured", lambda *arguments: SPEED)
    parts = sentence_parts(2000)
    found = planned(parts, tmp_path, minutes)
    assert found.config.data.batch_tokens == found.speed.batch_tokens == tokens
    assert any("data.batch_tokens" in row.options for row in found.recipes) == (tokens < 4096)
    share = tokens / 4096
    assert (found.speed.seconds_per_step, found.speed.pairs_per_step) == (share * 0.5, share * 100)
    assert found.estimate.passes == pytest.approx(found.estimate.steps * share * 100 / 2000)
    if minutes is not None:
        assert found.estimate.total <= 60 * minutes
        assert planned(parts, tmp_path, minutes, ("data.batch_tokens", "4096")).config.data.batch_tokens == 4096
        assert planned(parts, tmp_path, minutes, processes=2).config.data.batch_tokens == 4096, "as timed"
