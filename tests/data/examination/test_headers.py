from pathlib import Path

import pytest

from seq2seq.data.examination.headers import headers, looks_like_names
from tests.data.examination.made import examined_of, translations


@pytest.mark.parametrize(
    "names",
    [
        ("source", "target"), ("SRC", "Tgt "), ("English", "German"), ("de", "en"), ("en-US", "de_DE"),
        ("source_sentence", "target sentence"), ("text (en)", "text (de)"), ("Deutsch", "Français"),
        ("input", "output"),
        ("translation.en", "translation.de"), ("eng", "deu"), ("word", "pronunciation"), ("abstract", "title"),
        ('"source"', '"target"'), ("Sentence 1", "Sentence 2"), ("document", "summary"),
    ],
)  # fmt: skip
def test_names_of_columns(names: tuple[str, str]) -> None:
    assert looks_like_names(*names)


@pytest.mark.parametrize(
    "texts",
    [
        ("a man", "ein Mann"), ("source", "Quelle"), ("no", "nein"), ("text", "text"), ("1", "2"), ("", "target"),
        ("The source of the river", "Die Quelle des Flusses"), ("jump twice", "I_JUMP I_JUMP"), ("a", "b"), ("?", "!"),
    ],
)  # fmt: skip
def test_texts_are_no_names(texts: tuple[str, str]) -> None:
    assert not looks_like_names(*texts)


def test_a_header_before_and_among_pairs(tmp_path: Path) -> None:
    pairs, name = translations(30), ("source", "target")
    spoiled, good = examined_of([name, *pairs, name, name], [*pairs, name], tmp_path)
    assert not list(headers(good)), "one in the middle may be a pair"
    [found] = headers(spoiled)
    assert found.count == 3
    assert "The first training pair reads like the names of columns (“source”, “target”), as 2 further rows do" in (
        found.sentence
    )
    assert "`data.train.header: true`" in found.sentence


def test_a_prefix_of_sources_hides_no_header(tmp_path: Path) -> None:
    spoiled, _ = examined_of([("say it: source", "target")], translations(1), tmp_path, prefixes=["say it: "])
    assert len(list(headers(spoiled))) == 1


def test_each_of_several_corpora_may_begin_with_a_header(tmp_path: Path) -> None:
    pairs, name = translations(12), ("source", "target")
    firsts = {"data.train.0": 0, "data.train.1": 5, "data.train.2": 9, "data.train.3": 99}
    spoiled, _ = examined_of([*pairs[:5], name, *pairs[5:]], pairs, tmp_path, firsts=firsts)
    [found] = headers(spoiled)
    assert "set `data.train.1.header: true`" in found.sentence
