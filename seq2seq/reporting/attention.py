"""What the tokens of some outputs looked at in their sources, as words that people can read.

Rows of examples enter; the same rows with their attention leave, where the model is a network of ours that generates
from one end, and the texts are short enough to be shown.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from seq2seq.assembly.explaining import attention, explains
from seq2seq.assembly.generator import TextGenerator
from seq2seq.generation.corpus import truncated
from seq2seq.reporting.examples import Attention, Example

LONGEST = 30
"""Tokens of either side of an output whose attention is shown."""
MOST = 3
END = "(end)"


def with_attention(
    examples: Sequence[Example], generator: TextGenerator, sources: Sequence[str], token_ids: Sequence[Sequence[int]]
) -> tuple[Example, ...]:
    """Return the examples, some of them with attention: first of the middle, then of the worst.

    Args:
        sources: of all rows, with all that the model reads before them.
        token_ids: of all outputs.
    """
    order = ("median", "worst", "best")
    left = MOST if explains(generator) and generator.generation_order in ("l2r", "r2l") else 0
    found = list(examples)
    for place in sorted(range(len(found)), key=lambda place: order.index(found[place].group)):
        own = found[place]
        if left and (shown := _attention(generator, sources[own.row], list(token_ids[own.row]))):
            found[place] = replace(own, attention=shown)
            left -= 1
    return tuple(found)


def _attention(generator: TextGenerator, source: str, output: list[int]) -> Attention | None:
    """Return the attention of one output; None where it is too long or empty."""
    [ids] = truncated(generator.tokenizer.encode_sources([source]), generator.max_source_tokens, [1])
    if not 1 < len(output) <= LONGEST or not 1 < len(ids) <= LONGEST:
        return None
    rows = attention(generator, ids, output)
    words = _words(generator.tokenizer.source, ids), _words(generator.tokenizer.target, output)
    return Attention(words[0], words[1], tuple(tuple(round(weight, 4) for weight in row) for row in rows))


def _words(side: Any, ids: Sequence[int]) -> tuple[str, ...]:
    """Return each token as text; what is no whole character as the vocabulary has it."""
    texts = side.decode([[index] for index in ids])
    entries = side.tokens(ids)
    found = [entry if "�" in text else text.strip() or entry for text, entry in zip(texts, entries, strict=True)]
    return (*found[:-1], END if not texts[-1] else found[-1])
