"""Model folders of the families: read into our network's options and weights, written as transformers reads them."""

import json
from collections.abc import Iterable, Iterator, Mapping
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
    tensor_of_parts,
)
from seq2seq.models.foreign_sizes import check_sizes, saved_shapes
from seq2seq.models.transformer.inference import (
    CONFIG_FILE,
    EMBEDDINGS,
    WEIGHTS_FILE,
    InferenceTransformer,
    check_weights,
)
from seq2seq.models.transformer.options import TOKEN_IDS, TransformerOptions
from seq2seq.models.weights import (
    check_finite,
    check_types,
    read_as,
    read_outlines,
    read_shapes,
    weights_written,
    write_weights,
)

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
    embeddings = _read(_places(folder, family), family.embeddings)
    with _placed(folder):
        return network_options(family, config, embeddings_of(family, embeddings))


@dataclass(frozen=True)
class FamilyFolder:
    """A model folder of a family that was found to be in order, of which the embeddings are read."""

    family: Family
    config: dict[str, Any]
    options: TransformerOptions
    embeddings: dict[str, Tensor]
    """And the output layer; what is tied stands under each of its names."""
    dtype: torch.dtype
    """Of the weights."""
    folder: Path

    def layers(self) -> Iterator[tuple[str, Tensor]]:
        """Yield all other weights by our names, in the order of the network, as they are read.

        Raises:
            ValueError: one is no finite number.
        """
        places = _places(self.folder, self.family)
        for entry in self.family.layers(self.options):
            parts = {name: read_as(*places[name], self.dtype) for name in entry.theirs}
            check_finite(parts, self.folder)
            yield entry.ours, tensor_of_parts(list(parts.values()))


def open_family(folder: Path, dtype: torch.dtype | None = None) -> FamilyFolder:
    """Return a family's folder, whose tensors have the names and shapes of its network.

    Args:
        dtype: of its weights; by default their own, the widest, which in half precision is not that of T5.

    Raises:
        ValueError: anything in the folder is damaged, would be run, or is not of the family; names it.
    """
    check_foreign_folder(folder)
    config = read_object(folder / CONFIG_FILE)
    family = FAMILIES[str(config["model_type"])]
    check_sizes(folder / CONFIG_FILE, saved_shapes(folder))
    places = _places(folder, family)
    outlines_of = {path: read_outlines(path) for path in sorted({path for path, _ in places.values()})}
    outlines = {name: outlines_of[path][own] for name, (path, own) in places.items()}
    check_types(outlines, folder)
    # What is tied is seen by numbers that are not rounded.
    embeddings = _read(places, family.embeddings)
    check_finite(embeddings, folder)
    with _placed(folder):
        found: Converted = converted(family, with_special_tokens(folder, config), outlines | embeddings)
    weights = _of_one_type(family, found.weights, dtype)
    network = InferenceTransformer.without_weights(found.options)
    check_weights(folder, {name: tuple(weight.shape) for name, weight in network.named_parameters()}, weights)
    read = {name: weight for name, weight in weights.items() if not weight.is_meta}
    return FamilyFolder(family, config, found.options, read, weights[EMBEDDINGS].dtype, folder)


def read_family(folder: Path, dtype: torch.dtype | None = None) -> FamilyModel:
    """Return the model of a family's folder; arguments and errors are those of `open_family`."""
    found = open_family(folder, dtype)
    return FamilyModel(found.family, found.config, found.options, {**found.embeddings, **dict(found.layers())})


def with_special_tokens(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with the special tokens that generation begins and ends with, if a file says so."""
    path = folder / GENERATION_FILE
    said = read_object(path) if path.is_file() else {}
    return {**config, **{name: said[name] for name in TOKEN_IDS if said.get(name) is not None}}


def _places(folder: Path, family: Family) -> dict[str, tuple[Path, str]]:
    """Return in which safetensors file each tensor of a family's folder is, and what it is called there.

    Raises:
        ValueError: there are none, one is damaged, or the index names what is not there.
    """
    if (folder / WEIGHTS_FILE).is_file():
        return _by_full_name({name: folder / WEIGHTS_FILE for name in read_shapes(folder / WEIGHTS_FILE)}, family)
    index = folder / f"{WEIGHTS_FILE}.index.json"
    if not index.is_file():
        raise ValueError(f"{folder} has no weights in safetensors, and nothing else is read{_way_out(folder)}.")
    wanted: Mapping[str, str] = read_object(index)["weight_map"]
    places = {name: folder / file for file in sorted(set(wanted.values())) for name in read_shapes(folder / file)}
    if absent := sorted(set(wanted) - set(places)):
        raise ValueError(f"{index} names {absent[0]}, which is in none of its files; copy the folder anew.")
    return _by_full_name(places, family)


def _by_full_name(files: Mapping[str, Path], family: Family) -> dict[str, tuple[Path, str]]:
    """Return files by the names that tensors have in the family's class, with what they are called there."""
    is_whole = any(name.startswith(family.base) for name in files)
    return {name if is_whole else family.base + name: (path, name) for name, path in files.items()}


def _read(places: Mapping[str, tuple[Path, str]], names: Iterable[str]) -> dict[str, Tensor]:
    """Return those tensors that are there, as they are."""
    return {name: read_as(*places[name], None) for name in names if name in places}


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
