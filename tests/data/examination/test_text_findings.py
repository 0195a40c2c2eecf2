"""Faults that are planted into pairs are found and named, in made languages and in real ones; nothing else is."""

import random
import re
from collections.abc import Callable
from functools import cache

import numpy
import pyarrow
import pytest

from seq2seq.data.examination import alignment
from seq2seq.data.examination.findings import Finding
from seq2seq.data.examination.overlap import near_overlap
from seq2seq.data.examination.raw_pairs import RawPairs
from seq2seq.data.examination.text_findings import text_findings
from tests.data.examination.made import Pairs
from tests.shared_data import shared_data

G2P = ("fre", "hin", "hun", "ice", "kor", "vie")


@cache
def words_of(seed: int, letters: str, number: int = 600) -> list[str]:
    """Return different words of a made language."""
    draw = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < number:
        syllables = draw.randrange(1, 4)
        found["".join(draw.choice(letters[:9]) + draw.choice(letters[9:]) for _ in range(syllables))] = None
    return list(found)


@cache
def translated(number: int = 2_000, target: int = 2) -> tuple[tuple[str, str], ...]:
    """Return pairs of made sentences, word for word."""
    draw = random.Random(0)
    languages = {1: words_of(1, "bdgklmnpräeiou"), 2: words_of(2, "fhjstvwzcöüaey"), 3: words_of(3, "qxhlrmnkpàâîôû")}
    rows = [[min(599, int(draw.paretovariate(0.8)) - 1) for _ in range(draw.randrange(7, 15))] for _ in range(number)]
    return tuple((" ".join(languages[1][n] for n in row), " ".join(languages[target][n] for n in row)) for row in rows)


@cache
def real(name: str) -> tuple[tuple[str, str], ...]:
    """Return pairs of Multi30k for two languages, otherwise those of a table."""
    if "-" in name:
        sides = [lines_of(f"multi30k/raw/train.{code}") for code in name.split("-")]
        return tuple(zip(*sides, strict=True))
    rows = [line.split("\t") for line in lines_of(name)]
    return tuple((row[0], row[1]) for row in rows)


def lines_of(name: str) -> list[str]:
    with shared_data(name).open(encoding="utf-8", newline="\n") as file:
        return [line.removesuffix("\n") for line in list(file)]


def found_in(pairs: Pairs) -> dict[str, Finding]:
    found = list(text_findings([pair[0] for pair in pairs], [pair[1] for pair in pairs], "given"))
    assert len({finding.kind for finding in found}) == len(found)
    assert all(finding.sentence.endswith((".", "?")) for finding in found)
    return {finding.kind: finding for finding in found}


def shifted(pairs: Pairs, first: int, shift: int) -> list[tuple[str, str]]:
    """Return pairs of which lines of targets are lost from a pair on (`shift` below 0), or are too many."""
    sources, targets = ([pair[side] for pair in pairs] for side in (0, 1))
    extra = [targets[number * 7 % len(targets)] for number in range(max(0, shift))]
    targets = targets[:first] + extra + targets[first + max(0, -shift) :]
    return list(zip(sources, targets, strict=False))


def turned(pairs: Pairs, rows: Callable[[int], bool]) -> list[tuple[str, str]]:
    return [(b, a) if rows(number) else (a, b) for number, (a, b) in enumerate(pairs)]


def misread(text: str) -> str:
    return text.encode().decode("cp1252", errors="ignore")


def test_ordinary_pairs() -> None:
    assert found_in(translated()) == {}


@pytest.mark.parametrize("shift", [-3, -1, 1, 3])
def test_lines_that_are_shifted_from_the_middle_on(shift: int) -> None:
    found = found_in(shifted(translated(), 1_000, shift))["shifted_lines"]
    assert found.is_warning
    place = re.match(r"From about pair ([\d,]+) to the end", found.sentence)
    assert place is not None
    assert abs(int(place[1].replace(",", "")) - 1_001) <= 8
    size = "1 line " if abs(shift) == 1 else "3 lines "
    assert f"stands {size}{'earlier' if shift < 0 else 'later'}" in found.sentence
    assert 980 <= found.count <= 1_010


def test_all_lines_shifted_and_some_in_the_middle() -> None:
    assert found_in(shifted(translated(), 0, -1))["shifted_lines"].sentence.startswith("All through the file")
    sources, targets = ([pair[side] for pair in translated()] for side in (0, 1))
    targets = [*targets[:600], *targets[601:1_200], "fasö", *targets[1_200:]]
    found = found_in(list(zip(sources, targets, strict=True)))["shifted_lines"]
    places = [int(number.replace(",", "")) for number in re.findall(r"about pair ([\d,]+)", found.sentence)]
    assert numpy.abs(numpy.array(places) - (601, 1_200)).max() <= 8


