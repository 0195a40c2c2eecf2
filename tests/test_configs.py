"""Every configuration that is shipped: it parses, its options fit together, its model builds, it says nothing twice."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
import yaml

from seq2seq.assembly.checks import check_config
from seq2seq.assembly.configuration import PARSER, RunConfig, load_run_config, save_run_config
from seq2seq.assembly.model import build_model_config
from seq2seq.config.declaring import all_options
from seq2seq.config.nodes import tree_of
from seq2seq.config.writing import dotted, plain
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.models.transformer import Seq2SeqTransformer

ROOT = Path(__file__).resolve().parents[1]

every_configuration = pytest.mark.parametrize(
    "path", sorted((ROOT / "configs").rglob("*.yaml")), ids=lambda path: path.stem
)


def fake_tokenizer(config: RunConfig) -> TextTokenizer:
    """Return what `build_model_config` asks of a tokenizer, with the configured sizes."""
    source_size = config.tokenizer.vocab_size
    target_size = source_size if config.tokenizer.shared else config.tokenizer.target_vocab_size or source_size
    sizes = {"source_vocab_size": source_size, "target_vocab_size": target_size}
    return cast(TextTokenizer, SimpleNamespace(pad_id=0, bos_id=1, eos_id=2, decoder_start_id=1, **sizes))


def without_one(options: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name of each value that is said, and what is said without it."""
    for name, value in options.items():
        if isinstance(value, dict) and value:
            yield from ((f"{name}.{inner}", {**options, name: rest}) for inner, rest in without_one(value))
        else:
            yield name, {other: said for other, said in options.items() if other != name}


def configuration_of(said: dict[str, Any]) -> RunConfig | None:
    """Return the configuration that says this; None if that makes no sense."""
    try:
        config: RunConfig = PARSER.parse(tree_of(said, "a configuration"))
    except ValueError:
        return None
    return config


def test_there_are_configurations() -> None:
    assert len(list((ROOT / "configs").rglob("*.yaml"))) >= 3
    assert list((ROOT / "configs").rglob("*.yml")) == []


@every_configuration
def test_options_fit_together_and_the_model_builds(path: Path) -> None:
    config = load_run_config([str(path)])
    check_config(config)
    tokenizer = fake_tokenizer(config)
    with torch.device("meta"):
        model = Seq2SeqTransformer(build_model_config(config, tokenizer))
        logits = model(torch.ones(2, 3).long(), torch.ones(2, 3).bool(), torch.ones(2, 6).long()).logits
    assert logits.shape == (2, 6, tokenizer.target_vocab_size)


@every_configuration
def test_both_corpora_are_named(path: Path) -> None:
    data = load_run_config([str(path)]).data
    validation = data.validation.completed(data.train)
    for corpus in (data.train, validation):
        assert corpus.path or (corpus.source and corpus.target)
    assert data.train != dataclasses.replace(validation, split=data.train.split)


@every_configuration
def test_resolved_configuration_reads_back_equal(path: Path, tmp_path: Path) -> None:
    config = load_run_config([str(path)])
    save_run_config(config, tmp_path / "config.yaml")
    assert load_run_config([str(tmp_path / "config.yaml")]) == config
    written = set(dotted(yaml.safe_load((tmp_path / "config.yaml").read_text())))
    assert written == set(dotted(plain(config)))
    of_every_run = {name for name, option, _ in all_options(RunConfig) if option.section is option.choice is None}
    of_some_kind = ("decoder_inputs.", "objective.", "gradient.", "decoding.")
    assert {name for name in of_every_run if not name.startswith(of_some_kind) and ".0." not in name} <= written


@every_configuration
def test_only_what_differs_from_the_defaults_is_said(path: Path) -> None:
    config, said = load_run_config([str(path)]), yaml.safe_load(path.read_text(encoding="utf-8"))
    assert configuration_of(said) == config
    fewer = dict(without_one(said))
    assert len(fewer) > 5
    assert [name for name, rest in fewer.items() if configuration_of(rest) == config] == []


def test_run_directories_are_distinct() -> None:
    paths = sorted((ROOT / "configs").rglob("*.yaml"))
    directories = {load_run_config([str(path)]).run_directory for path in paths}
    assert len(directories) == len(paths)
