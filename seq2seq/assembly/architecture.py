"""How the weights of a model are used: two models whose descriptions agree can share them.

Weights that mean other things can have the same names and shapes, such as those of two kinds of positions.
"""

from collections.abc import Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from seq2seq.files import read_object
from seq2seq.models.transformer.inference import CONFIG_FILE, is_loadable, read_options
from seq2seq.models.transformer.options import TransformerOptions

WITHOUT_EFFECT = ("dtype", "transformers_version", "initialization")
"""Of a model's description, beside all dropout, what does not say how it computes."""


def architecture(folder: Path) -> dict[str, Any]:
    """Return how a model's weights are used; an option that an older version did not write has its default."""
    if is_loadable(folder):
        return architecture_of(read_options(folder))
    return _with_effect(read_object(folder / CONFIG_FILE))


def architecture_of(options: TransformerOptions) -> dict[str, Any]:
    """Return how weights are used, where what is None stands for has its value."""
    values = {field.name: getattr(options, field.name) for field in fields(TransformerOptions)}
    values |= dict(zip(("key_size", "value_size"), options.head_sizes, strict=True))
    values["source_vocab_size"] = options.source_vocab_size or options.vocab_size
    if options.positions != "learned":
        del values["max_positions"]
    return _with_effect(values)


def first_difference(
    expected: Mapping[str, Any], found: Mapping[str, Any], ignored: Collection[str] = ()
) -> str | None:
    """Return the name of an option in which two architectures differ: if possible one that both have, and before those
    that follow from it."""
    either = {**expected, **found}
    names = [*(name for name in expected if name in found), *either]
    return next((name for name in names if name not in ignored and expected.get(name) != found.get(name)), None)


def _with_effect(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if "dropout" not in name and name not in WITHOUT_EFFECT}
