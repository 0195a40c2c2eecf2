"""New languages and tokens for a pretrained model: rows of its embeddings, and entries of its tokenizer.

What was there stays as it was, bit by bit: rows are added behind the others, or take unused places. The row of a new
language is that of one like it, the row of a new token the mean of the pieces that it was made of.
"""

import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seq2seq.data.huggingface_tokenizer import HuggingFaceTokenizer
from seq2seq.data.languages import CODE
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.files import new_folder, read_object
from seq2seq.generation.engine import DECODING_FILE
from seq2seq.models.families.folders import GENERATION_FILE, FamilyModel, family_of, read_family, write_family
from seq2seq.models.families.tables import ENCODER_EMBEDDINGS, OUTPUT, OUTPUT_BIAS
from seq2seq.models.transformer.inference import EMBEDDINGS, TIED_WEIGHTS


@dataclass(frozen=True)
class Unknown:
    """What of a text a tokenizer does not know."""

    num_tokens: int
    num_unknown: int
    characters: tuple[tuple[str, int], ...]
    """The most frequent characters that become the unknown token by themselves, and how often they occur."""


def extend_model(source: Path, output: Path, languages: dict[str, str], tokens: Sequence[str]) -> dict[str, int]:
    """Write a model folder with new languages and tokens; return their ids.

    Args:
        languages: new ones, and those that they are to begin like.
        tokens: that are never split any more.

    Raises:
        ValueError: the model is of no family, knows no languages, has such a token already, or none to begin like; or
            there is something at `output`.
    """
    if output.exists():
        raise ValueError(f"{output} is there already; give a new name, or remove it yourself.")
    if family_of(source) is None:
        raise ValueError(f"{source} holds no model of a family of transformers, and only such are extended.")
    model, tokenizer = read_family(source), TextTokenizer.load(source)
    side: Any = tokenizer.source
    is_one = tokenizer.shared and model.options.source_vocab_size is None
    if not isinstance(side, HuggingFaceTokenizer) or not is_one:
        raise ValueError(f"{source} has no vocabulary of transformers that both sides share; it cannot be extended.")
    known = side.tokenizer.get_vocab()
    for name in (*languages, *tokens):
        if not name.strip():
            raise ValueError(f"{name!r} is no token: there is nothing in it but white space; leave it out.")
        if name in known:
            raise ValueError(f"{name!r} is a token of {source} already; leave it out.")
    rows: dict[str, list[int]] = {}
    for name, like in languages.items():
        if tokenizer.languages.of_target_only or not CODE.fullmatch(name):
            raise ValueError(
                f"`--add-language` {name}: this model takes codes such as eng_Latn or en_XX, if any; otherwise add the "
                "token that says the language, and put it into the texts."
            )
        try:
            rows[name] = [tokenizer.languages.id_of(like, "source")]
        except ValueError as error:
            raise ValueError(str(error).replace("`source_language`", "`--like`")) from None
    for token, pieces in zip(tokens, side.encode(list(tokens)), strict=True):
        rows[token] = [index for index in pieces if index not in side.tokenizer.all_special_ids] or [side.eos_id]
    added = side.tokenizer
    if languages:
        added.add_special_tokens({"extra_special_tokens": list(languages)}, replace_extra_special_tokens=False)
    if tokens:
        added.add_tokens(list(tokens))
    vocabulary = added.get_vocab()
    ids = {name: vocabulary[name] for name in rows}
    grown = with_rows(model, {ids[name]: like for name, like in rows.items()})
    path = source / GENERATION_FILE
    with new_folder(output) as unfinished:
        write_family(unfinished, grown, read_object(path) if path.is_file() else None)
        added.save_pretrained(unfinished)
        if (source / DECODING_FILE).is_file():  # of one that was tuned: prefix, languages, search
            shutil.copyfile(source / DECODING_FILE, unfinished / DECODING_FILE)
    return ids


def with_rows(model: FamilyModel, rows: dict[int, list[int]]) -> FamilyModel:
    """Return a model of one vocabulary whose tokens with these ids begin as the mean of others."""
    options = model.options
    assert options.source_vocab_size is None, "what a new id means is the same on both sides"
    size = max(options.vocab_size, max(rows) + 1)
    weights = dict(model.weights)
    tied = [f"{name}.weight" for name in TIED_WEIGHTS[options.tie_embeddings]]
    for name in (EMBEDDINGS, ENCODER_EMBEDDINGS, OUTPUT, *((OUTPUT_BIAS,) if options.output_bias else ())):
        if name not in tied:
            weights[name] = _grown(weights[name], size, rows)
    weights |= dict.fromkeys(tied, weights[EMBEDDINGS])
    changed = replace(options, vocab_size=size)
    return FamilyModel(model.family, model.config, changed, weights)


def _grown(weight: Tensor, size: int, rows: dict[int, list[int]]) -> Tensor:
    grown = torch.cat([weight, weight.new_zeros(max(size - len(weight), 0), *weight.shape[1:])])
    for index, like in rows.items():
        grown[index] = weight[like].double().mean(0).to(weight.dtype) if len(like) > 1 else weight[like[0]]
    return grown


def unknown_of(tokenizer: TextTokenizer, texts: Iterable[str], shown: int = 10) -> Unknown:
    """Return what of some texts a tokenizer does not know, as sources."""
    lines = [text for text in texts if text.strip()]
    unknown = tokenizer.source.unk_id
    found = [index for ids in tokenizer.encode_sources(lines) for index in ids]
    characters = Counter(character for line in lines for character in line if not character.isspace())
    alone = dict(zip(characters, tokenizer.encode_sources(list(characters)), strict=True)) if characters else {}
    missing = [(character, number) for character, number in characters.most_common() if unknown in alone[character]]
    return Unknown(len(found), sum(index == unknown for index in found), tuple(missing[:shown]))
