"""Pieces and alarms of the page's engine are those of the server."""

import random

import pytest

from seq2seq.serving.alarms import alarms_of
from seq2seq.serving.long_text import pieces_of
from tests.export.javascript import evaluated
from tests.shared_data import shared_data

PIECES = """({piecesOf, joinedPieces}, {texts, longest, language}) => texts.map((text) => {
    const pieces = piecesOf(text, (part) => [...part].length <= longest, language);
    return {pieces, joined: joinedPieces(pieces, pieces.map((piece) => piece.text))};
})"""
LETTERS = "ab.,;!? \n\t\u3002\u00a0\u2028\x85\ufeffé😀"


def texts_of(language: str, texts: list[str]) -> list[list[str]]:
    found = evaluated("long_text.js", PIECES, {"texts": texts, "longest": 1000, "language": language})
    return [[piece["text"] for piece in one["pieces"] if piece["text"]] for one in found]


def test_pieces_are_the_text() -> None:
    drawn = random.Random(5)
    texts = ["".join(drawn.choices(LETTERS, k=drawn.randrange(60))) for _ in range(2000)]
    for text, found in zip(texts, evaluated("long_text.js", PIECES, {"texts": texts, "longest": 5}), strict=True):
        assert found["joined"] == text
        pieces = [piece["text"] for piece in found["pieces"]]
        assert all(piece == piece.strip() and len(piece) <= 5 and "\n" not in piece for piece in pieces)


def test_a_sentence_is_cut_where_the_server_cuts_it() -> None:
    drawn = random.Random(6)
    texts = ["".join(drawn.choices("abcdef, ;é-", k=drawn.randrange(1, 60))).strip() or "a" for _ in range(500)]
    for text, found in zip(texts, evaluated("long_text.js", PIECES, {"texts": texts, "longest": 7}), strict=True):
        expected = pieces_of(text, lambda part: len(part) <= 7, sentences=True)
        assert [(p["before"], p["text"], p["after"]) for p in found["pieces"]] == [
            (piece.before, piece.text, piece.after) for piece in expected
        ]
        assert [p["isCut"] for p in found["pieces"] if p["text"]] == [p.is_cut for p in expected if p.text]


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        ("en", ["Dr. Smith came.", "He left!", "Mr. J. R. Miller stayed, e.g. Monday.", "“No!” she said.", "Why?"]),
        ("de", ["Am 3. Mai kam Hr. Maier.", "Er ging, z. B. Montag.", "3 Kinder spielen.", "Prof. Kurz liest."]),
        ("fr", ["M. Dupont est là.", "Il dort."]),
        ("deu_Latn", ["Eins.", "Zwei."]),
        ("no language", ["Eins.", "Zwei."]),
        ("", ["ein mann geht .", "eine frau sitzt .", "drei kinder lachen !", "ende"]),
    ],
)
def test_sentences_are_pieces(language: str, sentences: list[str]) -> None:
    assert texts_of(language, [" ".join(sentences)]) == [sentences]


def test_lines_are_pieces_and_need_no_white_space_in_chinese() -> None:
    assert texts_of("en", ["One\n- item\n\n\tEnd"]) == [["One", "- item", "End"]]
    assert texts_of("zh", ["你好。我是。"]) == [["你好。", "我是。"]]


def test_a_browser_that_knows_no_sentences_has_lines() -> None:
    script = f"(module, values) => {{ delete Intl.Segmenter; return ({PIECES})(module, values); }}"
    [found] = evaluated("long_text.js", script, {"texts": ["One. Two.\nThree."], "longest": 99})
    assert [piece["text"] for piece in found["pieces"]] == ["One. Two.", "Three."]


@pytest.mark.parametrize("language", ["de", "en", "fr"])
def test_captions_in_a_row_are_cut_as_the_server_cuts_them(language: str) -> None:
    pytest.importorskip("sentencex", reason="sentencex is of the extra `serve`")
    captions = (shared_data("multi30k/raw") / f"train.{language}").read_text(encoding="utf-8").split("\n")[:2000]
    texts = [" ".join(captions[start : start + 4]) for start in range(0, len(captions), 4)]
    theirs = [[piece.text for piece in pieces_of(text, lambda _: True, language, sentences=True)] for text in texts]
    equal = sum(one == other for one, other in zip(texts_of(language, texts), theirs, strict=True))
    assert equal >= 0.98 * len(texts)


def test_alarms_are_those_of_the_server() -> None:
    drawn = random.Random(8)

    def ids(longest: int) -> list[int]:
        most = drawn.choice([1, 3, 50])
        return [drawn.randint(1, most) for _ in range(drawn.randrange(longest))]

    names = ("is_finished", "is_translation", "is_cut")
    cases = [(ids(30), ids(90), [drawn.random() < 0.5 for _ in names]) for _ in range(500)]
    script = """({alarmsOf}, cases) => cases.map(([source, target, [isFinished, isTranslation, isCut]]) =>
        alarmsOf(source, target, {isFinished, isTranslation, isCut}))"""
    found = evaluated("alarms.js", script, cases)
    for (source, target, flags), alarms in zip(cases, found, strict=True):
        expected = alarms_of(source, target, **dict(zip(names, flags, strict=True)))
        assert [(one["name"], one["message"]) for one in alarms] == [(one.name, one.message) for one in expected]
    assert {alarm["name"] for alarms in found for alarm in alarms} == {
        *("length_limit", "cut_within_sentence", "length_ratio", "repetition")
    }
