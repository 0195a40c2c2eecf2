"""What the workers of Eole share: our Transformer in Eole's terms, and our weights under Eole's names.

Eole's tokens are here just their ids. Its decoder is pre-norm only, with a final norm.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

EXPRESSIBLE = {
    "norm": "layer_norm",
    "positions": "sinusoidal",
    "activation": "relu",
    "source_vocab_size": None,
    "key_size": None,
    "value_size": None,
    "generation_order": "l2r",
}
"""Options of our model with the only value that is mapped, which is also what an option that is not given has."""

NUM_POSITIONS = 5000
"""Rows of Eole's table of positions, which it stores among the weights."""

MODULES = {
    "self_attention.queries_keys_values": [f"self_attn.linear_{part}" for part in ("query", "keys", "values")],
    "self_attention.output": ["self_attn.final_linear"],
    "self_attention_residual.norm": ["input_layernorm"],
    "cross_attention.queries": ["context_attn.linear_query"],
    "cross_attention.source_keys_values": [f"context_attn.linear_{part}" for part in ("keys", "values")],
    "cross_attention.output": ["context_attn.final_linear"],
    "cross_attention_residual.norm": ["precontext_layernorm"],
    "feed_forward.expand": ["mlp.gate_up_proj"],
    "feed_forward.contract": ["mlp.down_proj"],
    "feed_forward_residual.norm": ["post_attention_layernorm"],
}
"""Our modules of a layer, and which of Eole's hold their rows."""


def model_options(ours: Mapping[str, Any]) -> dict[str, Any]:
    """Return Eole's section `model` for our options of a model, pre-norm whatever ours is.

    Raises:
        ValueError: an option is not mapped.
    """
    for name, value in EXPRESSIBLE.items():
        if ours.get(name, value) != value:
            raise ValueError(f"The benchmark with Eole needs `{name}` {value!r}, but it is {ours[name]!r}.")
    return {
        "architecture": "transformer",
        "hidden_size": ours["d_model"],
        "heads": ours["num_heads"],
        "transformer_ff": ours["ffn_size"],
        "encoder": {"encoder_type": "transformer", "layers": ours["encoder_layers"]},
        "decoder": {"decoder_type": "transformer", "layers": ours["decoder_layers"]},
        "embeddings": {"word_vec_size": ours["d_model"], "position_encoding_type": "SinusoidalInterleaved"},
        "share_embeddings": ours["tie_embeddings"] == "all",
        "share_decoder_embeddings": ours["tie_embeddings"] != "none",
        "add_qkvbias": True,
        "add_final_linear_bias": True,
        "add_ffnbias": True,
        "generator_bias": False,
    }


def vocabulary(size: int, token_ids: Mapping[str, int]) -> dict[str, Any]:
    """Return what Eole stores as `vocab.json`: tokens by id, and which of them are `token_ids`' pad, bos and eos."""
    tokens = [f"t{index}" for index in range(size)]
    specials = {f"{role}_token": tokens[index] for role, index in token_ids.items()}
    # No token is unknown here, but Eole looks one up.
    specials["unk_token"] = specials["bos_token"]
    return {"src": tokens, "tgt": tokens, "decoder_start_token": specials["bos_token"], "specials": specials}


def convert_weights(ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of our pre-norm model under Eole's names, with our positions in Eole's table."""
    target = ours["decoder.embeddings.tokens.weight"]
    theirs = {
        "src_emb.embeddings.weight": ours.get("encoder.embeddings.tokens.weight", target).clone(),
        "tgt_emb.embeddings.weight": target.clone(),
        "generator.weight": ours.get("lm_head.weight", target).clone(),
        "src_emb.pe.pe": positions(target.shape[1]),
        "tgt_emb.pe.pe": positions(target.shape[1]),
    }
    for name, tensor in ours.items():
        if match := re.fullmatch(r"(encoder|decoder)\.layers\.(\d+)\.(.+)\.(weight|bias)", name):
            stack, number, module, part = match.groups()
            for own, rows in zip(MODULES[module], tensor.chunk(len(MODULES[module])), strict=True):
                theirs[f"{stack}.transformer_layers.{number}.{own}.{part}"] = rows.clone()
        elif match := re.fullmatch(r"(encoder|decoder)\.norm\.(weight|bias)", name):
            theirs[f"{match[1]}.layer_norm.{match[2]}"] = tensor
    return theirs


def positions(d_model: int) -> Tensor:
    """Return our sinusoids, [positions, 1, D]: Eole would interleave sines and cosines."""
    exponents = torch.arange(0, d_model, 2, dtype=torch.float64) / d_model
    angles = torch.outer(torch.arange(NUM_POSITIONS, dtype=torch.float64), 10000.0**-exponents)
    return torch.cat([angles.sin(), angles.cos()], dim=-1).float().unsqueeze(1)
