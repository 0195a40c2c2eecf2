"""Small corpora for metric tests."""

import random

import numpy

from tests.shared_data import shared_data

HYPOTHESES = [
    "the cat sat on the mat .",
    "a dog",
    "",
    "Der Hund läuft schnell",
    "我 爱 北京",
    "one two three four five",
    "x",
]
REFERENCES = [
    ["the cat is on the mat .", "there is a cat on the mat"],
    ["a dog", "the dog"],
    ["nothing at all", "no"],
    ["Der Hund rennt schnell", "der Hund läuft"],
    ["我 爱 上海", "我 爱 北京 ！"],
    ["one two four three five", "five four three two one"],
    ["y", "z"],
]


def random_corpus(num_segments: int, seed: int) -> tuple[list[str], list[str], list[list[str]]]:
    """Return two systems' outputs and one reference per segment; the second system makes more errors."""
    chooser = random.Random(seed)
    words = [f"w{number}" for number in range(23)]
    references = [chooser.choices(words, k=chooser.randint(5, 13)) for _ in range(num_segments)]

    def corrupted(rate: float) -> list[str]:
        return [
            " ".join(chooser.choice(words) if chooser.random() < rate else word for word in reference)
            for reference in references
        ]

    return corrupted(0.2), corrupted(0.5), [[" ".join(reference)] for reference in references]


def wmt22(name: str) -> list[str]:
    """Return the lines of a file of the WMT22 data."""
    return shared_data(f"wmt22_golden/{name}.txt").read_text("utf-8").removesuffix("\n").split("\n")


def paired(*files: list[str]) -> list[list[str]]:
    """Return per segment the list of its references, from one list per reference."""
    return [list(segment) for segment in zip(*files, strict=True)]


def total(statistics: numpy.ndarray) -> numpy.ndarray:
    return statistics.sum(axis=0)
