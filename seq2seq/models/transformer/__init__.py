"""The Transformer of this toolkit.

Searching needs no transformers: `inference`. Taking `Seq2SeqTransformer` or its configuration from here imports
transformers and makes its Auto classes know folders of this model.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seq2seq.models.transformer.configuration import Seq2SeqTransformerConfig
    from seq2seq.models.transformer.modeling import Seq2SeqTransformer

__all__ = ["Seq2SeqTransformer", "Seq2SeqTransformerConfig"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from seq2seq.models.transformer import registration

    return getattr(registration, name)
