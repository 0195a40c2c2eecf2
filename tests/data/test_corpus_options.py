"""Options of corpora: what a set of pairs that says little takes from the one for training."""

from dataclasses import replace
from typing import Any

import pytest

from seq2seq.data.corpus_options import CorpusOptions, MixedCorpusOptions, PartialCorpusOptions, labels_of

REVERSED: dict[str, Any] = {"source_column": "1", "target_column": "0", "source_prefix": "say: ", "tag_column": "2"}


def test_what_is_not_said_is_as_in_training() -> None:
    train = CorpusOptions(path="train.txt", format="tsv", header=True, **REVERSED)
    found = PartialCorpusOptions(path="dev.txt").completed(train)
    assert found == CorpusOptions(path="dev.txt", format="tsv", header=True, **REVERSED)


def test_what_is_said_counts() -> None:
    train = CorpusOptions(path="train.tsv", header=True, **REVERSED)
    own: dict[str, Any] = {"source_column": "0", "target_column": "1", "header": False, "format": "tsv"}
    none = {"source_prefix": "", "tag_column": ""}
    found = PartialCorpusOptions(path="dev.tsv", **own, **none).completed(train)
    assert found == CorpusOptions(path="dev.tsv", **own)
    assert CorpusOptions(path="dev.csv").completed(train) == CorpusOptions(path="dev.csv")


def test_languages_are_of_all_rows_or_of_each() -> None:
    train = CorpusOptions(path="a.jsonl", source_language="en", target_language_column="language")
    assert (train.kept, train.columns) == (
        ("source", "target", "target_language"),
        ["source", "target", "language"],
    )
    assert PartialCorpusOptions(path="b.jsonl").completed(train) == replace(train, path="b.jsonl")
    german = PartialCorpusOptions(path="b.jsonl", target_language="de").completed(train)
    assert (german.target_language, german.target_language_column) == ("de", None)
    none = PartialCorpusOptions(path="b.jsonl", target_language_column="").completed(train)
    assert (none.languages, none.kept) == (("en", None), ("source", "target"))
    assert PartialCorpusOptions("a", "b").completed(train).languages == ("en", None)
    with pytest.raises(ValueError, match="`target_language` is of all rows and `target_language_column` of each"):
        CorpusOptions(path="a.jsonl", target_language="de", target_language_column="language")
    with pytest.raises(ValueError, match="`source_language_column` needs a table"):
        CorpusOptions("a", "b", source_language_column="2")
    with pytest.raises(ValueError, match="`source_language_column` is for corpora that are held"):
        CorpusOptions(path="a.jsonl", source_language_column="language", streaming=True)


@pytest.mark.parametrize(
    ("path", "expected"),
    [("dev.tsv.gz", "csv"), ("dev.TSV", "csv"), ("dev.jsonl", "auto"), ("somebody/pairs", "auto")],
)
def test_a_format_is_that_of_files_with_the_same_ending(path: str, expected: str) -> None:
    train = CorpusOptions(path="train.tsv", format="csv")
    assert PartialCorpusOptions(path=path).completed(train).format == expected


def test_a_subset_belongs_to_its_data_set() -> None:
    train = CorpusOptions(path="somebody/pairs", name="de-en")
    assert PartialCorpusOptions(path="somebody/pairs", split="validation").completed(train).name == "de-en"
    assert PartialCorpusOptions(path="another/pairs").completed(train).name is None


def test_files_of_lines_take_the_prefix_alone() -> None:
    train = CorpusOptions(path="train.tsv", header=True, **REVERSED)
    found = PartialCorpusOptions("dev.source", "dev.target").completed(train)
    assert found == CorpusOptions("dev.source", "dev.target", source_prefix="say: ")
    with pytest.raises(ValueError, match="`source_column` belongs to a table"):
        PartialCorpusOptions("dev.source", "dev.target", source_column="0")


@pytest.mark.parametrize(
    ("corpus", "expected"),
    [
        (CorpusOptions("a.en", "a.de"), "a.en → a.de"),
        (CorpusOptions(path="a.tsv.gz"), "a.tsv.gz, column 0 → column 1"),
        (CorpusOptions(path="a.txt", format="tsv", source_column="1", target_column="0"), "a.txt, column 1 → column 0"),
        (CorpusOptions(path="a.csv", header=True), "a.csv, column source → column target"),
        (
            CorpusOptions(path="a.jsonl", tag_column="tag", source_prefix="de: "),
            "a.jsonl, column source → column target, tagged by column tag, behind “de: ”",
        ),
    ],
)
def test_a_corpus_says_where_its_sides_come_from(corpus: CorpusOptions, expected: str) -> None:
    assert corpus.described() == expected


# ---- lists of corpora ------------------------------------------------------------------------------------------------


def of_file(path: str, **options: Any) -> MixedCorpusOptions:
    return MixedCorpusOptions(path=path, **options)


@pytest.mark.parametrize(
    ("corpora", "labels"),
    [
        ((of_file("x/de.tsv"), of_file("x/fr.tsv.gz")), ("de", "fr")),
        ((MixedCorpusOptions("train.en", "train.de"), of_file("wmt/wmt19", name="de-en")), ("train.en", "wmt19-de-en")),
        ((of_file("de/train.tsv"), of_file("fr/train.tsv"), of_file("it.tsv")), ("train-0", "train-1", "it")),
        ((of_file("de/train.tsv", label="de"), of_file("fr/train.tsv")), ("de", "train")),
    ],
)
def test_corpora_have_the_names_of_their_files(corpora: Any, labels: tuple[str, ...]) -> None:
    assert labels_of(corpora) == labels


def test_a_weight_is_positive() -> None:
    with pytest.raises(ValueError, match="`weight` must be above 0, but is 0"):
        of_file("a.tsv", weight=0)
