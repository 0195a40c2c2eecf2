"""Options of corpora: what a set of pairs that says little takes from the one for training."""

from typing import Any

import pytest

from seq2seq.data.options import CorpusOptions, DataOptions, MixedCorpusOptions, PartialCorpusOptions, labels_of

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


@pytest.mark.parametrize(
    ("train", "options", "message"),
    [
        ((), {}, "`train` is a list without a corpus"),
        ((of_file("a.tsv"), MixedCorpusOptions()), {}, "`train.1` names no data: set its `path`"),
        ((of_file("a.tsv"), of_file("b.tsv", streaming=True)), {}, r"`train\.1` \(b\) is `streaming`, but of a list"),
        ((of_file("a.tsv", label="x"), of_file("b.tsv", label="x")), {}, "Two corpora are called 'x'"),
        ((of_file("b.tsv", label="a"), of_file("a.tsv")), {}, "Two corpora are called 'a'"),
        (CorpusOptions(path="a.tsv"), {"temperature": 5.0}, "`temperature` belongs to a list of corpora in `train`"),
        ((of_file("a.tsv"),), {"temperature": 0.0}, "`temperature` must be above 0"),
        ((of_file("a.tsv"),), {"pool_rows": 5}, "`pool_rows` belongs to `train.streaming: true`"),
    ],
)
def test_lists_that_cannot_be_mixed(train: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DataOptions(train, **options)


def test_a_weight_is_positive() -> None:
    with pytest.raises(ValueError, match="`weight` must be above 0, but is 0"):
        of_file("a.tsv", weight=0)


def test_a_prefix_that_all_corpora_have_is_that_of_all() -> None:
    one, other = (CorpusOptions(path="a.tsv", source_prefix=prefix) for prefix in ("x: ", ""))
    assert (DataOptions(one).source_prefix, DataOptions(other).source_prefix) == ("x: ", "")
    prefixed = [of_file(f"{name}.tsv", source_prefix="x: ") for name in "ab"]
    assert DataOptions(tuple(prefixed)).source_prefix == "x: "
    assert DataOptions((*prefixed, of_file("c.tsv", source_prefix="y: "))).source_prefix == ""
