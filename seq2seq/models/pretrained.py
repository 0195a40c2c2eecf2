"""Any encoder-decoder of transformers (Marian, BART, mBART, T5, …) behind the waist.

Self-attention is cached per hypothesis. The source's keys and values are there once per sentence wherever a family
looks its attention up by name (`shared_source_attention.py`), as nearly all do. Elsewhere transformers pairs every
decoder row with a source row of its own, and they are repeated for each hypothesis: in LED and others whose attention
is their own, and in T5Gemma 2, which joins them with those of the target (decision 44).
"""

import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache, PreTrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from seq2seq.models.orders import FromTheLeft
from seq2seq.models.shared_source_attention import share_source

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
    """Row b*W + w of the cache of the target is hypothesis (b, w); of what belongs to the source, only if repeated."""

    source: ModelOutput
    """What the encoder says: [B, S, D], or [B*W, S, D]."""
    attention_mask: Tensor
    """[B, S], or [B*W, S]"""
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
        self.shares_source: bool | None = None
        """Whether the source is there once per sentence; not known before the first one."""

    @torch.inference_mode()
    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> PretrainedState:
        source, mask = self._encoded(input_ids, attention_mask)
        return PretrainedState(source, mask, EncoderDecoderCache(DynamicCache(), DynamicCache()), width=1)

    @torch.inference_mode()
    def step(self, state: PretrainedState, token_ids: Tensor) -> tuple[Tensor, PretrainedState]:
        logits = self._logits(state.source, state.attention_mask, token_ids.reshape(-1, 1), state.cache)
        return logits[:, -1].view(*token_ids.shape, -1), state

    @torch.inference_mode()
    def reorder(
        self, state: PretrainedState, beams: Tensor | None = None, sentences: Tensor | None = None
    ) -> PretrainedState:
        if beams is None and sentences is None:
            return state
        source, mask, width = state.source, state.attention_mask, state.width
        num_sentences = len(mask) if self.shares_source else len(mask) // width
        kept = torch.arange(num_sentences, device=mask.device) if sentences is None else sentences
        chosen = torch.arange(width, device=mask.device).expand(len(kept), -1) if beams is None else beams
        rows = (kept[:, None] * width + chosen).flatten()
        # Rows of one sentence hold the same source: it stays where it is if sentences and widths stay.
        source_stays = sentences is None and chosen.shape[1] == width
        source_rows = sentences if self.shares_source else None if source_stays else rows
        cross_cache = state.cache.cross_attention_cache
        if source_rows is not None:
            source, mask = _selected(source, source_rows), mask.index_select(0, source_rows)
            cross_cache = _select(cross_cache, source_rows)
        cache = EncoderDecoderCache(_select(state.cache.self_attention_cache, rows), cross_cache)
        return PretrainedState(source, mask, cache, chosen.shape[1])

    @torch.no_grad()
    def teacher_forced(self, input_ids: Tensor, attention_mask: Tensor, decoder_input_ids: Tensor) -> Tensor:
        source, mask = self._encoded(input_ids, attention_mask)
        if not self.shares_source:
            rows = torch.arange(len(input_ids), device=mask.device)
            rows = rows.repeat_interleave(len(decoder_input_ids) // len(input_ids))
            source, mask = _selected(source, rows), mask.index_select(0, rows)
        return self._logits(source, mask, decoder_input_ids, None)

    def _encoded(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[ModelOutput, Tensor]:
        """Return what the encoder says, and the mask as the integers that some families calculate with."""
        mask = attention_mask.long()
        source: ModelOutput = self.model.get_encoder()(input_ids=input_ids, attention_mask=mask, return_dict=True)
        if self.shares_source is None:
            same = mask.new_zeros(2)
            two, tokens = _selected(source, same), mask.new_full((4, 1), self.decoder_start_id)
            self.shares_source = share_source(
                self.model, lambda cache: self._logits(two, mask.index_select(0, same), tokens, cache)
            )
        return source, mask

    def _logits(
        self, source: ModelOutput, mask: Tensor, decoder_input_ids: Tensor, cache: EncoderDecoderCache | None
    ) -> Tensor:
        return self.model(
            encoder_outputs=source,
            attention_mask=mask,
            decoder_input_ids=decoder_input_ids,
            use_cache=cache is not None,
            return_dict=True,
            **{self.cache_name: cache},
        ).logits


def _selected(source: Any, rows: Tensor) -> ModelOutput:
    """Return what the encoder says of the given rows, as an object of the family's own class."""
    return type(source)(last_hidden_state=source.last_hidden_state.index_select(0, rows))


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
