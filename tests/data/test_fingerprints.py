"""Corpora are known by their texts alone: not by place, chunks or format, and by every character of them."""

from pathlib import Path

import numpy
import pytest

from seq2seq.data import fingerprints
from seq2seq.data.corpus import Dataset, IterableDataset, read_corpus
from seq2seq.data.fingerprints import corpus_fingerprint

PAIRS = [("a b", "x"), ("", "yz"), ("ä", "b"), ("c", ""), ("d", "d"), ("e", "f"), ("g", "h")]


def corpus_of(pairs: list[tuple[str, str]]) -> Dataset:
    return Dataset.from_dict({"source": [a for a, _ in pairs], "target": [b for _, b in pairs]})


def read(path: Path, **options: object) -> Dataset | IterableDataset:
    return read_corpus(path=path, cache_directory=path.parent / "cache", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("block_rows", [3, 10_000])
def test_the_same_pairs_are_the_same_wherever_and_however_they_lie(
    tmp_path: Path, block_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprints, "_BLOCK_ROWS", block_rows)
    monkeypatch.setattr("seq2seq.data.corpus._WRITTEN_ROWS", 2)
    (tmp_path / "elsewhere").mkdir()
    paths = [tmp_path / "a.tsv", tmp_path / "elsewhere" / "b.tsv"]
    for path in paths:
        path.write_text("".join(f"{source}\t{target}\n" for source, target in PAIRS))
    for side in (0, 1):
        (tmp_path / str(side)).write_text("".join(f"{pair[side]}\n" for pair in PAIRS))
    files = read_corpus(source=tmp_path / "0", target=tmp_path / "1", cache_directory=tmp_path / "cache")
    more = corpus_of([*PAIRS, ("i", "j"), *PAIRS])
    tokenised = corpus_of(PAIRS).add_column("ids", [[1]] * len(PAIRS))
    chosen = more.select(numpy.arange(7)), more.select(numpy.array([0, 1, 2, 3, 4, 5, 14]))
    found = {corpus_fingerprint(corpus) for corpus in (*map(read, paths), files, corpus_of(PAIRS), tokenised, *chosen)}
    assert len(found) == 1
    assert found.pop().startswith("7 pairs ")


def test_other_pairs_are_others() -> None:
    others = [
        PAIRS[:-1],
        [*PAIRS, ("", "")],
        [("a", " bx"), *PAIRS[1:]],
        [("a b", "x"), ("y", "z"), *PAIRS[2:]],
        [PAIRS[1], PAIRS[0], *PAIRS[2:]],
        [(b, a) for a, b in PAIRS],
        [*PAIRS[:-1], ("g", "i")],
        [],
    ]
    assert len({corpus_fingerprint(corpus_of(pairs)) for pairs in [PAIRS, *others]}) == len(others) + 1


def test_a_stream_is_known_by_its_head_and_its_facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "STREAM_HEAD_ROWS", 3)

    def found(text: str, facts: dict[str, object]) -> str:
        (tmp_path / "a.tsv").write_text(text)
        return corpus_fingerprint(read(tmp_path / "a.tsv", streaming=True), facts)

    first = found("a\tb\nc\td\ne\tf\ng\th\n", {"bytes": [16]})
    assert first == found("a\tb\nc\td\ne\tf\nx\ty\n", {"bytes": [16]}), "what is not read cannot be known"
    assert first != found("a\tb\nc\td\nx\tf\ng\th\n", {"bytes": [16]})
    assert first != found("a\tb\nc\td\ne\tf\ng\th\n", {"bytes": [17]})
    (tmp_path / "b.tsv").write_text("a\tb\n")
    stream = read(tmp_path / "b.tsv", streaming=True)
    corpus_fingerprint(stream, {})
    assert list(stream) == [{"source": "a", "target": "b"}], "looking moves nothing"
