"""Texts in languages that a model is told: by its tokenizer, by what its targets begin with, or by its start token."""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, Protocol

from seq2seq.assembly.generation_config import TargetRules
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.generation.output import TextHypothesis
from seq2seq.models.interface import Seq2Seq


class Speaking(Protocol):
    """What generates text in other languages, too."""

    @property
    def speaking(self) -> Callable[[str | None, str | None], Callable[..., list[list[TextHypothesis]]]]: ...


def with_languages(
    model: Seq2Seq, tokenizer: TextTokenizer, rules: TargetRules, languages: tuple[str | None, str | None]
) -> tuple[Seq2Seq, TextTokenizer, TargetRules]:
    """Return what reads and writes texts of these languages.

    Raises:
        ValueError: the model has no such languages.
    """
    spoken = copy(tokenizer.speaking(*languages))
    if spoken.languages.is_start and languages[1] is not None:
        model = starting_with(model, spoken.decoder_start_id)
    if model.generation_order != "l2r":
        spoken.target_start = ()  # what stands in front is in these orders learned like all other tokens
    elif not spoken.target_start:
        spoken.target_start = rules.start
    return model, spoken, replace(rules, start=spoken.target_start)


def starting_with(model: Any, token_id: int) -> Seq2Seq:
    """Return a model whose decoder starts with another token; its weights are the same."""
    found = copy(model)
    found.options = replace(model.options, decoder_start_token_id=token_id)
    return found


def in_languages(
    generator: Speaking, texts: Sequence[str], source_languages: Any, target_languages: Any, options: dict[str, Any]
) -> list[list[TextHypothesis]]:
    """Return the hypotheses of texts of which each has languages; those of the same are searched together.

    Args:
        source_languages, target_languages: a name for each text, or one for all, or None.

    Raises:
        ValueError: there are not as many as texts, or there is no such language.
    """
    sides = [
        [names] * len(texts) if names is None or isinstance(names, str) else list(names)
        for names in (source_languages, target_languages)
    ]
    if isinstance(texts, str) or any(len(names) != len(texts) for names in sides):
        raise ValueError("`source_language` and `target_language` are one for all texts, or a list of one for each.")
    pairs = list(zip(*sides, strict=True))
    found: dict[int, list[TextHypothesis]] = {}
    for source, target in dict.fromkeys(pairs):
        places = [place for place, pair in enumerate(pairs) if pair == (source, target)]
        results = generator.speaking(source, target)([texts[place] for place in places], **options)
        found |= dict(zip(places, results, strict=True))
    return [found[place] for place in range(len(texts))]
