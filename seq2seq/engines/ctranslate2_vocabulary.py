"""The names by which CTranslate2 knows the tokens of a tokenizer: all different on each side, one for each id."""

import json
from collections.abc import Sequence
from pathlib import Path

from seq2seq.data.tokenizer import TextTokenizer


def ctranslate2_vocabularies(
    tokenizer: TextTokenizer, source_rows: int = 0, target_rows: int = 0
) -> tuple[list[str], list[str]]:
    """Return the source's and the target's tokens by id, all different on each side.

    The source's end of sentence goes by the target's name: CTranslate2 knows one name for both.

    Args:
        source_rows, target_rows: ids of the model, if it has more than the tokenizer.
    """
    target = distinct(
        _filled(tokenizer.target_tokens(range(tokenizer.target_vocab_size)), target_rows), tokenizer.eos_id
    )
    source = _filled(tokenizer.source_tokens(range(tokenizer.source_vocab_size)), source_rows)
    source[tokenizer.source.eos_id] = target[tokenizer.eos_id]
    return distinct(source, tokenizer.source.eos_id), target


def saved_vocabularies(folder: Path) -> tuple[list[str], list[str]]:
    """Return the source's and the target's tokens by id as an export says them.

    Raises:
        ValueError: a file is missing or damaged; names it.
    """
    shared = folder / "shared_vocabulary.json"
    paths = [shared if shared.is_file() else folder / f"{side}_vocabulary.json" for side in ("source", "target")]
    found = []
    for path in paths:
        try:
            names = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ValueError(f"{path}: no list of tokens ({error}); export the run anew.") from None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"{path}: expected a list of tokens; it is damaged, export the run anew.")
        found.append(names)
    return found[0], found[1]


def _filled(tokens: list[str], num_rows: int) -> list[str | None]:
    """Return the tokens, with ids of no token behind them up to so many."""
    return [*tokens, *([None] * (num_rows - len(tokens)))]


def distinct(tokens: Sequence[str | None], eos_id: int) -> list[str]:
    """Return the tokens with another name, made of the id, for each that is missing or the same as an earlier one.

    Vocabularies of other makers have ids without a token; SentencePiece models may hold a piece `</s>` that is not
    their end of sentence, which keeps its name, wherever it stands.
    """
    owners = {tokens[eos_id]: eos_id}
    for index, token in enumerate(tokens):
        owners.setdefault(token, index)
    names = []
    for index, token in enumerate(tokens):
        name = token
        if name is None or owners[name] != index:
            name = f"{token or ''}<{index}>"
            while name in owners:
                name += "_"
        names.append(name)
    return names