def test_the_place_is_found_in_a_corpus_of_which_windows_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alignment, "_MOST_ROWS", 1_000)
    found = found_in(shifted(translated(4_000), 2_350, -1))["shifted_lines"]
    place = re.match(r"From about pair ([\d,]+) to the end", found.sentence)
    assert place is not None
    assert abs(int(place[1].replace(",", "")) - 2_351) <= 8


def test_sides_that_have_nothing_to_do_with_each_other() -> None:
    targets = random.Random(0).sample([target for _, target in translated()], len(translated()))
    pairs = [(source, target) for (source, _), target in zip(translated(), targets, strict=True)]
    assert found_in(pairs)["unrelated_sides"].is_warning


def test_some_pairs_the_other_way_round() -> None:
    draw = random.Random(1)
    rows = {number for number in range(2_000) if draw.random() < 0.1}
    found = found_in(turned(translated(), rows.__contains__))["reversed_pairs"]
    assert found.is_warning
    assert abs(found.count - len(rows)) <= 0.05 * len(rows)
    assert f"pairs {min(rows) + 1:,}, " in found.sentence


def test_half_of_the_pairs_the_other_way_round() -> None:
    """Which of both ways is the right one cannot be told then, only that they are two."""
    draw = random.Random(3)
    words = sorted({word for source, _ in translated() for word in source.split()})
    tags = ("N;DEF;SG", "N;DEF;PL", "V;PASS", "V;ACT;PRS")
    pairs = [(f"{word} {tag}", word + tag[-2:].lower()) for word in words for tag in tags]
    assert "reversed_pairs" not in found_in(pairs)
    rows = {number for number in range(len(pairs)) if draw.random() < 0.5}
    found = found_in(turned(pairs, rows.__contains__))["reversed_pairs"]
    assert found.is_warning
    assert min(abs(found.count - len(rows)), abs(len(pairs) - found.count - len(rows))) <= 0.05 * len(pairs)


def test_the_second_half_the_other_way_round() -> None:
    found = found_in(turned(translated(), lambda number: number >= 1_000))["reversed_pairs"]
    place = re.search(r"from about pair ([\d,]+) to the end", found.sentence)
    assert place is not None
    assert abs(int(place[1].replace(",", "")) - 1_001) <= 20


def test_texts_of_another_language() -> None:
    pairs = [
        other if number % 10 == 3 else pair
        for number, (pair, other) in enumerate(zip(translated(), translated(target=3), strict=True))
    ]
    found = found_in(pairs)
    assert list(found) == ["foreign_targets"]
    assert found["foreign_targets"].count == 200
    assert "pairs 4, 14, 24" in found["foreign_targets"].sentence


def test_texts_in_another_script() -> None:
    pairs = [(a, "привет мир" if number % 50 == 0 else b) for number, (a, b) in enumerate(translated())]
    found = found_in(pairs)["foreign_targets"]
    assert found.is_warning
    assert "they are written in Cyrillic letters, the others in Latin" in found.sentence


def test_repeated_pairs() -> None:
    pairs = list(dict.fromkeys(translated()))
    found = found_in([*pairs, *pairs[:500]])
    assert found["duplicates"].count == 500
    assert f"500 of {len(pairs) + 500:,} (20 %)" in found["duplicates"].sentence


@pytest.mark.parametrize(
    ("kind", "changed", "said"),
    [
        ("misread_encoding_in_sources", misread, "“Ã¤” for “ä”"),
        ("lost_characters_in_sources", lambda text: text.replace("a", "\ufffd", 1) + "\ufffd", "U+FFFD"),
        ("windows_characters_in_sources", lambda text: f"{text} \x93so\x94", "Windows-1252"),
        ("control_characters_in_sources", lambda text: f"{text}\x07", "control characters"),
        ("invisible_characters_in_sources", lambda text: f"{text}\u200b", "U+200B"),
        ("html_in_sources", lambda text: f"{text} &amp; <b>x</b>", "“&amp;”"),
        ("escapes_in_sources", lambda text: f"{text} caf\\u00e9", "escaped"),
    ],
)
def test_characters_that_texts_should_not_have(kind: str, changed: Callable[[str], str], said: str) -> None:
    pairs = [(changed(a) if number % 20 == 0 else a, b) for number, (a, b) in enumerate(translated())]
    found = found_in(pairs)
    assert list(found) == [kind]
    assert found[kind].is_warning
    assert said in found[kind].sentence
    assert found[kind].count == sum(a != before for (a, _), (before, _) in zip(pairs, translated(), strict=True))


