"""Model folders of the families: read into our network's options and weights, written as transformers reads them."""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seq2seq.data.foreign_folder import check_foreign_folder
from seq2seq.files import read_object, written
from seq2seq.models.families import bart, t5
from seq2seq.models.families.tables import (
    Converted,
    Family,
    NotNative,
    completed,
    converted,
    embeddings_of,
    given_back,
    network_options,
)
from seq2seq.models.foreign_sizes import check_sizes, saved_shapes
from seq2seq.models.transformer.inference import CONFIG_FILE, WEIGHTS_FILE, InferenceTransformer, check_weights
from seq2seq.models.transformer.options import TOKEN_IDS, TransformerOptions
from seq2seq.models.weights import check_finite, read_as, read_weights, weights_written, write_weights

FAMILIES = {family.model_type: family for family in (*bart.FAMILIES, *t5.FAMILIES)}
GENERATION_FILE = "generation_config.json"
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5", "flax_model.msgpack")


@dataclass(frozen=True)
class FamilyModel:
    """A model folder of a family."""

    family: Family
    config: dict[str, Any]
    """What `config.json` says."""
    options: TransformerOptions
    weights: dict[str, Tensor]
    """By our names; what is tied stands under each of its names."""


def family_of(folder: Path) -> Family | None:
    """Return the family of the model in a folder; None for any other model, and for sizes that our network has not.

    Raises:
        ValueError: `config.json` is damaged.
    """
    path = folder / CONFIG_FILE
    family = FAMILIES.get(str(read_object(path).get("model_type"))) if path.is_file() else None
    try:
        if family is not None:
            family.options(completed(family, read_object(path)), True)
    except NotNative:
        return None
    except (KeyError, TypeError, ValueError, AttributeError):
        pass  # said when it is read
    return family


def read_family_options(folder: Path, family: Family | None = None) -> TransformerOptions:
    """Return the options of a family's model by its configuration and its embeddings alone.

    Raises:
        NotNative: it has what our network has not.
        ValueError: the configuration is damaged, or there are no weights.
    """
    config = with_special_tokens(folder, read_object(folder / CONFIG_FILE))
    family = family or FAMILIES[str(config["model_type"])]
    embeddings = read_tensors(folder, family.embeddings)
    with _placed(folder):
        return network_options(family, config, embeddings_of(family, embeddings))


def read_family(folder: Path, dtype: torch.dtype | None = None) -> FamilyModel:
    """Return the model of a family's folder.

    Args:
        dtype: of its weights; by default their own, the widest, which in half precision is not that of T5.

    Raises:
        ValueError: anything in the folder is damaged, would be run, or is not of the family; names it.
    """
    check_foreign_folder(folder)
    config = read_object(folder / CONFIG_FILE)
    family = FAMILIES[str(config["model_type"])]
    check_sizes(folder / CONFIG_FILE, saved_shapes(folder))
    # What is tied is seen by numbers that are not rounded.
    tensors = read_tensors(folder) if dtype is None else read_tensors(folder, None, dtype, family.embeddings)
    check_finite(tensors, folder)
    with _placed(folder):
        found: Converted = converted(family, with_special_tokens(folder, config), tensors)
    weights = _of_one_type(family, found.weights, dtype)
    network = InferenceTransformer.without_weights(found.options)
    check_weights(folder, {name: tuple(weight.shape) for name, weight in network.named_parameters()}, weights)
    return FamilyModel(family, config, found.options, weights)


