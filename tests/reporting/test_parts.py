"""Slices, alarms, differences, and which outputs are shown."""

import difflib
from collections.abc import Sequence

import numpy
import pytest

from seq2seq.reporting.alarms import output_alarms
from seq2seq.reporting.examples import chosen_rows, differences, ranking_metric
from seq2seq.reporting.given import TrainingPairs, contents, even_rows, tags_in_front
from seq2seq.reporting.scores import Judge
from seq2seq.reporting.slices import parts_of_pairs, scored_slices, worst_slice
from seq2seq.reporting.task import Kind
from tests.reporting.runs import task


def rows_of(
    sources: list[str], references: list[list[str]], kind: Kind = "sentences", training: Sequence[str] = ()
) -> dict:
    known = TrainingPairs(tuple(training), ("x",) * len(training), len(training)) if training else None
    found = parts_of_pairs(sources, references, task(kind), known)
    return {(group, label): rows.tolist() for group, label, _, rows in found}


def test_quarters_of_length_keep_equal_lengths_together() -> None:
    sources = ["a b c"] * 5 + ["a b c d"] * 2 + ["a b c d e f"] * 3
    found = rows_of(sources, [["x"]] * 10)
    lengths = {label: rows for (group, label), rows in found.items() if group == "length of the source"}
    assert lengths == {"3 words": [0, 1, 2, 3, 4], "4 to 6 words": [5, 6, 7, 8, 9]}


def test_rare_and_unseen_words() -> None:
    training = ["the old house"] * 5 + ["the old zebra"]
    found = rows_of(["the old house", "the old zebra", "the new house"], [["x"]] * 3, training=training)
    assert found["rare and unseen words", "all well known"] == [0]
    assert found["rare and unseen words", "some rare"] == [1]
    assert found["rare and unseen words", "some unseen"] == [2]
    assert found["seen in training", "yes"] == [0, 1]


def test_single_words_are_looked_at_in_runs_of_letters() -> None:
    found = rows_of(["abab", "zzz"], [["x"]] * 2, kind="words", training=["abab"] * 5)
    assert found["rare and unseen runs of three letters", "some unseen"] == [1]


def test_tags_numbers_copies_and_corrections() -> None:
    sources = ["<de> 12 men walk", "<fr> Anna sleeps well"]
    found = rows_of(sources, [["zwölf"], ["Anna dort bien"]])
    assert found["tag", "<de>"] == [0]
    assert found["numbers", "with digits"] == [0]
    assert found["copied words", "some"] == [1]
    found = rows_of(["right", "wrnog"], [["right"], ["wrong"]], kind="corrections")
    assert found["to be changed", "no"] == [0]


def test_tags_are_no_part_of_a_source_but_one_that_a_few_begin_with_is() -> None:
    assert contents(["<de> a", ">>fr<< b", "[x] c"]) == ["a", "b", "c"]
    assert contents(["<b> a", "b", "c"]) == ["<b> a", "b", "c"]


def test_of_several_tags_in_front_each_is_one() -> None:
    sources = ["<en> <de> a", "<en><fr> b", ">>de<< [fr] c"] * 4
    assert contents(sources) == ["a", "b", "c"] * 4
    assert tags_in_front(sources) == ["<en> <de>", "<en><fr>", ">>de<< [fr]"] * 4
    assert contents(["<de> [x] a", "<de> b", "<de> c"]) == ["[x] a", "b", "c"]
    assert tags_in_front(["<de> [x] a", "<de> b", "c"]) == ["", "", ""]


def test_parts_by_training_say_where_only_some_of_it_was_looked_at() -> None:
    known = TrainingPairs(("the old house",), ("x",), 2)
    found = parts_of_pairs(["the old house", "the new house"], [["x"]] * 2, task(), known)
    said = [description for group, _, description, _ in found if "training" in description]
    assert len(said) == 5
    assert all("the part of training that was looked at (1 pairs)" in description for description in said)


def test_the_worst_part_is_found_and_small_ones_are_not_judged() -> None:
    sources = ["a b c"] * 100 + ["a b c d e f"] * 100 + ["a b c 7"] * 5
    outputs = ["right"] * 100 + ["wrong"] * 105
    judge = Judge(["exact_match"], [["right"]] * 205, seed=1)
    found = scored_slices(judge, outputs, sources, task("words", ("exact_match",)), None)
    worst = worst_slice(found)
    assert worst is not None
    assert worst.label == "6 words"
    [small] = [own for own in found if own.label == "with digits"]
    assert (small.num_pairs, small.is_too_small, small.is_worse) == (5, True, False)
    assert [own.label for own in found if own.is_better] == ["3 words"]


