"""Edit distance against its recursive definition; rates and exact match by hand and on published outputs."""

import random
import time
from collections.abc import Sequence
from functools import cache

import pytest

from seq2seq.metrics import make_metric
from seq2seq.metrics.edits import edit_distance
from tests.metrics.texts import total
from tests.shared_data import shared_data


def recursive_distance(first: Sequence[str], second: Sequence[str]) -> int:
    @cache
    def distance(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        substitution = distance(i - 1, j - 1) + (first[i - 1] != second[j - 1])
        return min(substitution, distance(i - 1, j) + 1, distance(i, j - 1) + 1)

    return distance(len(first), len(second))


@pytest.mark.parametrize("alphabet", ["ab", "abcdefg"])
def test_edit_distance_equals_its_definition(alphabet: str) -> None:
    chooser = random.Random(7)
    for _ in range(400):
        first, second = ("".join(chooser.choices(alphabet, k=chooser.randint(0, 19))) for _ in range(2))
        assert edit_distance(first, second) == recursive_distance(first, second)
        assert edit_distance(list(first), list(second)) == edit_distance(second, first)


def test_edit_distance_beyond_one_machine_word() -> None:
    chooser = random.Random(11)
    first, second = ("".join(chooser.choices("abc", k=length)) for length in (131, 173))
    assert edit_distance(first, second) == recursive_distance(first, second)


def test_ten_thousand_segments_take_seconds() -> None:
    chooser = random.Random(13)
    texts = [" ".join(chooser.choices("abcdefgh", k=30)) for _ in range(20_000)]
    start = time.perf_counter()
    make_metric("word_error_rate").statistics(texts[:10_000], [[text] for text in texts[10_000:]])
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize(
    ("name", "hypotheses", "references", "value", "details"),
    [
        ("word_error_rate", ["a x c", "d"], [["a b c d"], ["d"]], 40.0, "edits = 2 ref_len = 5"),
        ("phone_error_rate", ["tʃ aː t"], [["tʃ a t"]], 100 / 3, "edits = 1 ref_len = 3"),
        ("character_error_rate", ["kitten"], [["sitting"]], 300 / 7, "edits = 3 ref_len = 7"),
        ("character_error_rate", ["a b"], [["ab"]], 50.0, "edits = 1 ref_len = 2"),
        ("word_error_rate", ["a b c"], [["x y"], ["a b"], ["a b c d"]][1:2], 50.0, "edits = 1 ref_len = 2"),
        ("word_error_rate", ["a b c"], [["x y", "a b", "a b c d"]], 25.0, "edits = 1 ref_len = 4"),
        ("word_error_rate", ["a b"], [[""]], 100.0, "edits = 2 ref_len = 0"),
        ("word_error_rate", [""], [[""]], 0.0, "edits = 0 ref_len = 0"),
        ("word_error_rate", ["a b c d e f"], [["x"]], 600.0, "edits = 6 ref_len = 1"),
        ("exact_match", ["a", "b ", "c"], [["x", "a"], ["b"], ["c"]], 200 / 3, "2/3"),
        ("sequence_error_rate", ["a", "b ", "c"], [["x", "a"], ["b"], ["c"]], 100 / 3, "1/3"),
    ],
)
def test_worked_examples(name: str, hypotheses: list, references: list, value: float, details: str) -> None:
    metric = make_metric(name)
    score = metric.score(total(metric.statistics(hypotheses, references)))
    assert (score.value, score.details) == (pytest.approx(value), details)


@pytest.mark.parametrize("name", ["word_error_rate", "character_error_rate", "sequence_error_rate"])
def test_lower_case_is_an_option(name: str) -> None:
    exact, folded = make_metric(name), make_metric(name, lowercase=True)
    assert exact.score(total(exact.statistics(["Ab C"], [["aB c"]]))).value > 0
    assert folded.score(total(folded.statistics(["Ab C"], [["aB c"]]))).value == 0
    assert "case:lc" in folded.score(total(folded.statistics(["a"], [["a"]]))).signature


@pytest.mark.parametrize(("system", "num_correct"), [("vanilla", 2658), ("wu2021", 2648)])
def test_published_inflection_accuracy(system: str, num_correct: int) -> None:
    folder = shared_data("inflection_sigmorphon2021")

    def forms(name: str) -> list[str]:
        lines = (folder / name).read_text("utf-8").removesuffix("\n").split("\n")
        return [line.split("\t")[1] for line in lines]

    hypotheses = forms(f"baseline_outputs/ind.test.{system}.tsv")
    metric = make_metric("exact_match")
    score = metric.score(total(metric.statistics(hypotheses, [[form] for form in forms("ind.test.tsv")])))
    assert score.details == f"{num_correct}/3179"
    assert score.value == pytest.approx(100 * num_correct / 3179)
