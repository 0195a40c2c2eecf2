"""From a folder on disk to a model behind the waist.

Only safetensors and JSON are read, only from disk, and no code from the folder is ever run.
"""

from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForSeq2SeqLM

from seq2seq.models.interface import Seq2Seq
from seq2seq.models.pretrained import PretrainedSeq2Seq
from seq2seq.models.transformer import Seq2SeqTransformer
from seq2seq.models.transformer.packing import pack


def load_model(
    folder: str | Path,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    *,
    packed: bool = False,
) -> Seq2Seq:
    """Return the model that `save_pretrained` wrote into `folder`, in evaluation mode.

    Args:
        device: where its weights go.
        dtype: type of its weights; by default as saved.
        packed: lay the weights out for decoding, where that helps; the model can then not be trained or saved.

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
    if not isinstance(model, Seq2SeqTransformer):
        return PretrainedSeq2Seq(model)
    return pack(model) if packed else model