@pytest.mark.parametrize("text", ["CAFÉ»", "Â propos", "NÃO É", "GRÜẞE", "ÎLE", "«É»", "naïve façade…", "Ärger “so”"])
def test_capital_letters_before_signs_are_no_wrong_encoding(text: str) -> None:
    found = found_in([(f"{a} {text}", b) for a, b in translated(40)])
    assert not [kind for kind in found if kind.startswith(("misread", "windows"))]


def test_hard_spaces_are_worth_a_word_and_no_warning() -> None:
    found = found_in([(f"{a}\xa0!", b) for a, b in translated(40)])
    assert not found["hard_spaces_in_sources"].is_warning


def test_nothing_to_learn() -> None:
    assert found_in([(a, "so") for a, _ in translated(50)])["one_target"].is_warning
    assert found_in([("so", b) for _, b in translated(50)])["one_source"].is_warning
    assert found_in([]) == {}


def test_shapes() -> None:
    pairs = list(translated(400))
    pairs[7], pairs[9] = (pairs[7][0], " "), (pairs[9][0], pairs[9][1] * 12)
    found = found_in(pairs)
    assert found["empty_targets"].count == 1
    assert "(pair 8)" in found["empty_targets"].sentence
    assert "10" in found["extreme_ratios"].sentence
    several = [*pairs[:300], *((a, f"{b} {b}") for a, b in pairs[:30])]
    assert found_in(several)["several_targets"].count == 30
    corrected = found_in([(a, a.replace("ä", "a")) for a, _ in translated(200)])
    assert "nearly_the_same" in corrected


def test_numbers_that_differ() -> None:
    pairs = [(f"{a} {number}", f"{b} {number + (number % 10 == 0)}") for number, (a, b) in enumerate(translated(400))]
    found = found_in(pairs)["other_numbers"]
    assert found.count == 40
    assert not found.is_warning
    grouped = [
        (f"{a} 1,0{number % 90 + 10}", f"{b} 1.0{number % 90 + 10}") for number, (a, b) in enumerate(translated(400))
    ]
    assert "other_numbers" not in found_in(grouped)


def test_copies_of_training_sources() -> None:
    texts = [source for source, _ in translated(400)]
    train = RawPairs.of_texts("training", "data.train", texts, texts)
    others = [f"{text.upper()}." for text in texts[:10]] + [source for source, _ in translated(500)[400:]]
    validation = RawPairs.of_texts("validation", "data.validation", others, pyarrow.array(others))
    [found] = near_overlap(train, validation)
    assert (found.kind, found.count, found.is_warning) == ("overlap_but_for_punctuation", 10, True)


CORPORA = [
    *("en-de", "en-fr", "scan/simple.train.tsv", "arxiv_cl_title/train.tsv", "csl_title/clge.train.tsv"),
    *(f"g2p_sigmorphon2020/{code}_train.tsv" for code in G2P),
    "inflection_sigmorphon2021/ind.train.tsv",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", CORPORA)
def test_no_false_alarm_on_real_pairs(name: str) -> None:
    assert [finding.sentence for finding in found_in(real(name)).values() if finding.is_warning] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["en-de", "g2p_sigmorphon2020/fre_train.tsv", "arxiv_cl_title/train.tsv"])
@pytest.mark.parametrize("shift", [-3, 1])
def test_real_lines_that_are_shifted(name: str, shift: int) -> None:
    pairs = real(name)
    first = len(pairs) // 2
    found = found_in(shifted(pairs, first, shift))["shifted_lines"]
    place = re.match(r"From about pair ([\d,]+) to the end", found.sentence)
    assert place is not None
    assert abs(int(place[1].replace(",", "")) - first) <= 10


@pytest.mark.slow
@pytest.mark.parametrize("name", ["en-de", "g2p_sigmorphon2020/kor_train.tsv", "csl_title/clge.train.tsv"])
def test_real_pairs_the_other_way_round(name: str) -> None:
    pairs = real(name)
    assert found_in(turned(pairs, lambda number: number % 10 == 3))["reversed_pairs"].is_warning
    half = found_in(turned(pairs, lambda number: number >= len(pairs) // 2))["reversed_pairs"]
    assert "to the end" in half.sentence
    assert found_in(turned(pairs, lambda number: number * 7 % 13 > 5))["reversed_pairs"].is_warning


@pytest.mark.slow
def test_a_language_that_is_mixed_in() -> None:
    mixed = zip(real("en-de"), real("en-fr"), strict=True)
    found = found_in([french if number % 10 == 3 else german for number, (german, french) in enumerate(mixed)])
    assert found["foreign_targets"].is_warning
    assert "they look French, the others German" in found["foreign_targets"].sentence


@pytest.mark.slow
def test_a_real_wrong_encoding() -> None:
    pairs = [(a, misread(b) if number % 20 == 3 else b) for number, (a, b) in enumerate(real("en-de"))]
    assert found_in(pairs)["misread_encoding_in_targets"].is_warning
