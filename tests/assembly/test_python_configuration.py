"""From the arguments of `seq2seq.train` to a configuration: the same as a command line makes of the same options."""

import re
from pathlib import Path
from typing import Any

import numpy
import pytest

from seq2seq.assembly.configuration import RunConfig, load_run_config
from seq2seq.assembly.own_pairs import command_config
from seq2seq.assembly.python_configuration import resolved_config
from seq2seq.data.corpus_options import MixedCorpusOptions

PAIRS = [(f"a{number}", f"b{number}") for number in range(30)]


def resolved(train: Any = None, validation: Any = None, config: Any = None, **options: Any) -> RunConfig:
    return resolved_config(train, validation, "runs/x", config, options)


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


FILES = ["--data.train.path", "a.tsv", "--data.validation.path", "b.tsv", "--run_directory", "runs/x"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"optimizer": {"learning_rate": 3e-4, "clip_norm": 2}}, "optimizer.learning_rate=3e-4 optimizer.clip_norm=2"),
        ({"optimizer.learning_rate": numpy.float64(3e-4)}, "optimizer.learning_rate=3e-4"),
        ({"optimizer.betas": (0.9, 0.8)}, "optimizer.betas=[0.9,0.8]"),
        ({"validation.metrics": ["bleu", "ter"]}, "validation.metrics=[bleu,ter]"),
        ({"objective": "r_drop"}, "objective=r_drop"),
        ({"objective": {"r_drop": {}}}, "objective=r_drop"),
        ({"objective": {"r_drop": {"consistency_weight": 2}}}, "objective.r_drop.consistency_weight=2"),
        ({"decoding": None, "training": {"max_epochs": 2}, "optimizer": {}}, "training.max_epochs=2"),
        ({"training": {"initialize_from": Path("runs/y")}, "tokenizer.path": None}, "training.initialize_from=runs/y"),
    ],
)  # fmt: skip
def test_options_mean_what_they_mean_on_a_command_line(options: dict[str, Any], words: str) -> None:
    found = resolved("a.tsv", "b.tsv", config={}, **options)
    Path("empty.yaml").write_text("")
    assert found == load_run_config(["empty.yaml", *FILES, *(f"--{word}" for word in words.split())])


def test_a_configuration_may_be_a_file_a_dictionary_or_a_whole_one() -> None:
    Path("run.yaml").write_text(
        "data: {train: {path: old.tsv, source_column: 1, target_column: 0}, num_folds: 5}\ntraining: {max_steps: 9}\n"
    )
    values = {
        "data": {"train": {"path": "old.tsv", "source_column": 1, "target_column": 0}, "num_folds": 5},
        "training": {"max_steps": 9},
    }
    of_file = resolved(config="run.yaml")
    assert of_file == resolved(config=values) == resolved(config=of_file)
    assert of_file.data.train.path == "old.tsv"
    changed = resolved("new.tsv", "dev.tsv", config=of_file, training={"max_steps": 3})
    assert (changed.data.train.path, changed.data.train.source_column) == ("new.tsv", "1")
    assert (changed.data.validation.path, changed.data.num_folds) == ("dev.tsv", 0)
    assert changed.training.max_steps == 3
    assert resolved(("a.en", "a.de"), config={}).data.train.source == "a.en"


def test_pairs_in_memory_become_files_of_the_run() -> None:
    found = resolved(PAIRS, PAIRS[:3], config={})
    assert (found.data.num_folds, Path(str(found.data.train.path)).parent) == (0, Path("runs/x/pairs"))
    assert len(Path(str(found.data.validation.path)).read_text().splitlines()) == 3
    columns = {"data": {"train": {"source_column": "en", "target_column": "de"}}}
    named = resolved([{"en": "a", "de": "b"}], [{"en": "c", "de": "d"}], config={}, **columns)
    assert named.data.validation.completed(named.data.train).target_column == "de"


@pytest.mark.parametrize(("number", "folds"), [(2, 2), (12, 12), (30, 20), (50_000, 50)])
def test_a_part_is_held_out_where_nothing_is_said_of_validation(number: int, folds: int) -> None:
    pairs = [PAIRS[0]] * number
    assert resolved(pairs, config={}).data.num_folds == folds
    assert resolved(pairs, config={}, data={"num_folds": 3}).data.num_folds == 3


def test_what_is_held_out_of_a_file() -> None:
    assert resolved("a.tsv", config={}).data.num_folds == 20
    assert resolved("a.tsv", config={"data": {"validation": {"path": "b.tsv"}}}).data.num_folds == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"train": PAIRS, "epochs": 3}, "`epochs`: there is no option `epochs`. `epochs` of other toolkits is"),
        ({"train": PAIRS, "max_steps": 3}, "`max_steps`: there is no option `max_steps`; it belongs to `training."),
        ({"train": PAIRS, "training": {"max_stepz": 3}}, "`training.max_stepz`: `training` has no option `max_stepz`"),
        ({"train": PAIRS, "training": {"max_steps": 2.5}}, "`training.max_steps` must be a whole number, but is '2.5'"),
        ({"train": PAIRS, "training": 5}, "`training` is a section"),
        ({"train": PAIRS, "data": {"train": {"path": "a.tsv"}}}, "`train` and `data.train.path` both say where"),
        ({"train": PAIRS, "config": {"data": {"train": [{}]}}}, "`train` and the list in `data.train` both say where"),
        ({"train": PAIRS, "config": {"training": {"max_steps": "x"}}}, "config: `training.max_steps` must be a whole"),
        ({"train": PAIRS, "config": "absent.yaml"}, "absent.yaml"),
        ({"train": []}, "`train` holds no pairs"),
        ({"train": PAIRS, "validation": [("a",)]}, "`validation`, row 0: expected a pair"),
    ],
)  # fmt: skip
def test_what_makes_no_run_is_explained(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, OSError), match=re.escape(message)):
        resolved(**arguments)


def test_several_corpora_are_a_list_of_options() -> None:
    corpora = [{"path": "a.tsv"}, {"path": Path("b.tsv"), "weight": 2}]
    train = resolved(data={"train": corpora, "temperature": 5}).data.train
    assert train == (MixedCorpusOptions(path="a.tsv"), MixedCorpusOptions(path="b.tsv", weight=2.0))


def test_a_configuration_in_the_place_of_pairs_is_named() -> None:
    with pytest.raises(ValueError, match=r"by its name: `seq2seq.train\(config=…\)`"):
        resolved(RunConfig("runs/x"))
    with pytest.raises(ValueError, match="`run_directory` must be given"):
        resolved_config(PAIRS, None, None, None, {})


def test_without_a_configuration_it_is_the_one_for_ones_own_pairs() -> None:
    assert resolved_config("x.tsv", None, "runs/x", None, {}) == command_config(["x.tsv"], "seq2seq train", "")
