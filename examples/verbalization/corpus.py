"""Training, development and test pairs of the verbalisation corpus, drawn from a seed and written as files.

What enters is a seed and three sizes; what leaves is `train.tsv`, `dev.tsv` and `test.tsv` (source, tab, target) and,
for decoding, `test.source` and `test.target` (a line per pair). No source occurs twice in all of them. What every
language spells by heart (numbers to 99, whole hundreds and thousands, ordinals to 99 and of the hundreds) is always
in training; development and test pairs ask for composing it.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

from examples.verbalization.pairs import DRAWS, Pair, cardinal_pair, ordinal_pair
from examples.verbalization.words import LANGUAGES
from seq2seq.files import written

MAX_PAIRS = 1_000_000
"""Most pairs of one corpus. Many more exist, but drawing distinct ones slows down as kinds are exhausted."""

SPELLED_NUMBERS = (*range(100), *range(100, 1000, 100), *range(1000, 10000, 1000))


def generate_corpus(seed: int, train_size: int, dev_size: int, test_size: int) -> dict[str, list[Pair]]:
    """Return `{"train": pairs, "dev": pairs, "test": pairs}`, each a list of `(source, target)`.

    Raises:
        ValueError: a size is below one, training is too small for what it must hold, or the sum is over `MAX_PAIRS`.
    """
    by_heart = list(_by_heart())
    total = train_size + dev_size + test_size
    if min(dev_size, test_size) < 1 or train_size < len(by_heart):
        raise ValueError(
            f"Training needs at least {len(by_heart)} pairs, development and test one each, "
            f"but the sizes are {train_size}, {dev_size} and {test_size}."
        )
    if total > MAX_PAIRS:
        raise ValueError(f"{total} pairs were asked for in all; at most {MAX_PAIRS} can be drawn.")
    random = Random(seed)
    drawn = _draw(random, total - len(by_heart), dict(by_heart))
    dev, test, rest = drawn[:dev_size], drawn[dev_size : dev_size + test_size], drawn[dev_size + test_size :]
    train = by_heart + rest
    random.shuffle(train)
    return {"train": train, "dev": dev, "test": test}


def write_corpus(corpus: dict[str, list[Pair]], folder: Path) -> None:
    """Write the files into a folder, which is made if need be; each appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, pairs in corpus.items():
        _write_lines(folder / f"{split}.tsv", (f"{source}\t{target}" for source, target in pairs))
    _write_lines(folder / "test.source", (source for source, _ in corpus["test"]))
    _write_lines(folder / "test.target", (target for _, target in corpus["test"]))


def _by_heart() -> Iterator[Pair]:
    """Yield the pairs that always belong to training."""
    for language in LANGUAGES:
        for number in SPELLED_NUMBERS:
            yield _tagged(cardinal_pair(number, language), language)
            if 0 < number < 1000:
                yield _tagged(ordinal_pair(number, language), language)


def _draw(random: Random, count: int, taken: dict[str, str]) -> list[Pair]:
    """Return so many pairs with sources that are neither taken nor drawn twice."""
    draws, weights = zip(*DRAWS, strict=True)
    pairs: list[Pair] = []
    while len(pairs) < count:
        language = random.choice(LANGUAGES)
        draw = random.choices(draws, weights)[0]
        source, target = _tagged(draw(random, language), language)
        assert taken.get(source, target) == target, f"{source!r} has two readings: {taken[source]!r} and {target!r}"
        if source not in taken:
            taken[source] = target
            pairs.append((source, target))
    return pairs


def _tagged(pair: Pair, language: str) -> Pair:
    return f"<{language}> {pair[0]}", pair[1]


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with written(path) as file:
        file.writelines(f"{line}\n" for line in lines)
