"""What a page reads of a tokenizer that has no tokenizer.json: models of SentencePiece, as JSON beside their own files.

A folder enters that a tokenizer was saved to. What is read are our own, one model whose pieces are the vocabulary, and
Marian's, two models and one vocabulary.
"""

import json
from pathlib import Path
from typing import Any

from seq2seq.data.json_tokenizer import TOKENIZER_FILE
from seq2seq.data.sentencepiece_description import model_description
from seq2seq.data.sentencepiece_tokenizer import CONFIG_FILE, SentencePieceTokenizer, own_model_file
from seq2seq.files import read_object, written

PIECES_FILE = "pieces.json"
MARIAN = "MarianTokenizer"


def write_pieces(folder: Path) -> None:
    """Write what a page reads, if it reads no file that is there already.

    Raises:
        ValueError: no page reads this tokenizer.
    """
    if (folder / TOKENIZER_FILE).is_file():
        return
    try:
        values = _of_model(folder) if own_model_file(folder) else _of_marian(folder)
    except ValueError as error:
        raise ValueError(f"`--page`: no browser reads this model's tokenizer, {error}; leave out `--page`.") from None
    with written(folder / PIECES_FILE) as file:
        file.write(json.dumps(values, ensure_ascii=False, separators=(",", ":")) + "\n")


def _of_model(folder: Path) -> dict[str, Any]:
    path = own_model_file(folder)
    assert path is not None, "the caller has looked"
    side = SentencePieceTokenizer.load(path)
    size = len(side.pieces())
    return {"model": model_description(side.model()), "added": side.tokens(range(size, side.vocab_size))}


def _of_marian(folder: Path) -> dict[str, Any]:
    file = folder / CONFIG_FILE
    config = read_object(file) if file.is_file() else {}
    kind = config.get("tokenizer_class", "unknown")
    if kind != MARIAN or config.get("separate_vocabs") or config.get("sp_model_kwargs"):
        raise ValueError(f"{kind}{' with other options' * (kind == MARIAN)}")
    ids = read_object(folder / "vocab.json")
    added = {int(index): token for index, token in config["added_tokens_decoder"].items()}
    names: list[str | None] = [None] * (1 + max(*ids.values(), *added))
    for name, index in [*ids.items(), *((token["content"], index) for index, token in added.items())]:
        names[index] = name
    unknown = names.index(config["unk_token"])
    return {
        **{side: model_description((folder / f"{side}.spm").read_bytes()) for side in ("source", "target")},
        "vocabulary": names,
        "specials": [index for index, token in added.items() if token["special"]],
        "unknown": unknown,
        "cleans": bool(config.get("clean_up_tokenization_spaces")),
    }
