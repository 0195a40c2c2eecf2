"""Texts in languages that a model is told: by its tokenizer, by what its targets begin with, or by its start token."""

from copy import copy
from dataclasses import replace
from typing import Any

from seq2seq.assembly.generation_config import TargetRules
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.models.ensemble import Ensemble
from seq2seq.models.interface import Seq2Seq


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
    ends = rules.other_ends if model.generation_order == "l2r" else ()
    return model, spoken, replace(rules, start=spoken.target_start, other_ends=ends)


def starting_with(model: Any, token_id: int) -> Seq2Seq:
    """Return a model whose decoder starts with another token; its weights are the same. Of several, all do."""
    found = copy(model)
    if hasattr(model, "options"):  # a network of ours
        found.options = replace(model.options, decoder_start_token_id=token_id)
    elif isinstance(model, Ensemble):
        found.models = [starting_with(member, token_id) for member in model.models]
    else:
        found.decoder_start_id = token_id
        for name in vars(model).keys() & {"first", "left", "right"}:  # of two that work together
            setattr(found, name, starting_with(getattr(model, name), token_id))
    return found
