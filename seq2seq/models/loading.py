"""From a folder on disk to a model behind the waist.

Only safetensors and JSON are read, only from disk, and no code from the folder is ever run.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from seq2seq.models.interface import Seq2Seq
from seq2seq.models.transformer.inference import CONFIG_FILE, InferenceTransformer, is_loadable, wrong_weights
from seq2seq.models.transformer.packing import can_quantize, pack, quantize
from seq2seq.models.weights import damage_named

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
        dtype: type of its weights; by default as saved. `torch.int8` makes products of 8-bit integers.
        trainable: load a model of this toolkit as what it was saved from, which can be trained and saved again; by
            default as what searches fastest. Models of transformers always can.

    Raises:
        ValueError: the folder holds no model, a damaged or incomplete one, or one that is no encoder-decoder; or there
            are no products of 8-bit integers for it.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder} holds no model: it has no config.json; give a folder written by save_pretrained")
    is_lean, is_quantized = is_loadable(folder) and not trainable, dtype == torch.int8
    if is_quantized and not is_lean:
        raise ValueError(f"{folder}: 8-bit integers are for search with models of this toolkit; use fp32 or bf16.")
    if is_quantized and not can_quantize(device):
        raise ValueError("There are no fast products of 8-bit integers on this device; use fp32 or bf16.")
    if not is_lean:
        return _pretrained(folder, device, dtype)
    model = InferenceTransformer.load(folder)
    nn.Module.to(model, device, torch.float32 if is_quantized else dtype)
    return quantize(model) if is_quantized else pack(model)


def _pretrained(folder: Path, device: torch.device | str, dtype: torch.dtype | None) -> Seq2Seq:
    """Return any encoder-decoder of transformers, those of this toolkit as what they were saved from."""
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    from seq2seq.models.pretrained import PretrainedSeq2Seq
    from seq2seq.models.transformer import Seq2SeqTransformer

    check_indexes(folder)
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # values of any type make errors of any type
        raise ValueError(f"{folder / CONFIG_FILE}: {' '.join(str(error).split())}") from error
    if not config.is_encoder_decoder:
        raise ValueError(
            f"{folder} holds a {config.model_type} model, which is no encoder-decoder; only those generate a target "
            "from a source here"
        )
    with without_progress_bar(), damage_named(folder):
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
    if wrong := [*map(str, [*report["missing_keys"], *report["mismatched_keys"]])]:
        raise wrong_weights(folder, wrong)
    nn.Module.to(model, device).eval()
    return model if isinstance(model, Seq2SeqTransformer) else PretrainedSeq2Seq(model)


def check_indexes(folder: Path) -> None:
    """Raise ValueError if an index of weights names anything but a safetensors file beside it."""
    for path in sorted(folder.rglob("*.index.json")):
        try:
            names = json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()
            wrong = [name for name in names if Path(name).name != name or not name.endswith(".safetensors")]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"{path} is damaged: it is no index of weights ({error!r}).") from None
        if wrong:
            raise ValueError(f"{path}: {wrong[0]!r} is no safetensors file beside it, and nothing else is read.")


@contextmanager
def without_progress_bar() -> Iterator[None]:
    """Keep transformers from drawing bars while the block lasts."""
    from transformers.utils import logging

    was_enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            logging.enable_progress_bar()
