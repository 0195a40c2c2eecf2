"""Options of data: corpora that go together."""

from typing import Any

import pytest

from seq2seq.data.corpus_options import CorpusOptions, MixedCorpusOptions
from seq2seq.data.options import DataOptions
from tests.data.test_corpus_options import of_file


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


def test_a_prefix_that_all_corpora_have_is_that_of_all() -> None:
    one, other = (CorpusOptions(path="a.tsv", source_prefix=prefix) for prefix in ("x: ", ""))
    assert (DataOptions(one).source_prefix, DataOptions(other).source_prefix) == ("x: ", "")
    prefixed = [of_file(f"{name}.tsv", source_prefix="x: ") for name in "ab"]
    assert DataOptions(tuple(prefixed)).source_prefix == "x: "
    assert DataOptions((*prefixed, of_file("c.tsv", source_prefix="y: "))).source_prefix == ""
