"""The languages that a page offers, each with what it says in the place of `engine.json`'s own values.

A model's tokenizer enters; leaves codes with frames of sources, start tokens and what targets begin with.
"""

from typing import Any

from seq2seq.data.tokenizer import TextTokenizer


def offered_languages(tokenizer: TextTokenizer, first: tuple[str | None, str | None]) -> dict[str, dict[str, Any]]:
    """Return `sources` and `targets`, by code.

    Args:
        first: those that stand first, and of a model that is told none, all that there are.
    """
    told = tokenizer.languages
    named: list[dict[str, Any]] = [{} if code is None else {code: {}} for code in first]
    if not told.ids:
        return {"sources": named[0], "targets": named[1]}
    sources, targets = (sorted(told.ids, key=lambda code: (code != chosen, code)) for chosen in first)
    if told.of_target_only:
        return {"sources": named[0], "targets": {code: _source(tokenizer.speaking(None, code)) for code in targets}}
    return {
        "sources": {code: _source(tokenizer.speaking(code, None)) for code in sources},
        "targets": {code: _target(tokenizer.speaking(None, code)) for code in targets},
    }


def frame(tokenizer: TextTokenizer) -> tuple[list[int], list[int]]:
    """Return the ids in front of every source, and those behind it."""
    [empty] = tokenizer.encode_sources([""])
    end = empty.index(tokenizer.source.eos_id)
    return empty[:end], empty[end:]


def _source(tokenizer: TextTokenizer) -> dict[str, Any]:
    return {"source_frame": [*frame(tokenizer)]}


def _target(tokenizer: TextTokenizer) -> dict[str, Any]:
    if tokenizer.languages.is_start:
        return {"decoder_start_token_id": tokenizer.decoder_start_id}
    return {"target_start": list(tokenizer.target_start)}
