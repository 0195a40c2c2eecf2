"""Corpora under examination, made of lists of pairs."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from seq2seq.data.corpus import Dataset, read_corpus
from seq2seq.data.examination.examination import findings_of
from seq2seq.data.examination.examined import Examined
from seq2seq.data.examination.findings import Finding
from seq2seq.data.examination.limits import PairLimits
from seq2seq.data.loader import tokenize_corpus
from seq2seq.data.tokenizer import TextTokenizer

Pairs = Sequence[tuple[str, str]]
ENGLISH = (
    "a man is riding a horse on the beach",
    "two dogs are running through the snow",
    "the old woman reads her newspaper",
    "children play with a ball in the park",
    "he has bought a new house near the river",
    "she will never forget that day",
    "the train to the city leaves at seven",
    "they were sitting in front of the church",
    "nobody knew what to say then",
    "my brother works in a large hospital",
    "there is a cat sleeping under the table",
    "we have been here before, I think",
)
GERMAN = (
    "ein Mann reitet am Strand auf einem Pferd",
    "zwei Hunde laufen durch den Schnee",
    "die alte Frau liest ihre Zeitung",
    "Kinder spielen im Park mit einem Ball",
    "er hat ein neues Haus am Fluss gekauft",
    "diesen Tag wird sie nie vergessen",
    "der Zug in die Stadt fährt um sieben ab",
    "sie saßen vor der Kirche",
    "niemand wusste, was zu sagen war",
    "mein Bruder arbeitet in einem großen Krankenhaus",
    "unter dem Tisch schläft eine Katze",
    "wir waren schon hier, glaube ich",
)


def translations(number: int, first: int = 0) -> list[tuple[str, str]]:
    """Return different pairs of English and German sentences."""
    size = len(ENGLISH)
    found = []
    for index in range(first, first + number):
        places = index % size, (index * 7 + index // size) % size, (index * 5 + index // size**2) % size
        english, german = ([texts[place] for place in places] for texts in (ENGLISH, GERMAN))
        source, target = (
            f"{english[0]} and {english[1]}, {index}, {english[2]}",
            f"{german[0]} und {german[1]}, {index}, {german[2]}",
        )
        found.append((source, target))
    return found


@cache
def characters() -> TextTokenizer:
    """Return a tokenizer of the characters of these sentences."""
    texts = [*ENGLISH, *GERMAN, "0123456789 \t,", "abcdefghijklmnopqrstuvwxyz"]
    return TextTokenizer.train(texts, [], kind="characters", vocab_size=200)


def corpus_of(pairs: Pairs, folder: Path, name: str) -> Dataset:
    path = folder / f"{name}.tsv"
    path.write_text("".join(f"{source}\t{target}\n" for source, target in pairs))
    return tokenize_corpus(read_corpus(path=path, cache_directory=folder / "cache"), characters())


def examined_of(train: Pairs, validation: Pairs, folder: Path, **options: Any) -> tuple[Examined, Examined]:
    return (
        Examined.of("training", "data.train", corpus_of(train, folder, "train"), **options),
        Examined.of("validation", "data.validation", corpus_of(validation, folder, "validation"), **options),
    )


def found_in(train: Pairs, validation: Pairs, folder: Path, limits: PairLimits | None = None) -> dict[str, Finding]:
    """Return all findings by their kind; no two may have the same here."""
    subjects = examined_of(train, validation, folder)
    found = list(findings_of(*subjects, characters(), limits or PairLimits(1000, 1000)))
    assert len({finding.kind for finding in found}) == len(found)
    return {finding.kind: finding for finding in found}
