"""From a folder on disk to a model behind the waist.

Only safetensors and JSON are read, only from disk, and no code from the folder is ever run.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from torch import nn

from seq2seq.data.foreign_folder import check_foreign_folder, check_links
from seq2seq.models.families.folders import FamilyFolder, FamilyModel, family_of, open_family, read_family
from seq2seq.models.foreign_sizes import check_memory, check_sizes, further_layers, saved_shapes
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.transformer.inference import (
    CONFIG_FILE,
    InferenceTransformer,
    is_loadable,
    without_memory,
    wrong_weights,
)
from seq2seq.models.transformer.options import TransformerOptions
from seq2seq.models.transformer.packing import (
    can_halve,
    can_quantize,
    halve,
    halve_parts,
    pack,
    pack_parts,
    quantize,
    quantize_parts,
)
from seq2seq.models.weights import check_finite, damage_named

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def load_model(
    folder: str | Path,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    *,
    trainable: bool = False,
) -> Seq2Seq:
    """Return the model that `save_pretrained` wrote into `folder`, in evaluation mode.

    Args:
        device: where its weights go.
        dtype: type of its weights; by default as saved. `torch.int8` makes products of 8-bit integers. On x86
            processors `torch.float16` is the type of the weights of products alone, which float32 enters and leaves,
            where the network is ours; others are in float32 there.
        trainable: load a model of this toolkit as what it was saved from, which can be trained and saved again; by
            default as what searches fastest. Of transformers' models, those of `models.families` become models of this
            toolkit, and the others stay what they are.

    Raises:
        ValueError: the folder holds no model, a damaged or incomplete one, or one that is no encoder-decoder; or there
            are no products of 8-bit integers for it.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder} holds no model: it has no config.json; give a folder written by save_pretrained")
    check_links(folder)
    family = family_of(folder)
    is_native, is_quantized = is_loadable(folder) or family is not None, dtype == torch.int8
    has_halves = dtype == torch.float16 and can_halve(device)
    dtype = torch.float32 if has_halves else dtype  # of all but weights: computing in 16 bits is slow there
    if is_quantized and (trainable or not is_native):
        raise ValueError(
            f"{folder}: 8-bit integers are for search with models whose network is ours; use fp32 or bf16."
        )
    if is_quantized and not can_quantize(device):
        raise ValueError("There are no fast products of 8-bit integers on this device; use fp32 or bf16.")
    if family is not None and family.overflows_in_half and dtype == torch.float16:
        raise ValueError(
            f"{folder}: {family.model_type} models overflow in fp16, whose largest number is 65,504; use bf16 or fp32."
        )
    if family is not None and trainable:
        return _trainable(read_family(folder), device, dtype)
    if not is_native or trainable:
        return _pretrained(folder, device, dtype)
    kept = torch.float32 if is_quantized else dtype
    laid_out, replace_parts = (
        (quantize, quantize_parts) if is_quantized else (halve, halve_parts) if has_halves else (pack, pack_parts)
    )
    if family is None:
        model = InferenceTransformer.load(folder)
    else:
        model = _for_search(open_family(folder, kept), device, replace_parts)
    nn.Module.to(model, device, kept)
    return laid_out(model)


def _for_search(
    found: FamilyFolder, device: torch.device | str, replace: Callable[[nn.Module], None]
) -> InferenceTransformer:
    """Return a family's model with layers that search fastest.

    Each is replaced as soon as it is read: never is the whole model there as it is saved.
    """
    model = InferenceTransformer.without_weights(found.options)
    rest = dict(found.embeddings)
    for place, weights in groupby(found.layers(), key=lambda named: _layer_of(named[0])):
        if place is None:
            rest.update(weights)
            continue
        layer = model.get_submodule(place)
        layer.load_state_dict({name.removeprefix(f"{place}."): weight for name, weight in weights}, assign=True)
        replace(layer.requires_grad_(False).to(device))
    return model.with_weights(rest, strict=False)


def _layer_of(name: str) -> str | None:
    """Return the name of the layer that a weight is in; None where it is in none."""
    found = re.match(r"(en|de)coder\.layers\.\d+", name)
    return None if found is None else found[0]


def _trainable(found: FamilyModel, device: torch.device | str, dtype: torch.dtype | None) -> Seq2Seq:
    """Return a family's model as one of ours that can be trained and saved."""
    from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig

    values = {field.name: getattr(found.options, field.name) for field in fields(TransformerOptions)}
    with without_memory():
        model = Seq2SeqTransformer(Seq2SeqTransformerConfig(**values))
    model.load_state_dict(found.weights, assign=True)
    model.tie_weights()
    nn.Module.to(model, device, dtype).eval()
    return model


def _pretrained(folder: Path, device: torch.device | str, dtype: torch.dtype | None) -> Seq2Seq:
    """Return any encoder-decoder of transformers, those of this toolkit as what they were saved from."""
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    from seq2seq.models.pretrained import PretrainedSeq2Seq
    from seq2seq.models.transformer import Seq2SeqTransformer

    check_foreign_folder(folder)
    shapes = saved_shapes(folder)
    check_sizes(folder / CONFIG_FILE, shapes)
    with without_reports(), _named(folder / CONFIG_FILE):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if not config.is_encoder_decoder:
        raise ValueError(
            f"{folder} holds a {config.model_type} model, which is no encoder-decoder; only those generate a target "
            "from a source here"
        )
    with without_reports(), damage_named(folder), _named(folder):
        check_memory(folder, config, shapes)
        loaded: tuple[PreTrainedModel, dict] = AutoModelForSeq2SeqLM.from_pretrained(
            folder,
            config=config,
            dtype="auto" if dtype is None else dtype,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # reported below, with the folder and the tensor
            output_loading_info=True,
        )
    model, report = loaded
    wrong = [*map(str, [*report["missing_keys"], *report["mismatched_keys"]])]
    surplus = further_layers(report["unexpected_keys"], [name for name, _ in model.named_parameters()])
    if wrong or surplus:
        raise wrong_weights(folder, wrong, surplus)
    check_finite(dict(model.named_parameters()), folder)
    for part in (*model.parameters(), *model.buffers()):
        part.data = part.data.clone()  # as `weights.in_own_memory`
    nn.Module.to(model, device).eval()
    with _named(folder):
        return model if isinstance(model, Seq2SeqTransformer) else PretrainedSeq2Seq(model)


@contextmanager
def _named(place: Path) -> Iterator[None]:
    """Let whatever a library makes of wrong values, which may be errors of any type, be one line with a place."""
    try:
        yield
    except (MemoryError, SafetensorError):
        raise
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(text if str(place) in text else f"{place}: {text}") from error


@contextmanager
def without_reports() -> Iterator[None]:
    """Keep transformers from drawing bars, and from reports on what our errors say, while the block lasts."""
    from transformers.utils import logging

    was_enabled, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if was_enabled:
            logging.enable_progress_bar()
