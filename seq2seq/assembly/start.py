"""What a run takes from the model that it starts as: its network's options, and how its family writes it down.

`training.initialize_from` names a run, a model folder of this toolkit or of a family of transformers, or a model on the
Hub. Options of the model that a configuration leaves at their defaults are those of that model; dropout is the run's
own. What a run must know of its start later, when that folder may be gone, is kept in its `start.json`.
"""

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from seq2seq.assembly.configuration import RunConfig
from seq2seq.assembly.generation_config import OF_CONFIGURATION, TargetRules, rules_of
from seq2seq.assembly.model_folder import read_model
from seq2seq.assembly.vocabulary_fit import num_ids
from seq2seq.config.declaring import options_of
from seq2seq.data.foreign_folder import check_foreign_folder
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.files import read_object, written
from seq2seq.models.families.folders import FAMILIES, GENERATION_FILE, family_of, read_family_options
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.transformer.inference import CONFIG_FILE, is_loadable, read_options
from seq2seq.models.transformer.options import TOKEN_IDS, TransformerOptions

START_FILE = "start.json"
MAY_CHANGE = ("generation_order", "interaction", "interaction_weight", "interaction_layers")
"""In what a model may differ from the one whose weights it starts with, beside dropout: it learns it anew."""


@dataclass(frozen=True)
class RunStart:
    """The model that a run starts as."""

    options: dict[str, Any]
    """All of `TransformerOptions`, what the tokenizer and the checkpoint decide included."""
    family: str | None = None
    """The `model_type` of its family; None for a model of this toolkit."""
    config: dict[str, Any] | None = None
    """The `config.json` of a family's model."""
    generation: dict[str, Any] | None = None
    """Its `generation_config.json`."""

    def config_of_generation(self) -> dict[str, Any]:
        """Return what an older folder says of search in its `config.json`, and the special tokens."""
        config = self.config or {}
        return {name: config[name] for name in (*OF_CONFIGURATION, *TOKEN_IDS) if config.get(name) is not None}

    def rules(self, model: Seq2Seq) -> TargetRules:
        """Return what no hypothesis of the model may say: nothing but the start's own, in the order it was made for."""
        if self.family is None or model.generation_order != "l2r":
            return TargetRules()
        return rules_of(self.generation or self.config_of_generation(), model)

    def completed(self, model: TransformerOptions, place: str) -> TransformerOptions:
        """Return a run's options of its model with those of its start.

        Raises:
            ValueError: they say otherwise of something in which weights would mean something else.
        """
        ours = TransformerOptions.of_values(self.options)
        changed = {}
        for field in fields(TransformerOptions):
            name, wanted, found = field.name, getattr(model, field.name), getattr(ours, field.name)
            if name not in options_of(TransformerOptions):
                continue
            has_effect = name != "max_positions" or ours.positions == "learned"
            if name in MAY_CHANGE or "dropout" in name or not has_effect:
                changed[name] = wanted
            elif wanted not in (field.default, found) and not _is_same(model, ours, name):
                raise ValueError(
                    f"{place} has `{name}: {found}`, but this run `{name}: {wanted}`, with which its weights would "
                    f"mean something else. Set `model.{name}` to {found}, or train from random weights."
                )
        return replace(ours, **changed)


def _is_same(model: TransformerOptions, ours: TransformerOptions, name: str) -> bool:
    """Return whether a size that one of both leaves to the others is the same."""
    sizes = dict(zip(("key_size", "value_size"), zip(model.head_sizes, ours.head_sizes, strict=True), strict=True))
    return name in sizes and sizes[name][0] == sizes[name][1]


def read_start(folder: Path) -> RunStart:
    """Return what a model folder says of the model in it.

    Raises:
        ValueError: it holds none that can be trained here, or is damaged.
    """
    if is_loadable(folder):
        return RunStart(_values(read_options(folder)))
    check_foreign_folder(folder)
    family = family_of(folder)
    if family is None:
        raise ValueError(
            f"{folder} holds a model of `{read_object(folder / CONFIG_FILE).get('model_type')}`, or of sizes, that can "
            f"be decoded with at most, but not trained; those of this toolkit and of {', '.join(FAMILIES)} can."
        )
    generation = folder / GENERATION_FILE
    return RunStart(
        _values(read_family_options(folder, family)),
        family.model_type,
        read_object(folder / CONFIG_FILE),
        read_object(generation) if generation.is_file() else None,
    )


def with_start(config: RunConfig) -> RunConfig:
    """Return a configuration whose model is the one that it starts as; the same where it starts afresh.

    Raises:
        ValueError: there is no such model, or the configuration contradicts it.
    """
    place = config.training.initialize_from
    if place is None:
        return config
    start = read_model(place, read_start)
    if start.family is not None and FAMILIES[start.family].overflows_in_half and config.training.precision == "fp16":
        raise ValueError(
            f"`training.precision: fp16`: {start.family} models overflow in fp16, whose largest number is 65,504; use "
            "bf16 or fp32."
        )
    return replace(config, model=start.completed(config.model, place))


def keep_start(config: RunConfig, folder: Path, *, has_begun: bool) -> None:
    """Write what a run has to know of its start into its directory; one that has begun keeps what it has."""
    path = folder / START_FILE
    if has_begun and path.is_file():
        return
    path.unlink(missing_ok=True)
    if config.training.initialize_from is None:
        return
    start = read_model(config.training.initialize_from, read_start)
    with written(path) as file:
        file.write(json.dumps({field.name: getattr(start, field.name) for field in fields(RunStart)}, indent=1) + "\n")


def kept_start(run: Path) -> RunStart | None:
    """Return what `keep_start` has written; None for a run that has started afresh.

    Raises:
        ValueError: the file is damaged.
    """
    path = run / START_FILE
    if not path.is_file():
        return None
    try:
        return RunStart(**read_object(path))
    except TypeError as error:
        raise ValueError(f"{path} is damaged: {error}.") from None


def fitted(tokenizer: TextTokenizer, start: RunStart | None) -> TextTokenizer:
    """Return a tokenizer whose special tokens are those that a model was trained with.

    Raises:
        ValueError: its texts end with another token, or it has tokens that the model has not.
    """
    if start is None:
        return tokenizer
    options = TransformerOptions.of_values(start.options)
    if tokenizer.eos_id != options.eos_token_id:
        raise ValueError(
            f"The tokenizer ends a text with the token {tokenizer.eos_id}, and the model that training starts with "
            f"expects {options.eos_token_id}; they are not of one training."
        )
    rows = {"source": options.source_vocab_size or options.vocab_size, "target": options.vocab_size}
    for side, found in (("source", tokenizer.source), ("target", tokenizer.target)):
        if num_ids(found) > rows[side]:
            raise ValueError(
                f"The tokenizer has {num_ids(found):,} {side} tokens, and the model that training starts with "
                f"{rows[side]:,}; take the tokenizer of that model, or give the model more by `seq2seq extend`."
            )
    tokenizer.decoder_start_id = options.decoder_start_token_id
    return tokenizer


def _values(options: TransformerOptions) -> dict[str, Any]:
    return {field.name: getattr(options, field.name) for field in fields(TransformerOptions)}
