"""Any encoder-decoder of transformers (Marian, BART, mBART, T5, …) behind the waist.

Self-attention is cached per hypothesis. transformers pairs every decoder row with a source row of its own, so the
source's keys and values are repeated for each hypothesis; they are computed once per sentence, and moved only when
the number of hypotheses or sentences changes.
"""

import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from seq2seq.models.orders import FromTheLeft

BEHIND_PADDING = {
    "roberta",
    "roberta-prelayernorm",
    "xlm-roberta",
    "xlm-roberta-xl",
    "camembert",
    "mpnet",
    "prophetnet",
}
"""Families whose positions are counted from the id of padding on, so that the first ones are never used."""


@dataclass
class PretrainedState:
    """Row b*W + w of every tensor and cache is hypothesis (b, w)."""

    source_hidden: Tensor
    """[B*W, S, D]"""
    attention_mask: Tensor
    """[B*W, S]"""
    cache: EncoderDecoderCache
    width: int
    """W"""


class PretrainedSeq2Seq(FromTheLeft):
    """An encoder-decoder of transformers as a `Seq2Seq`.

    Args:
        model: a model with a language-modelling head, in evaluation mode for decoding.

    Raises:
        ValueError: the model has no decoder of its own, or its configuration lacks a token that decoding needs.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        config = model.config
        if not config.is_encoder_decoder or model.get_output_embeddings() is None:
            raise ValueError(f"{type(model).__name__} is no encoder-decoder with a language-modelling head")
        self.model = model
        self.vocab_size: int = model.get_output_embeddings().weight.shape[0]
        parameters = inspect.signature(model.forward).parameters
        self.cache_name = "cache" if "cache" in parameters else "past_key_values"  # renamed by transformers 5.24
        embeddings: Any = model.get_input_embeddings()
        self.source_vocab_size: int = embeddings.weight.shape[0]
        self.eos_id = _token_id(model, "eos_token_id")
        self.pad_id = _token_id(model, "pad_token_id")
        self.decoder_start_id = _token_id(model, "decoder_start_token_id", "bos_token_id")
        self.max_source_tokens, self.max_target_tokens = (
            num_positions(config, side) for side in ("encoder", "decoder")
        )

    @torch.inference_mode()
    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> PretrainedState:
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        return PretrainedState(self._source_hidden(input_ids, attention_mask), attention_mask, cache, width=1)

    @torch.inference_mode()
    def step(self, state: PretrainedState, token_ids: Tensor) -> tuple[Tensor, PretrainedState]:
        output = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=state.source_hidden),
            attention_mask=state.attention_mask,
            decoder_input_ids=token_ids.reshape(-1, 1),
            use_cache=True,
            return_dict=True,
            **{self.cache_name: state.cache},
        )
        return output.logits[:, -1].view(*token_ids.shape, -1), state

    @torch.inference_mode()
    def reorder(
        self, state: PretrainedState, beams: Tensor | None = None, sentences: Tensor | None = None
    ) -> PretrainedState:
        if beams is None and sentences is None:
            return state
        device, width = state.source_hidden.device, state.width
        # Rows of one sentence hold the same source: it stays where it is if sentences and widths stay.
        source_stays = sentences is None and beams is not None and beams.shape[1] == width
        if sentences is None:
            sentences = torch.arange(state.source_hidden.shape[0] // width, device=device)
        if beams is None:
            beams = torch.arange(width, device=device).expand(sentences.shape[0], -1)
        rows = (sentences[:, None] * width + beams).flatten()
        hidden, mask = state.source_hidden, state.attention_mask
        cross_cache = state.cache.cross_attention_cache
        if not source_stays:
            hidden, mask = hidden.index_select(0, rows), mask.index_select(0, rows)
            cross_cache = _select(cross_cache, rows)
        cache = EncoderDecoderCache(_select(state.cache.self_attention_cache, rows), cross_cache)
        return PretrainedState(hidden, mask, cache, beams.shape[1])

    def teacher_forced(self, input_ids: Tensor, attention_mask: Tensor, decoder_input_ids: Tensor) -> Tensor:
        rows = len(decoder_input_ids) // len(input_ids)
        source_hidden = self._source_hidden(input_ids, attention_mask).repeat_interleave(rows, dim=0)
        return self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=source_hidden),
            attention_mask=attention_mask.repeat_interleave(rows, dim=0),
            decoder_input_ids=decoder_input_ids,
            return_dict=True,
        ).logits

    def _source_hidden(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        encoder = self.model.get_encoder()
        return encoder(input_ids=input_ids, attention_mask=attention_mask, return_dict=True).last_hidden_state


def _select(cache: DynamicCache, rows: Tensor) -> DynamicCache:
    """Return a cache of the given rows; the old one stays as it is."""
    chosen = DynamicCache()
    for i, (keys, values, _) in enumerate(cache):
        chosen.update(keys.index_select(0, rows), values.index_select(0, rows), i)
    return chosen


def num_positions(config: PreTrainedConfig, side: str) -> int | None:
    """Return the most tokens that the `encoder` or `decoder` of a model takes; None where positions are relative."""
    config = getattr(config, side, None) or config  # two models put together have a configuration each
    if hasattr(config, "relative_attention_num_buckets"):
        return None  # T5 and its kin, in whose older files there is an `n_positions` that limits nothing
    for name in (f"max_{side}_position_embeddings", "max_position_embeddings", "n_positions"):
        found = getattr(config, name, None)
        if isinstance(found, int) and found > 0:
            return found - (config.pad_token_id or 0) - 1 if config.model_type in BEHIND_PADDING else found
    return None


def _token_id(model: PreTrainedModel, *names: str) -> int:
    """Return the first of the named tokens that the model's configurations hold; of several ids, the first."""
    for name in names:
        for config in (model.config, model.generation_config):
            token_id = getattr(config, name, None)
            if token_id is not None:
                first = token_id[0] if isinstance(token_id, list) else token_id
                if not isinstance(first, int) or not 0 <= first < model.get_output_embeddings().weight.shape[0]:
                    raise ValueError(f"`{name}` is {first!r}, which is no id of the target vocabulary")
                return first
    raise ValueError(f"the configuration of {type(model).__name__} has no `{names[0]}`, which decoding needs")
