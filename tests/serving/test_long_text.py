"""Pieces put together are the text; sentences and lines are pieces, and none is longer than a search can hold."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.serving.long_text import joined_pieces, pieces_of

pytest.importorskip("sentencex", reason="sentencex is of the extra `serve`")

TEXTS = st.text(st.sampled_from("ab.,;!? \n\t\u3002\u00a0\u2028é😀"), max_size=60)


def short(text: str) -> bool:
    return len(text) <= 5


@given(TEXTS, st.booleans())
def test_pieces_are_the_text(text: str, sentences: bool) -> None:
    pieces = pieces_of(text, short, sentences=sentences)
    assert joined_pieces(pieces, [piece.text for piece in pieces]) == text
    assert all(piece.text == piece.text.strip() for piece in pieces)
    if sentences:
        assert all(short(piece.text) for piece in pieces)
        assert not any("\n" in piece.text for piece in pieces)
    else:
        assert len(pieces) == 1


def test_sentences_and_lines_are_pieces() -> None:
    pieces = pieces_of("Dr. Smith came.  He left!\n- item\n\n\tEnd", lambda text: True, "en", sentences=True)
    assert [piece.text for piece in pieces if piece.text] == ["Dr. Smith came.", "He left!", "- item", "End"]
    assert not any(piece.is_cut for piece in pieces)
    assert (
        joined_pieces(pieces, [piece.text.upper() for piece in pieces]) == "DR. SMITH CAME.  HE LEFT!\n- ITEM\n\n\tEND"
    )


@pytest.mark.parametrize("language", [None, "de", "deu_Latn", "zh", "xx", "DE", "", "12"])
def test_any_language_has_rules(language: str | None) -> None:
    pieces = pieces_of("Eins. Zwei.", lambda text: True, language, sentences=True)
    assert [piece.text for piece in pieces] == ["Eins.", "Zwei."]


def test_a_long_sentence_is_cut_between_clauses_or_words_or_anywhere() -> None:
    def cut(text: str, longest: int) -> list[str]:
        pieces = pieces_of(text, lambda part: len(part) <= longest, sentences=True)
        assert all(piece.is_cut for piece in pieces)
        return [piece.text for piece in pieces]

    assert cut("one two three, four five six, seven", 20) == ["one two three,", "four five six, seven"]
    assert cut("one two three four", 10) == ["one two", "three four"]
    assert cut("abcdefgh", 3) == ["ab", "cd", "ef", "gh"]


def test_what_fits_nowhere_is_a_piece_of_a_character() -> None:
    pieces = pieces_of("abc", lambda text: False, sentences=True)
    assert [piece.text for piece in pieces] == list("abc")
    assert re.sub(r"\s", "", joined_pieces(pieces, ["x"] * 3)) == "xxx"
