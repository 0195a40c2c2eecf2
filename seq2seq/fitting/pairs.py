"""The pairs of a fit: read in whatever format they are, cut into parts that share nothing, written where the run is.

Files that a user names enter; `Pairs` leaves, and three files of rows in the run directory. Of a corpus that is too
large to hold, a part is drawn at random while it is read.
"""

import dataclasses
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy

from seq2seq.assembly.corpora import open_corpus
from seq2seq.data.corpus import streamed_pairs
from seq2seq.data.corpus_options import CorpusOptions
from seq2seq.data.examination.findings import Finding, part_of, shown
from seq2seq.data.held_out import default_sizes, held_out_parts
from seq2seq.data.similar_texts import near_copies
from seq2seq.data.table_format import recognized
from seq2seq.files import fingerprint, written
from seq2seq.lines import plain_name

DATA_FOLDER = "data"
PARTS = ("train", "validation", "test")
MOST_PAIRS = 1_000_000
"""Pairs that are kept of more: in memory for the look at them, and more than a machine without GPUs learns in a day."""
LARGE_BYTES = 1 << 30
"""Files of this size are not copied into a cache, but read once, a pair after the other."""
_NOTABLE = 0.02
"""Share of a part that the training pairs may hold by chance, where texts are short."""
READ_PAIRS = 20_000_000
"""Pairs of a large file that are read; of what follows nothing is drawn."""


@dataclass(frozen=True)
class Pairs:
    """Texts of one corpus; tags stand in front of their sources."""

    sources: list[str]
    targets: list[str]
    corpus: CorpusOptions
    """How they were read."""
    reasons: tuple[str, ...] = ()
    """What was concluded of their format."""
    num_read: int = 0
    """Pairs in the file, where some were drawn of more."""

    def __len__(self) -> int:
        return len(self.sources)


@dataclass(frozen=True)
class Parts:
    """The pairs to learn from, to choose a checkpoint by, and to test with."""

    train: Pairs
    validation: Pairs
    test: Pairs

    def sizes(self) -> dict[str, int]:
        return {name: len(getattr(self, name)) for name in PARTS}


def given_corpus(paths: Sequence[str], seed: int, like: CorpusOptions | None = None) -> Pairs:
    """Return the pairs of one table, or of two files that go together.

    Args:
        like: how another corpus was read that this one belongs to.

    Raises:
        ValueError: they are no pairs; says what to do.
    """
    found = recognized(paths)
    corpus = found.corpus if like is None else _read_like(found.corpus, like)
    if sum(Path(path).stat().st_size for path in paths if Path(path).is_file()) < LARGE_BYTES:
        read = open_corpus(corpus, "pairs")
        num_read = len(read)
        if num_read > MOST_PAIRS:
            rows = numpy.random.default_rng(seed).choice(num_read, MOST_PAIRS, replace=False)
            read = read.select(numpy.sort(rows))
        sources, targets = list(read["source"]), list(read["target"])
        return Pairs(sources, targets, corpus, found.reasons, num_read)
    drawn, num_read = _drawn(streamed_pairs(corpus), seed)
    if not drawn:
        raise ValueError(f"{' and '.join(paths)}: there are no pairs to learn from.")
    sources, targets = map(list, zip(*drawn, strict=True))
    return Pairs(sources, targets, corpus, found.reasons, num_read)


def _read_like(corpus: CorpusOptions, like: CorpusOptions) -> CorpusOptions:
    """Return a corpus of the same format read by the columns of another."""
    if (corpus.path is None) != (like.path is None) or Path(plain_name(str(corpus.path))).suffix != Path(
        plain_name(str(like.path))
    ).suffix:
        return corpus
    names = ("source_column", "target_column", "tag_column", "header")
    return dataclasses.replace(corpus, **{name: getattr(like, name) for name in names})


def _drawn(pairs: Iterable[tuple[str, str]], seed: int) -> tuple[list[tuple[str, str]], int]:
    """Return pairs that were drawn at random, each with the same probability, and how many there were (Vitter 1985,
    algorithm R)."""
    kept: list[tuple[str, str]] = []
    draws, number = random.Random(seed), 0
    for pair in pairs:
        number += 1
        if len(kept) < MOST_PAIRS:
            kept.append(pair)
        elif (place := draws.randrange(number)) < MOST_PAIRS:
            kept[place] = pair
        if number >= READ_PAIRS:
            break
    return kept, number