def with_special_tokens(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with the special tokens that generation begins and ends with, if a file says so."""
    path = folder / GENERATION_FILE
    said = read_object(path) if path.is_file() else {}
    return {**config, **{name: said[name] for name in TOKEN_IDS if said.get(name) is not None}}


def read_tensors(
    folder: Path,
    names: Collection[str] | None = None,
    dtype: torch.dtype | None = None,
    exact: Collection[str] = (),
) -> dict[str, Tensor]:
    """Return the tensors of a folder's safetensors files, as one file or as the index of several says.

    Args:
        names: of those that are wanted, if they are there; None = all.
        dtype: of all that are wanted but for `exact`; None = as they are.

    Raises:
        ValueError: there are none, one is damaged, or the index names what is not there.
    """

    def read(path: Path) -> dict[str, Tensor]:
        return read_weights(path, names) if dtype is None else read_as(path, dtype, exact)

    if (folder / WEIGHTS_FILE).is_file():
        return read(folder / WEIGHTS_FILE)
    index = folder / f"{WEIGHTS_FILE}.index.json"
    if not index.is_file():
        raise ValueError(f"{folder} has no weights in safetensors, and nothing else is read{_way_out(folder)}.")
    places: Mapping[str, str] = read_object(index)["weight_map"]
    wanted = {name: file for name, file in places.items() if names is None or name in names}
    tensors: dict[str, Tensor] = {}
    for file in sorted(set(wanted.values())):
        tensors |= read(folder / file)
    if absent := sorted(set(wanted) - set(tensors)):
        raise ValueError(f"{index} names {absent[0]}, which is in none of its files; copy the folder anew.")
    return tensors


def write_family(folder: Path, model: FamilyModel, generation: Mapping[str, Any] | None) -> None:
    """Write weights and configurations into a folder that is there.

    Args:
        generation: what `generation_config.json` says; None writes none.
    """
    with weights_written(folder):
        write_weights(given_back(model.family, model.options, model.weights), folder / WEIGHTS_FILE)
    for name, values in ((CONFIG_FILE, saved_config(model)), (GENERATION_FILE, generation)):
        if values is not None:
            with written(folder / name) as file:
                file.write(json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def saved_config(model: FamilyModel) -> dict[str, Any]:
    """Return what `config.json` says of a model, in which only what training may change is new.

    What is tied is said as the versions of transformers before 5 and CTranslate2 understand it: they take it for
    whether T5's output is scaled, too.
    """
    options = model.options
    is_output_tied = options.tie_embeddings in ("all", "target")
    dtype = str(next(iter(model.weights.values())).dtype).removeprefix("torch.")
    said = {name: value for name, value in model.config.items() if name not in ("torch_dtype", "transformers_version")}
    said |= {"architectures": [model.family.class_name], "model_type": model.family.model_type, "dtype": dtype}
    said |= {"vocab_size": options.source_vocab_size or options.vocab_size}
    if model.family.model_type == "marian":
        said |= {"decoder_vocab_size": options.vocab_size}
        said |= {"share_encoder_decoder_embeddings": options.tie_embeddings in ("all", "inputs")}
    return said | {"tie_word_embeddings": is_output_tied and model.config.get("tie_word_embeddings") is not False}


def with_weights(model: FamilyModel, options: TransformerOptions, weights: Mapping[str, Tensor]) -> FamilyModel:
    """Return the model with others, of the same network."""
    return replace(model, options=options, weights=dict(weights))


def _of_one_type(family: Family, weights: dict[str, Tensor], dtype: torch.dtype | None) -> dict[str, Tensor]:
    """Return weights of a type, by default the widest among them; tied ones still tied."""
    if dtype is None:
        dtype = torch.bfloat16
        for weight in weights.values():
            dtype = torch.promote_types(dtype, weight.dtype) if weight.dtype != dtype else dtype
        if all(weight.dtype == torch.float16 for weight in weights.values()):
            dtype = torch.float32 if family.overflows_in_half else torch.float16
    found: dict[int, Tensor] = {}
    for weight in weights.values():
        if id(weight) not in found:
            found[id(weight)] = weight.to(dtype)
    return {name: found[id(weight)] for name, weight in weights.items()}


def _way_out(folder: Path) -> str:
    pickles = [name for name in PICKLES if (folder / name).exists()]
    if not pickles:
        return ""
    return (
        f"; {pickles[0]} may run code as it is read. On the Hub there may be a revision with safetensors; otherwise "
        "save it anew by `save_pretrained` of transformers where you trust it"
    )


@contextmanager
def _placed(folder: Path) -> Iterator[None]:
    """Put the folder before what is wrong in it; values of any type make errors of several."""
    try:
        yield
    except NotNative:
        raise
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        text = f"`{error.args[0]}` is missing" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise ValueError(f"{folder}: {text.rstrip('.')}.") from error
