import dataclasses
import random
from pathlib import Path

import pytest

from seq2seq.data.table_format import leading_tags
from seq2seq.fitting.features import Features, features_of
from seq2seq.fitting.plan import parsed
from seq2seq.fitting.recipes import Kind, Recipe, holds, in_effect, recipe_options, recipe_table, recipes_for, task_kind
from tests.shared_data import shared_data

NAMES = {field.name for field in dataclasses.fields(Features)}
KINDS, RECIPES, FROM_PRETRAINED = recipe_table()
ROOT = Path(__file__).parents[2]
SIZES = [300, 3_000, 30_000, 300_000, 3_000_000]
PASSES = [0.5, 5, 50]


def test_bounds_are_of_features_that_there_are() -> None:
    for row in (*KINDS, *RECIPES, *FROM_PRETRAINED):
        assert {*row.when} <= NAMES | {"passes", "spare", "steps", "without_minutes"}
        assert all(low is None or high is None or low <= high for low, high in row.when.values())
    assert not KINDS[-1].when, "the last kind takes whatever is left"


def test_kinds_of_recipes_are_kinds() -> None:
    assert {kind for recipe in RECIPES for kind in recipe.kinds} == {kind.kind for kind in KINDS}


def test_records_are_files_that_there_are() -> None:
    for recipe in (*RECIPES, *FROM_PRETRAINED):
        assert bool(recipe.evidence) <= bool(recipe.record)
        assert not recipe.record or (ROOT / recipe.record).is_file()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
@pytest.mark.parametrize("is_pretrained", [False, True])
def test_whatever_is_chosen_is_a_configuration(kind: Kind, is_pretrained: bool) -> None:
    for pairs in SIZES:
        for passes in PASSES:
            for characters in (10, 1000):
                numbers = dict.fromkeys(NAMES, float(characters)) | {"pairs": pairs, "passes": passes}
                numbers["steps"] = 100 * passes
                recipes = recipes_for(kind, numbers, is_pretrained=is_pretrained)
                config = parsed({"run_directory": "x", "data.train.path": "y.tsv"} | recipe_options(recipes))
                assert config.training.max_steps >= 300
                assert config.validation.select_by in config.validation.metrics


def test_bounds_include_their_ends_and_need_their_number() -> None:
    assert holds({"pairs": (1, 2)}, {"pairs": 1})
    assert holds({"pairs": (1, 2)}, {"pairs": 2})
    assert not holds({"pairs": (1, 2)}, {"pairs": 3})
    assert not holds({"passes": (None, None)}, {"pairs": 1})
    assert holds({}, {})


def recipe(**options: float) -> Recipe:
    return Recipe("", {}, {name.replace("_", ".", 1): value for name, value in options.items()}, "", "")


def test_what_others_have_set_anew_is_no_reason() -> None:
    first, second = recipe(model_size=1, training_steps=1), recipe(model_size=2)
    assert in_effect([first, second]) == [first, second]
    assert in_effect([first, second, recipe(training_steps=3)])[0] is second
    assert in_effect([recipe(validation_metrics=1)]) == []


def made_up(kind: str) -> tuple[list[str], list[str]]:
    draw = random.Random(1)

    def word(letters: str = "abcdefghijklmnop", longest: int = 9) -> str:
        return "".join(draw.choice(letters) for _ in range(draw.randint(3, longest)))

    def sentence(vocabulary: list[str], number: int) -> str:
        return " ".join(draw.choice(vocabulary) for _ in range(number))

    words = [word() for _ in range(3000)]
    others = [word("qrstuvwxyz") for _ in range(3000)]
    make = {
        "phonemes": lambda: (text := draw.choice(words), " ".join(letter.upper() for letter in text)),
        "sounds": lambda: (" ".join((text := draw.choice(words)).upper()), text),
        "commands": lambda: (sentence(words[:12], 6), sentence(["JUMP", "WALK", "RUN"], 9)),
        "inflection": lambda: (f"<{draw.choice('NVA')}> {(text := draw.choice(words))}", f"ber{text}kan"),
        "summary": lambda: (sentence(words, 60), sentence(words, 6)),
        "correction": lambda: (text := sentence(words, 10), text.replace("a", "e", 1)),
        "normalisation": lambda: (str(draw.randint(0, 10**6)), sentence(words, 5)),
        "words": lambda: (draw.choice(words), draw.choice(others)),
        "translation": lambda: (sentence(words, 9), sentence(others, 10)),
    }[kind]
    pairs = [make() for _ in range(2000)]
    return [source for source, _ in pairs], [target for _, target in pairs]


@pytest.mark.parametrize("kind", [kind.kind for kind in KINDS])
def test_made_up_tasks_are_known(kind: str) -> None:
    sources, targets = made_up(kind)
    assert task_kind(features_of(sources, targets, leading_tags(sources), 1).numbers()).kind == kind


REAL = {
    "phonemes": [f"g2p_sigmorphon2020/{language}_train.tsv" for language in ("fre", "ice", "hun", "hin", "kor", "vie")],
    "commands": ["scan/simple.train.tsv"],
    "summary": ["arxiv_cl_title/train.tsv", "csl_title/clge.train.tsv"],
}


@pytest.mark.parametrize(("kind", "file"), [(kind, file) for kind, files in REAL.items() for file in files])
def test_real_tasks_are_known(kind: str, file: str) -> None:
    rows = [line.split("\t") for line in shared_data(file).read_text(encoding="utf-8").splitlines()]
    assert task_kind(features_of([row[0] for row in rows], [row[1] for row in rows], [], 1).numbers()).kind == kind


@pytest.mark.parametrize("file", REAL["phonemes"])
def test_sounds_to_spelling_are_known(file: str) -> None:
    rows = [line.split("\t") for line in shared_data(file).read_text(encoding="utf-8").splitlines()]
    assert task_kind(features_of([row[1] for row in rows], [row[0] for row in rows], [], 1).numbers()).kind == "sounds"


@pytest.mark.parametrize("language", ["de", "fr"])
def test_captions_are_translation(language: str) -> None:
    sides = [
        shared_data(f"multi30k/raw/train.{name}").read_text(encoding="utf-8").splitlines() for name in ("en", language)
    ]
    assert task_kind(features_of(sides[0], sides[1], [], 1).numbers()).kind == "translation"
