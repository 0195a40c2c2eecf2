"""Subjects around models that are written out, over a vocabulary of letters."""

from collections.abc import Sequence
from typing import Any

from seq2seq.assembly.decoding_defaults import NO_RULES
from seq2seq.assembly.generation_config import TargetRules
from seq2seq.assembly.generator import TextGenerator
from seq2seq.decoding.algorithms.beam import BeamSearch
from seq2seq.diagnosis.subject import Subject
from seq2seq.generation.batches import BATCH_TOKENS
from tests.fakes import CharTokenizer, PrefixModel

TOKENIZER = CharTokenizer("abcdefg")
VOCAB_SIZE = len(TOKENIZER.vocabulary)
END = TOKENIZER.eos_id
A, B, C, D, E, F, G = range(4, VOCAB_SIZE)


def subject_of(
    model: PrefixModel,
    sources: Sequence[str],
    references: Sequence[str],
    batch_tokens: int = BATCH_TOKENS,
    rules: TargetRules = NO_RULES,
    **options: Any,
) -> Subject:
    return Subject.create(generator_of(model, batch_tokens, rules, **options), sources, references)


def generator_of(
    model: PrefixModel, batch_tokens: int = BATCH_TOKENS, rules: TargetRules = NO_RULES, **options: Any
) -> TextGenerator:
    search = BeamSearch(max_length=23, **options)
    return TextGenerator(model, TOKENIZER, search, batch_tokens=batch_tokens, rules=rules)


def row(**probabilities: float) -> list[float]:
    """Return a table's row: `row(a=0.5, end=0.5)`."""
    named = {"<pad>": 0.0} | {("</s>" if name == "end" else name): value for name, value in probabilities.items()}
    return [named.get(token, 0.0) for token in TOKENIZER.vocabulary]
