"""What given targets attend to in their sources, token by token, while a model of ours predicts them.

Token ids enter; the weights of one layer's cross-attention, mean over its heads, leave. Of an ensemble it is the mean
over the members.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy
import torch

from seq2seq.data.bucketing import cut_batches, snake_order
from seq2seq.data.collate import pad_right
from seq2seq.decoding.parts.teacher_forcing import LOGITS_AT_ONCE, Ids
from seq2seq.decoding.running.trace import weights_of
from seq2seq.models.ensemble import Ensemble
from seq2seq.models.interface import SOURCE_PADDING, Seq2Seq
from seq2seq.models.transformer.stacks import Decoder


def decoders_of(model: Any) -> list[Decoder]:
    """Return the decoders of a model or of an ensemble's members.

    Raises:
        ValueError: one is not a network of this toolkit.
    """
    members = model.models if isinstance(model, Ensemble) else [model]
    decoders: list[Any] = [getattr(getattr(member, "model", member), "decoder", None) for member in members]
    found = [decoder for decoder in decoders if isinstance(decoder, Decoder)]
    if len(found) < len(members):
        raise ValueError("An alignment is read off a network of this toolkit, and this model is one of transformers'.")
    return found


def chosen_layer(decoder: Decoder, layer: int | None) -> int:
    """Return the index of a layer that is counted from 1, by default of the last but one.

    Raises:
        ValueError: there is no such layer.
    """
    number = len(decoder.layers)
    if layer is None:
        return max(0, number - 2)
    if not 1 <= layer <= number:
        raise ValueError(f"The layer of an alignment is between 1 and {number} in this model, but is {layer}.")
    return layer - 1


@torch.inference_mode()
def forced_attention(
    model: Seq2Seq,
    sources: Sequence[Ids],
    targets: Sequence[Ids],
    device: torch.device | str = "cpu",
    layer: int | None = None,
    batch_tokens: int | None = None,
) -> list[numpy.ndarray]:
    """Return the weights of each target's tokens over its source's, float32 [T, S], rows in order of generation.

    Args:
        model: begins at one end.
        targets: one per source, each ends with end of sentence.
        layer: of the decoder, counted from 1; by default the last but one.
        batch_tokens: source and target tokens of a batch, padding included.

    Raises:
        ValueError: there is no such layer, or the model is no network of ours.
    """
    attentions = [decoder.layers[chosen_layer(decoder, layer)].cross_attention for decoder in decoders_of(model)]
    source_lengths, lengths = (numpy.array([*map(len, side)], dtype=numpy.int64) for side in (sources, targets))
    budget = batch_tokens or max(1, LOGITS_AT_ONCE // model.vocab_size)
    plan = cut_batches(snake_order(source_lengths, lengths), source_lengths, lengths, batch_tokens=budget)
    found: dict[int, numpy.ndarray] = {}
    for batch in plan.batches:
        padded = pad_right([sources[i] for i in batch], SOURCE_PADDING)
        input_ids, attention_mask = (tensor.to(device) for tensor in padded)
        labels = pad_right([targets[i] for i in batch], model.pad_id)[0].to(device)
        inputs = torch.cat([labels.new_full((len(labels), 1), model.decoder_start_id), labels[:, :-1]], dim=1)
        with ExitStack() as stack:
            kept = [stack.enter_context(weights_of(attention)) for attention in attentions]
            model.teacher_forced(input_ids, attention_mask, inputs)
        mean = torch.stack([weights[0].float().mean(1) for weights in kept]).mean(0).cpu().numpy()
        for place, row in enumerate(batch.tolist()):
            found[row] = mean[place, : lengths[row], : source_lengths[row]]
    return [found[row] for row in range(len(sources))]