def test_where_hardly_any_output_is_right_parts_are_told_apart_by_the_second_metric() -> None:
    what = task("words", ("exact_match", "character_error_rate"))
    judge = Judge(what.metrics, [["right"]] * 200, seed=1)
    found = scored_slices(judge, ["rigth"] * 100 + ["x"] * 100, ["a b c"] * 100 + ["a b c d"] * 100, what, None)
    assert {part.score.metric for part in found} == {"character_error_rate"}
    assert [part.label for part in found if part.is_worse] == ["4 words"]


@pytest.mark.parametrize(
    ("kind", "source", "reference", "output"),
    [
        ("empty", "a house", "ein Haus", " "),
        ("repetition", "a house", "ein Haus", "ein Haus " * 8),
        ("too_long", "a house", "ein Haus", "ein ganz anderes sehr großes Haus"),
        ("too_short", "a house", "ein ganz anderes sehr großes Haus", "ein"),
        ("copied", "a house", "ein Haus", "a house"),
        ("numbers", "12 houses", "12 Häuser", "21 Häuser"),
        ("overcorrected", "a house", "a house", "an house"),
        ("missed", "an house", "a house", "an house"),
    ],
)
def test_alarms(kind: str, source: str, reference: str, output: str) -> None:
    what = task("corrections") if kind in ("overcorrected", "missed") else task()
    found = output_alarms([source, "b"], [[reference], ["B"]], [output, "B"], what)
    assert kind in [alarm.kind for alarm in found]
    assert output_alarms([source], [[reference]], [reference], what) == ()
    assert not found[0].is_serious, "a single one is not many"


def test_a_failed_search_is_no_empty_output() -> None:
    [found] = output_alarms(["a"], [["b"]], [""], task(), failed=[0])
    assert (found.kind, found.count, found.total) == ("failed", 1, 1)


def test_differences_put_together_are_the_texts() -> None:
    said, wanted = differences("ein  alter Mann", "ein Mann geht", "word")
    assert "".join(piece.text for piece in said) == "ein  alter Mann"
    assert "".join(piece.text for piece in wanted) == "ein Mann geht"
    assert [piece.text for piece in wanted if not piece.is_common and piece.text.strip()] == [" geht"]
    said, wanted = differences("abc", "abd", "character")
    assert [(piece.text, piece.is_common) for piece in said] == [("ab", True), ("c", False)]


@pytest.mark.parametrize(
    ("output", "reference", "unit", "compared"),
    [
        ("ab", "ac", "character", [2, 2]),
        ("a " * 300, "a b " * 150, "character", None),
        ("ab " * 200, "ab a " * 100, "character", [400, 400]),
        ("a " * 1000, "the a b c " * 200, "word", None),
        ("a" * 2000, "ab" * 1000, "character", [1, 1]),
    ],
)
def test_no_text_is_too_much_to_compare(
    output: str, reference: str, unit: str, compared: list[int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    class Counting(difflib.SequenceMatcher):
        def __init__(self, junk: None, first: list[str], second: list[str], **options: bool) -> None:
            sizes.extend([len(first), len(second)])
            super().__init__(junk, first, second, **options)

    monkeypatch.setattr(difflib, "SequenceMatcher", Counting)
    said, wanted = differences(output, reference, unit)
    assert sizes == (compared or [1, 1])
    assert "".join(piece.text for piece in said) == output
    assert "".join(piece.text for piece in wanted) == reference


def test_equal_texts_that_are_too_long_to_compare_do_not_differ() -> None:
    said, wanted = differences("a " * 1000, "a " * 1000, "word")
    assert [piece.is_common for piece in (*said, *wanted)] == [True, True]


def test_rows_to_show_are_shown_once() -> None:
    found = chosen_rows(numpy.arange(101.0), higher_is_better=True, seed=1)
    rows = [row for _, row in found]
    assert len(set(rows)) == len(rows)
    assert [row for group, row in found if group == "worst"] == list(range(8))
    assert 50 in [row for group, row in found if group == "median"]
    assert all(row >= 75 for group, row in found if group == "best")
    assert chosen_rows(numpy.arange(101.0), higher_is_better=False, seed=1)[0] == ("worst", 100)
    assert chosen_rows(numpy.zeros(1), higher_is_better=True, seed=1) == [("worst", 0)]
    assert ranking_metric(["exact_match", "character_error_rate"]) == "character_error_rate"


def test_even_rows() -> None:
    assert even_rows(3, 10).tolist() == [0, 1, 2]
    assert even_rows(100, 3).tolist() == [0, 49, 99]
