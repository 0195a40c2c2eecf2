"""From checkpoints to a model folder that `load`, `AutoModelForSeq2SeqLM` and `AutoTokenizer` read."""

from pathlib import Path

from torch import Tensor
from transformers import GenerationConfig

from seq2seq.assembly.generator import DecodingDefaults, write_decoding
from seq2seq.assembly.search import default_search, inner_search
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.decoding import Search
from seq2seq.decoding.parts.options import BeamOptions, SearchOptions
from seq2seq.files import new_folder
from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig
from seq2seq.models.weights import weights_written
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
    search: Search | None,
    source_prefix: str,
) -> None:
    """Write the mean of `checkpoints` (their moving averages, where they hold one) as a model folder.

    The folder appears whole or not at all; one that was there is replaced.

    Raises:
        ValueError: there are no checkpoints, or one is damaged.
    """
    model = Seq2SeqTransformer(model_config)
    weights: dict[str, Tensor] = average_weights(checkpoints)
    model.load_state_dict(weights)
    chosen = inner_search(search or default_search(model_config.generation_order))
    assert isinstance(chosen, SearchOptions), "a search of one model has limits"
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_id,
        eos_token_id=tokenizer.eos_id,
        pad_token_id=tokenizer.pad_id,
        decoder_start_token_id=tokenizer.decoder_start_id,
        max_length=chosen.max_length + 1,  # transformers counts the start token too
        num_beams=chosen.beam_width if isinstance(chosen, BeamOptions) else 1,
        length_penalty=float(chosen.length_penalty),
    )
    with new_folder(folder) as unfinished, weights_written(folder):
        model.save_pretrained(unfinished)
        tokenizer.save(unfinished)
        write_decoding(unfinished, DecodingDefaults(search, source_prefix))
