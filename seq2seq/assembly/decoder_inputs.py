"""From a configuration to what the decoder sees of the reference: the first axis of training."""

import math
from dataclasses import asdict
from typing import Any

from seq2seq.assembly.choices import made
from seq2seq.config.schema import RunConfig
from seq2seq.data.generation_order import num_starts
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.objectives.decoder_inputs import DecoderInputs, TeacherForcing
from seq2seq.objectives.first_pass import Mixing
from seq2seq.objectives.gold_schedules import GoldSchedule
from seq2seq.objectives.random_replacement import RandomReplacement
from seq2seq.objectives.scheduled_sampling import ConfidenceSampling, ScheduledSampling, WordOracle

DECODER_INPUTS: dict[str, type[Any]] = {
    "teacher_forcing": TeacherForcing,
    "random_replacement": RandomReplacement,
    "scheduled_sampling": ScheduledSampling,
    "confidence_sampling": ConfidenceSampling,
    "word_oracle": WordOracle,
}


def build_decoder_inputs(config: RunConfig, tokenizer: TextTokenizer | None = None) -> DecoderInputs:
    """Return what the decoder sees of the reference.

    Args:
        tokenizer: None checks what can be checked without one.

    Raises:
        ValueError: an option is out of range, or does not suit the model or the tokenizer.
    """
    section = config.decoder_inputs
    options = asdict(section)
    mixture, gold = made(Mixing, options), made(GoldSchedule, options)
    mixes = section.kind in ("scheduled_sampling", "confidence_sampling")
    if mixes and mixture.is_expected and config.model.tie_embeddings == "none":
        raise ValueError(
            f"`decoder_inputs.mixing: {section.mixing}` averages output embeddings as if they were the target's; set "
            "`model.tie_embeddings` to `all` or `target`, or `mixing` to `argmax` or `sampled`."
        )
    draws_source = section.kind == "random_replacement" and section.pool in ("source", "both")
    if draws_source and tokenizer is not None and not tokenizer.shared:
        raise ValueError(
            f"`decoder_inputs.pool: {section.pool}` puts source tokens into the target, but the two sides have their "
            "own vocabularies; set `pool` to `target` or `vocabulary`, or train with `tokenizer.shared: true`."
        )
    parts = {
        "gold": gold,
        "mixture": mixture,
        "special_ids": () if tokenizer is None else special_ids(tokenizer),
        "vocab_size": 0 if tokenizer is None else tokenizer.target_vocab_size,
        "embedding_scale": math.sqrt(config.model.d_model),
        "num_starts": num_starts(config.model.generation_order),
    }
    inputs: DecoderInputs = made(DECODER_INPUTS[section.kind], options | parts)
    return inputs


def special_ids(tokenizer: TextTokenizer) -> tuple[int, ...]:
    """Return padding, start and end of sequences, as numbers of the target's vocabulary."""
    sides = (tokenizer.target, tokenizer.source) if tokenizer.shared else (tokenizer.target,)
    ids = {number for side in sides for number in (side.pad_id, side.bos_id, side.eos_id)}
    return tuple(sorted(ids | {tokenizer.decoder_start_id}))
