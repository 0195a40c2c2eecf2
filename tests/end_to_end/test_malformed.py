"""Malformed files, made by a generator, end no command in a traceback, lose no line and run no code.

`SEQ2SEQ_MALFORMED_CASES=5000` makes it that many; `python -m tests.end_to_end.malformed 5000 1` prints what it finds.
"""

import os
import sys
from collections.abc import Iterator
from typing import Any

import datasets
import pytest

from tests.end_to_end.malformed_bench import problem_of
from tests.end_to_end.random_running import Ended

malformed: Any = None
try:
    from tests.end_to_end import malformed
except ModuleNotFoundError as error:
    if error.name != "hypothesis":
        raise

NUM_CASES = int(os.environ.get("SEQ2SEQ_MALFORMED_CASES", "200"))
CHUNKS = 4

pytestmark = [
    pytest.mark.skipif(malformed is None, reason="malformed files are made by hypothesis: pip install hypothesis"),
    pytest.mark.skipif(sys.platform != "linux", reason="memory is limited by what Linux says of a process"),
]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", datasets.config.HF_DATASETS_CACHE)  # to be as before
        patch.setenv("HF_DATASETS_CACHE", "")
        malformed.without_waiting(patch.setattr)
        yield malformed.set_up(tmp_path_factory.mktemp("malformed"))


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.filterwarnings("default")
def test_malformed_files_end_in_one_line(chunk: int, bench: Any) -> None:
    found = malformed.cases(NUM_CASES // CHUNKS, chunk + 1, bench)
    wrong = [f"{case.problem}\n  {case.what}" for case in found if case.problem]
    assert not wrong, f"{len(wrong)} of {len(found)} cases:\n" + "\n".join(wrong)
    assert {case.ended.code for case in found} >= {0, 2}, "they are neither all right nor all wrong"


def test_every_kind_has_a_docstring_that_says_what_it_makes() -> None:
    assert all(kind.__doc__ for kind in malformed.KINDS)


@pytest.mark.parametrize(
    ("ended", "seconds", "expected"),
    [
        (Ended(0), 1, ""),
        (Ended(1, ["seq2seq decode: 1 line could not be decoded"]), 1, ""),
        (Ended(2, ["seq2seq decode: warning: odd", "seq2seq decode: error: folder/file is damaged"]), 1, ""),
        (Ended(2, ["seq2seq decode: error: it is damaged"]), 1, "nameless"),
        (Ended(2, ["seq2seq decode: error: folder", "and another line"]), 1, "not one line"),
        (Ended(2, ["a", "b"]), 1, "not one line"),
        (Ended(2, ["seq2seq decode: error: folder: there is not enough memory"]), 1, "memory"),
        (Ended(3), 1, "code 3"),
        (Ended(0), 11, "slow"),
        (Ended(None, escaped="KeyError: 'a'"), 1, "escaped"),
    ],
)
def test_what_is_wrong_with_an_end(ended: Ended, seconds: float, expected: str) -> None:
    assert problem_of(ended, seconds, "folder").partition(":")[0] == expected
