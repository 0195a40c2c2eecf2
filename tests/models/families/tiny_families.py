"""Tiny models of every family with random weights, of uneven sizes, and batches for them."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    M2M100Config,
    M2M100ForConditionalGeneration,
    MarianConfig,
    MarianMTModel,
    MBartConfig,
    MBartForConditionalGeneration,
    MT5Config,
    MT5ForConditionalGeneration,
    PegasusConfig,
    PegasusForConditionalGeneration,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
    UMT5Config,
    UMT5ForConditionalGeneration,
)

from seq2seq.models.transformer.positions import sinusoids

BART_SIZES: dict[str, Any] = {
    "vocab_size": 37,
    "d_model": 24,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 3,
    "encoder_ffn_dim": 19,
    "decoder_ffn_dim": 19,
    "max_position_embeddings": 31,
}
T5_SIZES: dict[str, Any] = {
    "vocab_size": 37,
    "d_model": 23,
    "d_kv": 5,
    "num_heads": 3,
    "d_ff": 19,
    "num_layers": 1,
    "num_decoder_layers": 2,
    "decoder_start_token_id": 0,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 11,
}
MARIAN_IDS = {"pad_token_id": 28, "eos_token_id": 0, "decoder_start_token_id": 28, "forced_eos_token_id": 0}
TWO_VOCABULARIES: dict[str, Any] = {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": 29}


def marian(**more: Any) -> PreTrainedModel:
    sizes = BART_SIZES | MARIAN_IDS | {"activation_function": "swish", "scale_embedding": True}
    return MarianMTModel(MarianConfig(**sizes | more))


def marian_with_two_vocabularies(**more: Any) -> PreTrainedModel:
    return marian(**TWO_VOCABULARIES | more)


def bart(**more: Any) -> PreTrainedModel:
    return BartForConditionalGeneration(BartConfig(**BART_SIZES | more))


def mbart(**more: Any) -> PreTrainedModel:
    return MBartForConditionalGeneration(MBartConfig(**BART_SIZES | {"scale_embedding": True} | more))


def m2m100(**more: Any) -> PreTrainedModel:
    layers = {"encoder_layerdrop": 0.0, "decoder_layerdrop": 0.0, "decoder_start_token_id": 2}
    return M2M100ForConditionalGeneration(M2M100Config(**BART_SIZES | layers | {"max_position_embeddings": 8} | more))


def pegasus(**more: Any) -> PreTrainedModel:
    ids = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0, "forced_eos_token_id": 1}
    return PegasusForConditionalGeneration(PegasusConfig(**BART_SIZES | ids | {"scale_embedding": True} | more))


def t5(**more: Any) -> PreTrainedModel:
    return T5ForConditionalGeneration(T5Config(**T5_SIZES | more))


def flan_t5(**more: Any) -> PreTrainedModel:
    return _untied(t5(feed_forward_proj="gated-gelu", tie_word_embeddings=False, **more))


def mt5(**more: Any) -> PreTrainedModel:
    sizes = T5_SIZES | {"feed_forward_proj": "gated-gelu"} | more
    return _untied(MT5ForConditionalGeneration(MT5Config(**sizes)))


def umt5(**more: Any) -> PreTrainedModel:
    sizes = T5_SIZES | {"feed_forward_proj": "gated-gelu"} | more
    return UMT5ForConditionalGeneration(UMT5Config(**sizes))


FAMILIES: dict[str, Callable[..., PreTrainedModel]] = {
    make.__name__: make
    for make in (marian, marian_with_two_vocabularies, bart, mbart, m2m100, pegasus, t5, flan_t5, mt5, umt5)
}


def _untied(model: PreTrainedModel) -> PreTrainedModel:
    """Give the model an output layer of its own, as the files of these families hold; transformers would tie it."""
    lm_head: Any = model.get_output_embeddings()
    lm_head.weight = nn.Parameter(torch.zeros_like(lm_head.weight))
    return model


def random_model(name: str, **more: Any) -> PreTrainedModel:
    """Return a float64 model of a family in evaluation mode, all of whose numbers are random.

    Args:
        more: options that replace those of the family's tiny model.
    """
    model = FAMILIES[name](**more).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(0.4 * torch.randn_like(parameter))
        if hasattr(model, "final_logits_bias"):
            model.final_logits_bias.copy_(torch.randn_like(model.final_logits_bias))
        for module in model.modules():
            if type(module).__name__ in ("MarianSinusoidalPositionalEmbedding", "PegasusSinusoidalPositionalEmbedding"):
                rows, width = module.weight.shape  # type: ignore[misc]
                module.weight.copy_(sinusoids(rows, width))  # type: ignore[operator]
    return model


def use_double_norms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the norms of T5 compute in the type of their input: they round to float32, whatever comes in."""
    from transformers.models.mt5.modeling_mt5 import MT5LayerNorm
    from transformers.models.t5.modeling_t5 import T5LayerNorm
    from transformers.models.umt5.modeling_umt5 import UMT5LayerNorm

    def forward(self: Any, hidden: Tensor) -> Tensor:
        variance = hidden.pow(2).mean(-1, keepdim=True)
        return self.weight * (hidden * torch.rsqrt(variance + self.variance_epsilon))

    for kind in (T5LayerNorm, MT5LayerNorm, UMT5LayerNorm):
        monkeypatch.setattr(kind, "forward", forward)


def tolerance(name: str, doubles: float) -> float:
    """Return how far a family may be from its class: as told, or where that has a softmax in float32 as far as that."""
    from transformers.models.t5.modeling_t5 import T5Attention

    rounds = "t5" in name and "scores.float()" in inspect.getsource(T5Attention.forward)
    return 1e-5 if rounds else doubles


def random_batch(model: PreTrainedModel) -> dict[str, Tensor]:
    """Return sources [5, 17] of various lengths, labels [5, 13] without special tokens, and these shifted right."""
    lengths = torch.tensor([17, 3, 7, 1, 17])
    mask = torch.arange(17) < lengths[:, None]
    padding: Any = model.config.pad_token_id
    source = torch.randint(3, 28, (5, 17)).masked_fill(~mask, padding)
    labels = torch.randint(3, 28, (5, 13))
    start: Any = model.config.decoder_start_token_id
    shifted = torch.cat([torch.full((5, 1), 3 if start is None else start), labels[:, :-1]], dim=1)
    return {"input_ids": source, "attention_mask": mask, "decoder_input_ids": shifted, "labels": labels}
