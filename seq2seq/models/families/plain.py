"""The family that a model trained here from random weights is one of, so that everybody can read it.

Without what sets it apart, such a Transformer is what PEGASUS has where it normalises before its sub-layers, and Marian
where it does after them.
"""

from typing import Any

from seq2seq.models.families.folders import FAMILIES
from seq2seq.models.families.tables import Family
from seq2seq.models.transformer.options import TransformerOptions

LONGEST = 1024
"""Positions that are said where there is no limit; computed ones are the same beyond it."""
ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "gelu_tanh": "gelu_new", "silu": "silu"}

_INSTEAD = {"positions": "; one trained with `model.positions: sinusoidal` can be written"}


def family_like(options: TransformerOptions) -> tuple[Family, dict[str, Any]]:
    """Return the family of such a network, and the configuration of the model.

    Raises:
        ValueError: no family has one of its options; names it.
    """
    expected = {
        "generation_order": ("l2r",),
        "norm": ("layer_norm",),
        "norm_epsilon": (1e-5,),
        "positions": ("sinusoidal",),
        "position_offset": (0,),
        "embedding_norm": (False,),
        "attention_scale": (True,),
        "gated_feed_forward": (False,),
        "biases": (True,),
        "output_scale": (False,),
        "tie_embeddings": ("all", "target") if options.norm_position == "post" else ("all",),
    }
    for name, values in expected.items():
        if (value := getattr(options, name)) not in values:
            raise ValueError(
                f"`{name}: {value}` is in no family of transformers beside `norm_position: {options.norm_position}`; "
                "only this toolkit reads the model" + _INSTEAD.get(name, "") + "."
            )
    if options.head_sizes != (options.d_model // options.num_heads,) * 2:
        raise ValueError("`key_size` and `value_size` are in no family of transformers; only this toolkit reads it.")
    family = FAMILIES["marian" if options.norm_position == "post" else "pegasus"]
    sides = {
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in (("attention_heads", options.num_heads), ("ffn_dim", options.ffn_size))
    }
    return family, {
        "model_type": family.model_type,
        "is_encoder_decoder": True,
        "d_model": options.d_model,
        "encoder_layers": options.encoder_layers,
        "decoder_layers": options.decoder_layers,
        "num_hidden_layers": options.encoder_layers,
        **sides,
        "activation_function": ACTIVATIONS[options.activation],
        "scale_embedding": options.embedding_scale,
        "dropout": options.dropout,
        "attention_dropout": options.attention_dropout,
        "activation_dropout": options.activation_dropout,
        "max_position_embeddings": options.longest or LONGEST,
        "pad_token_id": options.pad_token_id,
        "bos_token_id": options.bos_token_id,
        "eos_token_id": options.eos_token_id,
        "decoder_start_token_id": options.decoder_start_token_id,
        "forced_eos_token_id": None,
        "vocab_size": options.source_vocab_size or options.vocab_size,
    }