def cut(pairs: Pairs, validation: Pairs | None, test: Pairs | None, seed: int) -> Parts:
    """Return the parts: those that are given, and the others cut out of the pairs.

    Raises:
        ValueError: there are too few pairs to cut from.
    """
    if len(pairs) < len(PARTS):
        raise ValueError(
            f"There {'is' if len(pairs) == 1 else 'are'} {len(pairs)} pair{'s' * (len(pairs) != 1)}, too few to learn "
            "from some and to test with others; some thousands are a beginning."
        )
    if validation and test:
        return Parts(pairs, _shuffled(validation, seed), _shuffled(test, seed))
    sizes = default_sizes(len(pairs))
    labels = held_out_parts(
        pairs.sources,
        pairs.targets,
        validation=0 if validation else sizes[0],
        test=0 if test else sizes[1],
        seed=seed,
    )
    held_out = (validation or _of(pairs, labels == 1), test or _of(pairs, labels == 2))
    return Parts(_of(pairs, labels == 0), *(_shuffled(part, seed) for part in held_out))


def _shuffled(pairs: Pairs, seed: int) -> Pairs:
    """Return the pairs in another order: the first ones, which are decoded where the time is short, are then of all."""
    return _taken(pairs, numpy.random.default_rng(seed).permutation(len(pairs)))


def _of(pairs: Pairs, mask: numpy.ndarray) -> Pairs:
    return _taken(pairs, numpy.flatnonzero(mask))


def _taken(pairs: Pairs, rows: numpy.ndarray) -> Pairs:
    return dataclasses.replace(
        pairs, sources=[pairs.sources[row] for row in rows], targets=[pairs.targets[row] for row in rows]
    )


def sources_in_common(known: Pairs, other: Pairs, name: str, known_as: str = "training") -> Iterator[Finding]:
    """Yield that the training pairs, or those of another part, hold sources of a part that a user has named, or
    near-copies of them."""
    found = near_copies(known.sources, other.sources)
    if len(found.rows):
        texts = [other.sources[row] for row in found.rows[:3]]
        yield Finding(
            "leaks",
            f"{part_of(len(found.rows), len(other))} sources of the {name} pairs are in the {known_as} pairs as well, "
            "or nearly; what is measured on them is better than what the model will do. They stay where they are.",
            len(found.rows),
            shown(texts),
            is_warning=len(found.rows) >= _NOTABLE * len(other),
        )


def write_parts(parts: Parts, folder: Path) -> dict[str, Path]:
    """Write each part as a file of rows; return the files by the names of the parts."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / f"{name}.jsonl" for name in PARTS}
    for name, path in files.items():
        part: Pairs = getattr(parts, name)
        with written(path) as file:
            for source, target in zip(part.sources, part.targets, strict=True):
                file.write(json.dumps({"source": source, "target": target}, ensure_ascii=False) + "\n")
    return files


def identity(
    paths: Mapping[str, Sequence[str] | None], before: Mapping[str, Sequence[Sequence[Any]]] | None = None
) -> dict[str, list[list[Any]]]:
    """Return what tells the files of each part from others: name, size, time of change, and what is in them.

    Args:
        before: what this has returned; of a file that is the same as then, its facts are those of then. It is where the
            same is in it, whatever its name and time are by now, as after a copy to another machine; and where it is
            gone, for its pairs were read then.
    """
    found: dict[str, list[list[Any]]] = {}
    for part, files in paths.items():
        known = list((before or {}).get(part, ()))
        for place, file in enumerate(files or ()):
            facts = list(known[place]) if place < len(known) else []
            found.setdefault(part, []).append(_facts_of(str(file), facts))
    return found


def _facts_of(file: str, before: list[Any]) -> list[Any]:
    path = Path(file)
    if not path.exists():
        return before if before[:1] == [file] else [file]
    status = path.stat()
    facts = [file, status.st_size, status.st_mtime_ns]
    if before[:3] == facts:
        return before
    if path.is_file() and status.st_size < LARGE_BYTES:  # larger ones take too long to read once more
        content = fingerprint(path)["sha256"]
        if before[3:] == [content]:
            return before
        facts.append(content)
    return facts
