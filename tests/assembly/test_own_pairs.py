"""A run without a configuration: the values of `configs/tsv.yaml`, a fold held out, a directory by the table's name."""

import dataclasses
from pathlib import Path

import pytest

from seq2seq.assembly.checks import check_config
from seq2seq.assembly.configuration import RunConfig, load_run_config
from seq2seq.assembly.own_pairs import command_config
from seq2seq.config.shipped import shipped_file
from seq2seq.data.corpus_options import CorpusOptions, MixedCorpusOptions, PartialCorpusOptions


def configured(arguments: list[str]) -> RunConfig:
    return command_config(arguments, "seq2seq train", "What it does.")


def shipped_config(**data: object) -> RunConfig:
    """Return what configs/tsv.yaml says, with other data."""
    config = load_run_config([str(shipped_file("tsv"))])
    plain = {"train": CorpusOptions(path="a/pairs.tsv"), "validation": PartialCorpusOptions(), "num_folds": 20}
    return dataclasses.replace(
        config, run_directory="runs/pairs", data=dataclasses.replace(config.data, **(plain | data))
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["a/pairs.tsv"],
        ["--data.train.path", "a/pairs.tsv"],
        ["--config", "a/pairs.tsv"],
        ["--data.train.path=a/pairs.tsv", "--data.validation.path", "null"],
        ["--data", "{train: {path: a/pairs.tsv}}"],
    ],
)
def test_a_table_is_enough(arguments: list[str]) -> None:
    config = configured(arguments)
    check_config(config)
    assert config == shipped_config()


@pytest.mark.parametrize(
    ("table", "directory"),
    [("x.jsonl", "runs/x"), ("b/y.tsv.gz", "runs/y"), ("z.CSV", "runs/z"), ("../a b.parquet", "runs/a b")],
)
def test_the_run_has_the_name_of_the_table(table: str, directory: str) -> None:
    config = configured(["--training.max_steps", "7000", table])
    assert (config.data.train.path, config.run_directory, config.training.max_steps) == (table, directory, 7000)


@pytest.mark.parametrize(
    "said",
    [
        ["--tokenizer.kind", "sentencepiece", "--tokenizer.normalization", "nfkc"],
        ["--tokenizer.kind", "characters"],
        ["--tokenizer.path", "x"],
        ["--tokenizer", "{kind: words}"],
        ["--init-from", "x"],
    ],
)
def test_another_tokenizer_has_defaults_of_its_own(said: list[str]) -> None:
    assert configured(["a/pairs.tsv"]).tokenizer.min_frequency == 10
    assert configured(["a/pairs.tsv", "--tokenizer.vocab_size", "100"]).tokenizer.min_frequency == 10
    chosen = configured(["a/pairs.tsv", *said]).tokenizer
    assert (chosen.min_frequency, chosen.min_relative_frequency) == (1, 0)


def test_a_trained_model_is_tuned_in_small_steps() -> None:
    tuned, tuning = configured(["a/pairs.tsv", "--init-from", "x"]), load_run_config([str(shipped_file("finetune"))])
    assert tuned.training == dataclasses.replace(tuning.training, initialize_from="x")
    assert (tuned.optimizer, tuned.validation) == (tuning.optimizer, tuning.validation)
    assert (tuned.data.train.path, tuned.run_directory, tuned.data.num_folds) == ("a/pairs.tsv", "runs/pairs", 20)


@pytest.mark.parametrize(
    ("said", "rate"),
    [
        ([], 4e-3),
        (["--optimizer.name", "muon"], 4e-3),
        (["--optimizer.name", "adamw"], 1e-3),
        (["--optimizer.name", "adamw", "--optimizer.learning_rate", "2e-3"], 2e-3),
        (["--init-from", "x"], 2e-4),
        (["--init-from", "x", "--optimizer.name", "adamw"], 2e-4),
        (["--init-from", "x", "--optimizer.name", "adafactor"], 1e-3),
    ],
)
def test_an_optimizer_of_ones_own_has_no_rate_of_another(said: list[str], rate: float) -> None:
    optimizer = configured(["a/pairs.tsv", *said]).optimizer
    assert (optimizer.learning_rate, optimizer.schedule) == (rate, "linear")


def test_what_is_said_counts() -> None:
    dev = PartialCorpusOptions(path="dev.tsv")
    assert configured(["a/pairs.tsv", "--data.validation.path", "dev.tsv"]) == shipped_config(
        validation=dev, num_folds=0
    )
    assert configured(["a/pairs.tsv", "--data.num_folds", "5"]) == shipped_config(num_folds=5)
    assert configured(["a/pairs.tsv", "--run_directory", "x"]).run_directory == "x"


def test_two_files_and_streams() -> None:
    sides = ["--data.train.source", "c/train.en", "--data.train.target", "c/train.de"]
    config = configured(sides)
    assert (config.run_directory, config.data.num_folds) == ("runs/train", 20)
    stream = configured([*sides, "--data.train.streaming", "true"])
    assert stream.data.num_folds == 0, "a stream has no folds"


def test_a_list_of_tables_is_enough() -> None:
    config = configured(["--data.train.0.path", "a/pairs.tsv", "--data.train.1.path", "b.tsv"])
    check_config(config)
    corpora = (MixedCorpusOptions(path="a/pairs.tsv"), MixedCorpusOptions(path="b.tsv"))
    assert config == shipped_config(train=corpora)
    with pytest.raises(ValueError, match="nothing to train on"):
        configured(["--data.train.0.weight", "2"])


@pytest.mark.parametrize("arguments", [[], ["--print-config"], ["--data.train.path", "null"]])
def test_without_pairs_it_says_what_to_give(arguments: list[str]) -> None:
    with pytest.raises(ValueError, match=r"^there is nothing to train on; give .*`seq2seq train pairs\.tsv`.*init"):
        configured(arguments)


@pytest.mark.parametrize("arguments", [["--data", "7"], ["--data.train", "x"], ["a/pairs.tsv", "--data.train", "x"]])
def test_sections_that_are_none_are_refused_in_one_line(arguments: list[str]) -> None:
    with pytest.raises(ValueError, match="is a section|nothing to train on"):
        configured(arguments)


def test_a_second_file_says_how_to_name_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Two files are named, train\.tsv and dev\.tsv.*--data\.validation\.path dev"):
        configured(["train.tsv", "dev.tsv"])
