"""What a page reads of a tokenizer that has no tokenizer.json: models of SentencePiece, as JSON beside their own files.

A folder enters that a tokenizer was saved to. What is read are our own, one model whose pieces are the vocabulary; and
those whose vocabulary is a file of its own: M2M100's, and Marian's, which has a model for each side, and may have a
vocabulary for each.
"""

import json
from pathlib import Path
from typing import Any

from seq2seq.data.json_tokenizer import TOKENIZER_FILE
from seq2seq.data.sentencepiece_description import model_description
from seq2seq.data.sentencepiece_tokenizer import CONFIG_FILE, SentencePieceTokenizer, own_model_file
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.files import read_object, written

PIECES_FILE = "pieces.json"
MARIAN = "MarianTokenizer"
M2M100 = "M2M100Tokenizer"


def write_pieces(folder: Path) -> None:
    """Write what a page reads, if it reads no file that is there already.

    Raises:
        ValueError: no page reads this tokenizer.
    """
    if (folder / TOKENIZER_FILE).is_file():
        return
    try:
        values = _of_model(folder) if own_model_file(folder) else _of_vocabulary(folder)
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


def _of_vocabulary(folder: Path) -> dict[str, Any]:
    file = folder / CONFIG_FILE
    config = read_object(file) if file.is_file() else {}
    kind = config.get("tokenizer_class", "unknown")
    if kind not in (MARIAN, M2M100) or config.get("sp_model_kwargs"):
        raise ValueError(f"{kind}{' with other options' * (kind in (MARIAN, M2M100))}")
    of_kind = _of_marian(folder, bool(config.get("separate_vocabs"))) if kind == MARIAN else _of_m2m100(folder)
    added = {int(index): token for index, token in config["added_tokens_decoder"].items()}
    names = {index: token["content"] for index, token in added.items()}
    vocabularies = {key: _listed(ids, names) for key, ids in of_kind.pop("ids").items()}
    special = {index for index, token in added.items() if token["special"]} | of_kind.pop("languages", set())
    return {
        **of_kind,
        **vocabularies,
        "specials": sorted(special),
        "unknown": vocabularies["vocabulary"].index(config["unk_token"]),
        "cleans": bool(config.get("clean_up_tokenization_spaces")),
    }


def _of_marian(folder: Path, has_two: bool) -> dict[str, Any]:
    ids = {"vocabulary": read_object(folder / "vocab.json")}
    if has_two:
        ids["target_vocabulary"] = read_object(folder / "target_vocab.json")
    models = {side: model_description((folder / f"{side}.spm").read_bytes()) for side in ("source", "target")}
    return {**models, "ids": ids}


def _of_m2m100(folder: Path) -> dict[str, Any]:
    """Languages stand behind the vocabulary; the library, and no file, knows them."""
    languages = TextTokenizer.load(folder).languages.ids
    ids = read_object(folder / "vocab.json") | {f"__{code}__": index for code, index in languages.items()}
    model = model_description((folder / "sentencepiece.bpe.model").read_bytes())
    return {"source": model, "ids": {"vocabulary": ids}, "languages": set(languages.values())}


def _listed(ids: dict[str, int], added: dict[int, str]) -> list[str | None]:
    """Return the names of a vocabulary and of what is added to it, by id; None where there is none."""
    names: list[str | None] = [None] * (1 + max(*ids.values(), *added))
    for index, name in [*((index, name) for name, index in ids.items()), *added.items()]:
        names[index] = name
    return names
