"""Attention of several decoder rows over one row of the source.

transformers pairs every decoder row with a source row of its own. Its models look their attention up by a name in
their configuration, and functions can be registered under such names: those here hand on to the one that a model had,
but where B*W rows of queries meet B rows of keys, W stand beside one another as queries of one row. So the source's
keys and values are there once per sentence. Whether a model lets them be is tried, and not known by its name: its
code may attend without looking anything up, join the source's keys with others, or count rows by the decoder's.
"""

import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    DynamicCache,
    EncoderDecoderCache,
    PreTrainedModel,
)
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

NAMES = {own: f"{own}_over_shared_source" for own in ("sdpa", "eager")}
"""The attention of a model, and the one that calls it and also takes fewer rows of keys than of queries."""

_keys_seen: ContextVar[list[Tensor] | None] = ContextVar("_keys_seen", default=None)
"""The keys that attention was called with while a model is tried."""


def share_source(model: PreTrainedModel, step: Callable[[EncoderDecoderCache], Any]) -> bool:
    """Let several rows of a model's decoder share a row of its source; return False, and change nothing, if it cannot.

    Args:
        step: feeds one token to each of four rows, two for each of two sources, and writes into an empty cache.
    """
    config: Any = getattr(model.get_decoder(), "config", None)
    own = getattr(config, "_attn_implementation", None)
    if own in NAMES.values():
        return True
    if own not in NAMES:
        return False
    config._attn_implementation = NAMES[own]
    can_share = False
    try:
        can_share = _keeps_what_it_attends_to(step)
    finally:
        if not can_share:
            config._attn_implementation = own
    return can_share


def _keeps_what_it_attends_to(step: Callable[[EncoderDecoderCache], Any]) -> bool:
    """Return whether each layer keeps two rows of the source, and has called our attention with these very tensors."""
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    keys: list[Tensor] = []
    watched = _keys_seen.set(keys)
    try:
        with torch.no_grad():
            step(cache)
    except (RuntimeError, ValueError, AssertionError):  # rows that do not fit, in words of each family's own
        return False
    finally:
        _keys_seen.reset(watched)
    layers: list[Any] = cache.cross_attention_cache.layers
    kept = [layer.keys for layer in layers]
    return bool(kept) and all(len(of) == 2 and any(of is key for key in keys) for of in kept)


def _over_shared_source(own: str) -> Callable[..., tuple[Tensor, Tensor | None]]:
    """Return the attention called `own`, for fewer rows of keys [B, H, S, D] than of queries [B*W, H, T, D] too."""

    def attend(
        module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
    ) -> tuple[Tensor, Tensor | None]:
        seen = _keys_seen.get()
        if seen is not None:
            seen.append(key)
        # What is called "eager" is no function of that name, but one that stands in the file of the module.
        eager = sys.modules[type(module).__module__].eager_attention_forward if own == "eager" else None
        attention = eager or ALL_ATTENTION_FUNCTIONS[own]
        sources, width, length = len(key), len(query) // len(key), query.shape[2]
        if width == 1:
            return attention(module, query, key, value, attention_mask, **options)
        if "position_bias" in options:
            options["position_bias"] = _for_each_row(options["position_bias"], width)
        side_by_side = query.unflatten(0, (sources, width)).transpose(1, 2).flatten(2, 3)  # [B, H, W*T, D]
        mask = _for_each_row(attention_mask, width)
        output, _ = attention(module, side_by_side, key, value, mask, **{**options, "is_causal": False})
        return output.unflatten(1, (width, length)).flatten(0, 1), None

    return attend


def _for_each_row(of_queries: Tensor | None, width: int) -> Tensor | None:
    """Return what is added to scores [B, H, T, S], or says which count, for W*T queries; one of T = 1 is for all."""
    if of_queries is None or of_queries.shape[2] == 1:
        return of_queries
    return of_queries.repeat(1, 1, width, 1)


for _own, _name in NAMES.items():
    AttentionInterface.register(_name, _over_shared_source(_own))
    AttentionMaskInterface.register(_name, ALL_MASK_ATTENTION_FUNCTIONS[_own])
