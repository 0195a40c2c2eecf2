import gzip
import json
from pathlib import Path

import pytest

from seq2seq.data.corpus_options import CorpusOptions
from seq2seq.fitting import pairs as module
from seq2seq.fitting.pairs import Pairs, cut, given_corpus, identity, sources_in_common, write_parts

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


def table(folder: Path, number: int, name: str = "pairs.tsv") -> Path:
    path = folder / name
    path.write_text("".join(f"aqua {row}\tvinum {row}\n" for row in range(number)))
    return path


def made(sources: list[str]) -> Pairs:
    return Pairs(sources, sources, CorpusOptions(path="x.tsv"))


def test_a_table_and_two_files_are_the_same_pairs(tmp_path: Path) -> None:
    found = given_corpus([str(table(tmp_path, 50))], 1)
    for column, side in enumerate(("source", "target")):
        texts = [line.split("\t")[column] for line in (tmp_path / "pairs.tsv").read_text().splitlines()]
        (tmp_path / f"a.{side}").write_text("".join(f"{text}\n" for text in texts))
    both = given_corpus([str(tmp_path / "a.source"), str(tmp_path / "a.target")], 1)
    assert (found.sources, found.targets) == (both.sources, both.targets)
    assert len(found) == found.num_read == 50


def test_a_test_part_is_read_by_the_columns_of_the_training_pairs(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("id,german,english\n" + "".join(f"{n},ein {n}.,a {n}.\n" for n in range(50)))
    (tmp_path / "test.csv").write_text("id,german,english\n7,ein Haus.,a house.\n")
    train = given_corpus([str(tmp_path / "train.csv")], 1)
    test = given_corpus([str(tmp_path / "test.csv")], 1, like=train.corpus)
    assert {train.sources[0], train.targets[0]} == {"ein 0.", "a 0."}
    assert (test.sources, test.targets) in [(["ein Haus."], ["a house."]), (["a house."], ["ein Haus."])]
    assert (train.sources[0] == "ein 0.") == (test.sources[0] == "ein Haus.")


@pytest.mark.parametrize("is_large", [False, True])
def test_of_many_pairs_some_are_drawn_from_all_of_the_file(
    is_large: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_PAIRS", 100)
    monkeypatch.setattr(module, "LARGE_BYTES", 10 if is_large else 1 << 30)
    path = table(tmp_path, 2000)
    found = given_corpus([str(path)], 1)
    rows = sorted(int(source.split()[1]) for source in found.sources)
    assert len(set(rows)) == 100
    assert rows[0] < 200
    assert rows[-1] >= 1800
    assert [source.split()[1] for source in found.sources] == [target.split()[1] for target in found.targets]
    assert given_corpus([str(path)], 1).sources == found.sources, "by the seed"
    assert found.num_read == 2000


def test_no_more_of_a_large_file_is_read_than_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGE_BYTES", 10)
    monkeypatch.setattr(module, "READ_PAIRS", 30)
    assert given_corpus([str(table(tmp_path, 200))], 1).num_read == 30


def test_parts_share_no_source() -> None:
    sources = [f"{WORDS[n % 12]} {WORDS[n // 12 % 12]} {WORDS[n // 144 % 12]}" for n in range(1500)] * 2
    parts = cut(made(sources), None, None, seed=1)
    train, validation, test = (set(part.sources) for part in (parts.train, parts.validation, parts.test))
    assert not train & validation
    assert not train & test
    assert not validation & test
    assert sum(parts.sizes().values()) == len(sources)


def test_the_first_pairs_of_a_held_out_part_are_of_all_of_a_sorted_file() -> None:
    pairs = made([f"{'ab'[n // 500]} text {n}" for n in range(1000)])
    for parts in (cut(pairs, None, None, seed=1), cut(pairs, pairs, pairs, seed=1)):
        for part in (parts.validation, parts.test):
            assert {source[0] for source in part.sources[:20]} == {"a", "b"}
            assert part.sources == part.targets, "pair by pair"


def test_parts_that_are_given_stay_as_they_are() -> None:
    pairs, given = made([f"text {n}" for n in range(1000)]), made(["another"])
    assert cut(pairs, given, given, seed=1).train is pairs
    parts = cut(pairs, None, given, seed=1)
    assert parts.test == given
    assert len(parts.train) + len(parts.validation) == 1000


@pytest.mark.parametrize("number", [1, 2])
def test_too_few_pairs_to_cut(number: int) -> None:
    with pytest.raises(ValueError, match=f"There (is|are) {number} pairs?, too few"):
        cut(made(["a", "b"][:number]), None, None, seed=1)


def test_sources_of_a_given_part_that_training_has_are_said() -> None:
    train = made([f"a sentence of some words, number {n}" for n in range(100)])
    [finding] = sources_in_common(train, made(["A sentence of some words, number 7!", "something else"]), "test")
    assert finding.is_warning
    assert finding.count == 1
    assert "1 of 2" in finding.sentence
    assert list(sources_in_common(train, made(["something else"]), "test")) == []


def test_parts_are_written_as_rows_that_any_run_reads(tmp_path: Path) -> None:
    parts = cut(made([f'“{n}”\t"quoted" \\ and é' for n in range(300)]), None, None, seed=1)
    files = write_parts(parts, tmp_path / "data")
    for name, path in files.items():
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        part = getattr(parts, name)
        assert [row["source"] for row in rows] == part.sources
        again = given_corpus([str(path)], 1)
        assert (again.sources, again.targets) == (part.sources, part.targets)


def test_a_compressed_table(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv.gz"
    path.write_bytes(gzip.compress(table(tmp_path, 20).read_bytes()))
    assert len(given_corpus([str(path)], 1)) == 20


def test_identity_knows_a_file_that_has_changed(tmp_path: Path) -> None:
    path = table(tmp_path, 20)
    before = identity({"pairs": [str(path)], "test": None})
    assert before == identity({"pairs": [str(path)], "test": None})
    table(tmp_path, 21)
    assert before != identity({"pairs": [str(path)], "test": None})
