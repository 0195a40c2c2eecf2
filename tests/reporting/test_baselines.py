import pytest

from seq2seq.reporting.baselines import DESCRIPTIONS, WITHOUT_MODEL, beginning, outputs_without_model
from seq2seq.reporting.given import TrainingPairs

TRAINING = TrainingPairs(("rain in spring", "snow in winter", "more snow"), ("rain", "snow", "snow"), 3)


def test_sources_and_targets_of_training_stand_in() -> None:
    found = outputs_without_model(["<x> rain in may", "<x> snow"], ["a", "b"], TRAINING, is_summary=False)
    assert found == {
        "copy": ["rain in may", "snow"],
        "frequent": ["snow", "snow"],
        "nearest": ["rain", "snow"],
    }


def test_only_the_source_stands_in_where_training_is_not_known() -> None:
    assert outputs_without_model(["a b"], ["c"], None, is_summary=False) == {"copy": ["a b"]}


def test_of_summaries_as_many_words_as_targets_have_in_the_middle() -> None:
    targets = ["one", "one two", "one two three four"]
    found = outputs_without_model(["A b, c.", "(D) e f g"], targets, TRAINING, is_summary=True)
    assert found["beginning"] == ["A b", "(D) e"]
    assert list(found) == list(WITHOUT_MODEL)
    assert found.keys() <= DESCRIPTIONS.keys()


@pytest.mark.parametrize(
    ("text", "num_words", "expected"),
    [
        ("Rain, in the Valley. More", 4, "Rain, in the Valley"),
        ("雨が降る町。", 3, "雨が降"),
        ("हिन्दी में", 1, "हिन्दी"),
        ("a b", 9, "a b"),
        ("a b", 0, "a"),
        ("...", 2, "..."),
        ("", 2, ""),
    ],
)
def test_a_beginning_ends_with_a_word(text: str, num_words: int, expected: str) -> None:
    assert beginning(text, num_words) == expected
