"""What a `.model` file of SentencePiece says, as values of JSON, for a reader that has not the library.

The bytes of a model enter; leaves all that decides which pieces a text has. Scores are numbers of 32 bits, written as
the shortest decimals that are these numbers.
"""

import base64
from typing import Any

import numpy

MODELS = ("unigram", "bpe")
"""The library's models that consist of pieces."""


def model_description(model: bytes) -> dict[str, Any]:
    """Return what a model says.

    Raises:
        ValueError: its pieces are whole words or characters, or it changes the text that comes out of it.
    """
    from sentencepiece.sentencepiece_model_pb2 import ModelProto  # type: ignore[attr-defined]

    found = ModelProto.FromString(model)
    trainer, rules, types = found.trainer_spec, found.normalizer_spec, ModelProto.SentencePiece
    kind = trainer.ModelType.Name(trainer.model_type).lower()
    if kind not in MODELS:
        raise ValueError(f"a model of SentencePiece of the kind `{kind}`, not `unigram` or `bpe`")
    if found.denormalizer_spec.precompiled_charsmap:
        raise ValueError("a model of SentencePiece with rules for the text that comes out of it")
    of_type: dict[int, list[int]] = {}
    for index, piece in enumerate(found.pieces):
        of_type.setdefault(piece.type, []).append(index)
    names = [piece.piece for piece in found.pieces]
    [unknown] = of_type[types.UNKNOWN]  # the library reads no other model
    return {
        "model": kind,
        "pieces": names,
        "scores": [float(str(numpy.float32(piece.score))) for piece in found.pieces],
        "unknown": unknown,
        "controls": of_type.get(types.CONTROL, []),
        "user_defined": of_type.get(types.USER_DEFINED, []),
        "unused": of_type.get(types.UNUSED, []),
        "bytes": sorted(of_type.get(types.BYTE, []), key=lambda index: int(names[index][1:-1], 16)),
        "charsmap": base64.b64encode(rules.precompiled_charsmap).decode(),
        "add_dummy_prefix": rules.add_dummy_prefix,
        "remove_extra_whitespaces": rules.remove_extra_whitespaces,
        "escape_whitespaces": rules.escape_whitespaces,
        "treat_whitespace_as_suffix": trainer.treat_whitespace_as_suffix,
    }
