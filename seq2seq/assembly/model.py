"""From a configuration to its model, with fresh weights or those of another."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from torch import Tensor

from seq2seq.assembly.architecture import architecture_of, first_difference
from seq2seq.assembly.configuration import RunConfig
from seq2seq.assembly.model_folder import read_model
from seq2seq.assembly.start import MAY_CHANGE, RunStart, read_start
from seq2seq.config.declaring import options_of
from seq2seq.data.foreign_folder import check_links
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.models.families.folders import read_family
from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig
from seq2seq.models.transformer.inference import InferenceTransformer, is_loadable, load_weights, wrong_weights
from seq2seq.models.transformer.options import TransformerOptions


def build_model_config(
    config: RunConfig, tokenizer: TextTokenizer, start: RunStart | None = None
) -> Seq2SeqTransformerConfig:
    """Return the model's own configuration: the section, with what the tokenizer or the run's start decides."""
    if start is not None:
        options = start.completed(config.model, str(config.training.initialize_from))
        return Seq2SeqTransformerConfig(
            **{field.name: getattr(options, field.name) for field in fields(TransformerOptions)}
        )
    return Seq2SeqTransformerConfig(
        **{name: getattr(config.model, name) for name in options_of(TransformerOptions)},
        vocab_size=tokenizer.target_vocab_size,
        source_vocab_size=tokenizer.source_vocab_size,
        pad_token_id=tokenizer.pad_id,
        bos_token_id=tokenizer.bos_id,
        eos_token_id=tokenizer.eos_id,
        decoder_start_token_id=tokenizer.decoder_start_id,
    )


def check_start(config: RunConfig) -> None:
    """Raise ValueError if the run cannot start with the weights that it names, as far as its options alone tell."""
    place = config.training.initialize_from
    if place is None:
        return

    def check(folder: Path) -> None:
        read_start(folder).completed(config.model, place)
        check_links(folder)
        if is_loadable(folder):
            InferenceTransformer.load(folder)
        else:
            read_family(folder)

    read_model(place, check)


def initialize_from(model: Seq2SeqTransformer, folder: Path) -> None:
    """Give the model the weights of another; what marks sides or gates an interaction may start afresh.

    Raises:
        ValueError: the other is of another architecture, or its weights are not; names some.
    """
    weights, options = start_weights(folder)
    _check_architecture(folder, architecture_of(model.options), architecture_of(options))
    expected = model.state_dict()
    new = [name for name in expected if ".sides." in name or ".interaction." in name]
    absent = [name for name in expected if name not in weights and name not in new]
    misshapen = [name for name in weights if name in expected and weights[name].shape != expected[name].shape]
    surplus = [name for name in weights if name not in expected]
    if absent or misshapen or surplus:
        raise wrong_weights(folder, [*absent, *misshapen], surplus)
    model.load_state_dict(weights, strict=False)


def start_weights(folder: Path) -> tuple[dict[str, Tensor], TransformerOptions]:
    """Return the weights of a model folder by our names, and the options of their network.

    Raises:
        ValueError: it holds no model that can be trained here, or a damaged one.
    """
    if not is_loadable(folder):
        read_start(folder)  # raises for what cannot be trained
        found = read_family(folder)
        return found.weights, found.options
    options = InferenceTransformer.load(folder).options
    return load_weights(folder, options.tie_embeddings), options


def _check_architecture(folder: Path, expected: dict[str, Any], found: dict[str, Any]) -> None:
    """Raise ValueError naming the first option that a folder's model has otherwise than is expected."""
    if (name := first_difference(expected, found, MAY_CHANGE)) is not None:
        raise ValueError(
            f"{folder} has `{name}: {found.get(name)}`, but this run `{name}: {expected.get(name)}`, with which its "
            f"weights would mean something else. Set `model.{name}` to {found.get(name)}, or train from random weights."
        )
