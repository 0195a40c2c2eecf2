"""The Transformer's options as transformers stores and loads them."""

from typing import Any, ClassVar

from transformers import PreTrainedConfig

from seq2seq.models.transformer.options import MODEL_TYPE, REMOVED, TransformerOptions, refuse_removed


class Seq2SeqTransformerConfig(TransformerOptions, PreTrainedConfig):
    """`TransformerOptions` as a configuration of transformers."""

    model_type = MODEL_TYPE
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["cache", "past_key_values"]
    attribute_map: ClassVar[dict[str, str]] = {
        "hidden_size": "d_model",
        "num_attention_heads": "num_heads",
        "num_hidden_layers": "decoder_layers",
        "intermediate_size": "ffn_size",
    }
    is_encoder_decoder: bool = True
    use_cache: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        refuse_removed(kwargs)
        PreTrainedConfig.__post_init__(self, **{name: value for name, value in kwargs.items() if name not in REMOVED})
        self.check()
