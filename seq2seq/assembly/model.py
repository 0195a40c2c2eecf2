"""From a configuration to its model, with fresh weights or those of another."""

from pathlib import Path
from typing import Any

from seq2seq.assembly.architecture import architecture, architecture_of, first_difference
from seq2seq.assembly.configuration import RunConfig
from seq2seq.assembly.model_folder import read_model
from seq2seq.config.declaring import options_of
from seq2seq.data.foreign_folder import check_links
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig
from seq2seq.models.transformer.inference import InferenceTransformer, is_loadable, load_weights, wrong_weights
from seq2seq.models.transformer.options import TransformerOptions

MAY_CHANGE = ("generation_order", "interaction", "interaction_weight", "interaction_layers")
"""In what a model may differ from the one whose weights it starts with: it learns it anew."""


def build_model_config(config: RunConfig, tokenizer: TextTokenizer) -> Seq2SeqTransformerConfig:
    """Return the model's own configuration: the section, with what the tokenizer decides."""
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
    if config.training.initialize_from is not None:
        options = architecture_of(config.model)
        expected = {name: options[name] for name in options_of(TransformerOptions) if name in options}
        read_model(config.training.initialize_from, lambda folder: _check_weights(folder, expected))


def initialize_from(model: Seq2SeqTransformer, folder: Path) -> None:
    """Give the model the weights of another; what marks sides or gates an interaction may start afresh.

    Raises:
        ValueError: the other is of another architecture, or its weights are not; names some.
    """
    _check_architecture(folder, architecture_of(model.options))
    weights = load_weights(folder, model.options.tie_embeddings)
    expected = model.state_dict()
    new = [name for name in expected if ".sides." in name or ".interaction." in name]
    absent = [name for name in expected if name not in weights and name not in new]
    misshapen = [name for name in weights if name in expected and weights[name].shape != expected[name].shape]
    surplus = [name for name in weights if name not in expected]
    if absent or misshapen or surplus:
        raise wrong_weights(folder, [*absent, *misshapen], surplus)
    model.load_state_dict(weights, strict=False)


def _check_weights(folder: Path, expected: dict[str, Any]) -> None:
    """Raise ValueError if a folder's model is of another architecture, or its weights are not whole."""
    _check_architecture(folder, expected)
    check_links(folder)
    InferenceTransformer.load(folder)


def _check_architecture(folder: Path, expected: dict[str, Any]) -> None:
    """Raise ValueError naming the first option of those expected that a folder's model has otherwise."""
    if not is_loadable(folder):
        raise ValueError(
            f"Training starts with the weights of a model that was trained here, in one file, and {folder} holds none; "
            "models of other makers can be decoded with, but not trained."
        )
    found = {name: value for name, value in architecture(folder).items() if name in expected}
    if (name := first_difference(expected, found, MAY_CHANGE)) is not None:
        raise ValueError(
            f"{folder} has `{name}: {found.get(name)}`, but this run `{name}: {expected.get(name)}`, with which its "
            f"weights would mean something else. Set `model.{name}` to {found.get(name)}, or train from random weights."
        )
