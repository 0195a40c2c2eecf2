"""From checkpoints to a model folder that `load`, `AutoModelForSeq2SeqLM` and `AutoTokenizer` read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import GenerationConfig

from seq2seq.assembly.generator import DECODING_FILE
from seq2seq.assembly.new_folder import new_folder
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig
from seq2seq.training.averaging import average_weights, last_checkpoints
from seq2seq.training.checkpoint import TrainingState, checkpoint_path, checkpoint_paths


def chosen_checkpoints(folder: Path, average_checkpoints: int, state: TrainingState) -> list[Path]:
    """Return the checkpoints that make the exported model: the last N to average, else the best, else the last.

    Raises:
        ValueError: there are fewer than N.
    """
    if average_checkpoints:
        return last_checkpoints(folder, average_checkpoints, state.regular)
    best_step = state.best.step
    if best_step is not None and checkpoint_path(folder, best_step).is_dir():
        return [checkpoint_path(folder, best_step)]
    return checkpoint_paths(folder)[-1:]


def export_model(
    folder: Path,
    checkpoints: list[Path],
    model_config: Seq2SeqTransformerConfig,
    tokenizer: TextTokenizer,
    search_options: Mapping[str, Any],
    source_prefix: str = "",
) -> None:
    """Write the mean of `checkpoints` (their moving averages, where they hold one) as a model folder.

    The folder appears whole or not at all; one that was there is replaced.

    Raises:
        ValueError: there are no checkpoints, or one is damaged.
    """
    model = Seq2SeqTransformer(model_config)
    weights: dict[str, Tensor] = average_weights(checkpoints)
    model.load_state_dict(weights)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_id,
        eos_token_id=tokenizer.eos_id,
        pad_token_id=tokenizer.pad_id,
        decoder_start_token_id=tokenizer.decoder_start_id,
        max_length=search_options["max_length"] + 1,  # transformers counts the start token too
        num_beams=search_options["beam_width"],
        length_penalty=float(search_options["length_penalty"]),
    )
    decoding = {"search": dict(search_options), "source_prefix": source_prefix}
    with new_folder(folder) as unfinished:
        model.save_pretrained(unfinished)
        tokenizer.save(unfinished)
        (unfinished / DECODING_FILE).write_text(json.dumps(decoding, indent=2) + "\n", encoding="utf-8")
