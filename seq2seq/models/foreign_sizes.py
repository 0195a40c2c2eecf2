"""Whether the sizes in the configuration of somebody else's model are those of its weights.

Asked before transformers builds anything: the shapes in a file's header cost nothing to read, but a configuration can
ask for layers by the million and matrices beyond all memory.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from seq2seq.files import read_object
from seq2seq.models.weights import read_shapes

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

Shapes = Mapping[str, tuple[int, ...]]

MOST_LAYERS = 100
"""Layers, or experts, that are built without a look at how many the weights have: too few to take long."""
LARGEST = 2**20
"""No size, position or id of a model is larger, unless one of its weights is."""
WIDTHS = {"d_model", "hidden_size"}


def saved_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all weights in a folder, by the headers of their files."""
    return {name: shape for file in sorted(folder.glob("*.safetensors")) for name, shape in read_shapes(file).items()}


def check_sizes(path: Path, shapes: Shapes) -> None:
    """Raise ValueError, which names an option, if a configuration has numbers that no model of such weights has."""
    most_layers = max(MOST_LAYERS, len({number for name in shapes for number in re.findall(r"\d+", name)}))
    dimensions = {size for shape in shapes.values() for size in shape}
    for name, value in _numbers(read_object(path)):
        largest = most_layers if re.search("layers|blocks|experts", name) else max(LARGEST, *dimensions, 0)
        is_wrong_width = name in WIDTHS and bool(shapes) and value not in dimensions
        if abs(value) > largest or is_wrong_width:
            raise ValueError(f"{path}: `{name}` is {_shortened(value)}, but no weights beside it have such a size.")


def check_memory(folder: Path, config: "PreTrainedConfig", shapes: Shapes) -> None:
    """Raise ValueError if a model would need far more weights than there are; those that are absent are made."""
    from transformers import AutoModelForSeq2SeqLM

    try:
        with torch.device("meta"):
            model = AutoModelForSeq2SeqLM.from_config(config, trust_remote_code=False)
    except Exception as error:  # values of any type make errors of any type
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{folder / 'config.json'}: it makes no model: {reason}") from error
    wanted = sum(parameter.numel() for parameter in model.parameters())
    if shapes and wanted > 2 * sum(map(prod, shapes.values())) + LARGEST:
        raise ValueError(f"the weights in {folder} are not those of its config.json, which has {wanted:,} of them")


def further_layers(unexpected: Iterable[str], expected: Collection[str]) -> list[str]:
    """Return those names without a place that are of one more layer, or one more of what there are several."""
    kinds = {re.sub(r"\d+", "#", name) for name in expected}
    return [name for name in unexpected if re.sub(r"\d+", "#", name) in kinds]


def _numbers(value: Any, name: str = "") -> Iterable[tuple[str, float]]:
    """Yield all numbers of a configuration, with the name of what holds them."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(inner, name)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, value


def _shortened(value: float) -> str:
    text = json.dumps(value)
    return text if len(text) <= 20 else f"{text[:20]}…"
