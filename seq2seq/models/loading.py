"""From a folder on disk to a model behind the waist, and from several checkpoints to one.

Only safetensors and JSON are read, only from disk, and no code from the folder is ever run.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor
from transformers import AutoConfig, AutoModelForSeq2SeqLM

from seq2seq.models.interface import Seq2Seq
from seq2seq.models.pretrained import PretrainedSeq2Seq
from seq2seq.models.transformer import Seq2SeqTransformer

WEIGHTS_FILE = "model.safetensors"


def load_model(folder: str | Path, device: torch.device | str = "cpu", dtype: torch.dtype | None = None) -> Seq2Seq:
    """Return the model that `save_pretrained` wrote into `folder`, in evaluation mode.

    Args:
        device: where its weights go.
        dtype: type of its weights; by default as saved.

    Raises:
        ValueError: the folder holds no model, an incomplete one, or one that is no encoder-decoder.
    """
    if not (Path(folder) / "config.json").is_file():
        raise ValueError(f"{folder} holds no model: it has no config.json; give a folder written by save_pretrained")
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if not config.is_encoder_decoder:
        raise ValueError(
            f"{folder} holds a {config.model_type} model, which is no encoder-decoder; only those generate a target "
            "from a source here"
        )
    model, report = AutoModelForSeq2SeqLM.from_pretrained(
        folder,
        config=config,
        dtype="auto" if dtype is None else dtype,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        ignore_mismatched_sizes=True,  # reported below, with the folder and the tensor
        output_loading_info=True,
    )
    if report["missing_keys"] or report["mismatched_keys"]:
        names = ", ".join(sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]]))[:3])
        raise ValueError(f"the weights in {folder} are not those of its config.json; absent or misshapen: {names}")
    model = model.to(device).eval()
    return model if isinstance(model, Seq2SeqTransformer) else PretrainedSeq2Seq(model)


def average_weights(paths: Sequence[str | Path]) -> dict[str, Tensor]:
    """Return the state dict of mean weights, in the types of the first file.

    Files are read one at a time; sums are kept in float64 for float32 weights and wider, in float32 below.

    Args:
        paths: safetensors files, or folders that hold a model.safetensors.

    Raises:
        ValueError: there is nothing to average, or the files hold different tensors; names the file and the tensor.
    """
    if not paths:
        raise ValueError("there are no weights to average; give at least one file")
    sums: dict[str, Tensor] = {}
    dtypes: dict[str, torch.dtype] = {}
    for path in map(_weights_file, paths):
        with safe_open(path, framework="pt") as file:
            names = set(file.keys())
            if dtypes and names != set(dtypes):
                raise ValueError(f"{path}: tensor {min(names ^ set(dtypes))!r} is not in all files to average")
            for name in names:
                tensor = file.get_tensor(name)
                if name not in sums:
                    dtypes[name] = tensor.dtype
                    sums[name] = tensor.to(torch.float32 if tensor.element_size() < 4 else torch.float64)
                elif sums[name].shape != tensor.shape:
                    raise ValueError(
                        f"{path}: tensor {name!r} has shape {tuple(tensor.shape)}, but {tuple(sums[name].shape)} in "
                        f"{_weights_file(paths[0])}"
                    )
                else:
                    sums[name] += tensor
    return {name: (total / len(paths)).to(dtypes[name]) for name, total in sums.items()}


def _weights_file(path: str | Path) -> Path:
    file = Path(path) / WEIGHTS_FILE if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise ValueError(f"{file} does not exist; give a safetensors file, or a folder that holds {WEIGHTS_FILE}")
    return file
