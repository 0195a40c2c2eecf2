"""The names by which CTranslate2 knows the tokens of a tokenizer: all different on each side, one for each id."""

from collections.abc import Sequence

from seq2seq.data.tokenizer import TextTokenizer


def ctranslate2_vocabularies(tokenizer: TextTokenizer) -> tuple[list[str], list[str]]:
    """Return the source's and the target's tokens by id, all different on each side.

    The source's end of sentence goes by the target's name: CTranslate2 knows one name for both.
    """
    target = distinct(tokenizer.target_tokens(range(tokenizer.target_vocab_size)), tokenizer.eos_id)
    source = tokenizer.source_tokens(range(tokenizer.source_vocab_size))
    source[tokenizer.source.eos_id] = target[tokenizer.eos_id]
    return distinct(source, tokenizer.source.eos_id), target


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
