"""All findings on the texts of pairs, before there is a tokenizer or a configuration.

Texts enter; findings leave, what probably spoils a training among them. Nothing is taken out of the pairs here.
"""

from collections.abc import Iterator

from seq2seq.data.examination.alignment import shifted_lines
from seq2seq.data.examination.characters import strange_characters
from seq2seq.data.examination.directions import reversed_pairs
from seq2seq.data.examination.findings import Finding
from seq2seq.data.examination.foreign_texts import foreign_texts
from seq2seq.data.examination.overlap import duplicates, identical_sides
from seq2seq.data.examination.raw_pairs import RawPairs
from seq2seq.data.examination.shapes import (
    empty_sides,
    extreme_lengths,
    nearly_the_same,
    one_text,
    other_numbers,
    several_targets,
)
from seq2seq.data.similar_texts import Texts
from seq2seq.data.table_format import leading_tags

_TAGGED_ROWS = 2_000


def text_findings(sources: Texts, targets: Texts, name: str) -> Iterator[Finding]:
    """Yield what is noteworthy of pairs.

    Args:
        name: what sentences call the pairs, such as `training`; `given` for those of a file that is not cut yet.
    """
    pairs = RawPairs.of_texts(name, "data.validation" if name == "validation" else "data.train", sources, targets)
    yield from empty_sides(pairs)
    yield from duplicates(pairs)
    yield from identical_sides(pairs)
    yield from findings_of_texts(pairs)


def findings_of_texts(pairs: RawPairs) -> Iterator[Finding]:
    """Yield what is noteworthy of pairs but empty, repeated and identical ones."""
    if not pairs.num_texts:
        return
    constant = list(one_text(pairs))
    yield from constant
    yield from several_targets(pairs)
    yield from strange_characters(pairs)
    yield from extreme_lengths(pairs)
    yield from nearly_the_same(pairs)
    if constant:
        return
    turned = list(reversed_pairs(pairs))
    yield from turned
    shifts = list(shifted_lines(pairs))
    yield from (found for found in shifts if not turned or found.kind != "unrelated_sides")
    if not turned and not leading_tags(pairs.sample("source", pairs.spread(_TAGGED_ROWS))):
        yield from foreign_texts(pairs)  # which reversed pairs are too, and those of many languages by design
    yield from other_numbers(pairs)
