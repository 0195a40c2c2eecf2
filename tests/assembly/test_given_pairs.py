"""Pairs in memory: every shape of the same pairs is the same file, and what holds none is named with its row."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy
import pytest

from seq2seq.assembly.given_pairs import is_named, write_pairs

PAIRS = [("a b", "c"), ("", "d\u2028e"), ("f\tg", "h\ni")]
SOURCES, TARGETS = [source for source, _ in PAIRS], [target for _, target in PAIRS]
RECORDS = [{"source": source, "target": target, "number": 1} for source, target in PAIRS]


class Frame:
    """As much of a data frame as is looked at."""

    def __init__(self, table: dict[Any, Any]) -> None:
        self.table = table
        self.columns = list(table)

    def __len__(self) -> int:
        return len(next(iter(self.table.values())))

    def __getitem__(self, column: Any) -> Any:
        return self.table[column]


def generated() -> Iterator[tuple[str, str]]:
    yield from PAIRS


@pytest.mark.parametrize(
    "given",
    [
        PAIRS,
        tuple(PAIRS),
        [list(pair) for pair in PAIRS],
        numpy.array(PAIRS),
        generated(),
        zip(SOURCES, TARGETS, strict=True),
        (SOURCES, TARGETS),
        (tuple(SOURCES), tuple(TARGETS)),
        {"target": TARGETS, "source": SOURCES},
        RECORDS,
        Frame({"source": SOURCES, "target": TARGETS, 7: SOURCES}),
        datasets.Dataset.from_list(RECORDS),
        datasets.Dataset.from_list(RECORDS).to_iterable_dataset(),
    ],
    ids=lambda given: type(given).__name__,
)
def test_each_shape_of_the_same_pairs_is_the_same_file(given: Any, tmp_path: Path) -> None:
    expected, _ = write_pairs(PAIRS, tmp_path / "expected", "train", ["source", "target"])
    path, number = write_pairs(given, tmp_path / "pairs", "train", ["source", "target"])
    assert (path.name, path.read_bytes(), number) == (expected.name, expected.read_bytes(), 3)
    lines = path.read_bytes().decode().split("\n")
    assert [json.loads(line) for line in lines[:-1]] == [{"source": s, "target": t} for s, t in PAIRS]


def test_a_data_frame_of_pandas_is_taken(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is no dependency")
    frame = pandas.DataFrame({"en": SOURCES, "de": TARGETS}, index=[5, 6, 7])
    path, _ = write_pairs(frame, tmp_path, "train", ["en", "de"])
    assert path == write_pairs({"en": SOURCES, "de": TARGETS}, tmp_path, "train", ["en", "de"])[0]
    frame.loc[6, "de"] = None
    with pytest.raises(ValueError, match=r"^`train`, row 1: 'de' is nan, which is not text\.$"):
        write_pairs(frame, tmp_path, "train", ["en", "de"])


def test_columns_may_be_nested_and_sources_may_have_a_tag(tmp_path: Path) -> None:
    data = datasets.Dataset.from_list([{"translation": {"en": "a", "de": "b"}, "to": "de"}])
    path, _ = write_pairs(data, tmp_path, "train", ["translation.en", "translation.de", "to"])
    assert json.loads(path.read_text()) == {"translation.en": "a", "translation.de": "b", "to": "de"}


def test_other_pairs_are_another_file_and_a_file_is_written_once(tmp_path: Path) -> None:
    first, _ = write_pairs(PAIRS, tmp_path, "train", ["source", "target"])
    before = first.stat().st_mtime_ns
    other, _ = write_pairs(PAIRS[:2], tmp_path, "train", ["source", "target"])
    again, _ = write_pairs(PAIRS, tmp_path, "train", ["source", "target"])
    assert again == first != other
    assert first.stat().st_mtime_ns == before


def test_what_is_a_place_and_what_holds_pairs() -> None:
    places = ["a.tsv", Path("a.tsv"), ("a.en", "a.de"), (Path("a.en"), "a.de")]
    assert all(map(is_named, places))
    assert not any(map(is_named, [PAIRS, (SOURCES, TARGETS), ["a.en", "a.de"], {}, None]))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "`train` holds no pairs"),
        (([], []), "`train` holds no pairs"),
        ([("a", "b"), ("a",)], r"`train`, row 1: expected a pair \(source, target\), but found \('a',\)"),
        (["a b", "cd"], "`train`, row 0: expected a pair .* but found 'a b'"),
        ([("a", "b"), None], "`train`, row 1: expected a pair .* but found None"),
        ([("a", 7)], "`train`, row 0: 'target' is 7, which is not text"),
        ([("a", "\ud800")], "`train`, row 0: half a surrogate pair"),
        ((SOURCES, TARGETS[:2]), "`train`: columns go together .* 'source' has 3, 'target' has 2"),
        ({"en": SOURCES, "target": TARGETS}, "there is no column 'source'; .* `data.train.source_column`"),
        (Frame({"source": SOURCES, "targets": TARGETS}), "no column 'target'; .* Did you mean 'targets'"),
        (datasets.Dataset.from_list([{"en": "a", "de": "b"}]), "no column 'source'; the columns are 'en', 'de'"),
        ({"train": datasets.Dataset.from_list(RECORDS)}, r"`train` holds several data sets \(train\); give one"),
        ([{"source": "a"}], "`train`, row 0: there is no column 'target'"),
        ({"source": "abc", "target": "abc"}, "'source' is a single text; a column is a list"),
        (7, "`train` is 7; give a list of pairs"),
        (b"ab", "`train` is a single text"),
    ],
)
def test_what_holds_no_pairs_is_explained(given: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        write_pairs(given, tmp_path, "train", ["source", "target"])
    assert list(tmp_path.iterdir()) == []
