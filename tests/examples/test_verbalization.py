"""The demo corpus: words against what speakers say, pairs against their number, splits against each other."""

from datetime import date
from pathlib import Path
from random import Random

import pytest

pytest.importorskip("babel", reason="needs the demo extra")
pytest.importorskip("num2words", reason="needs the demo extra")

from babel.numbers import parse_decimal

from examples.verbalization import corpus, pairs
from examples.verbalization.__main__ import main
from examples.verbalization.words import LANGUAGES, Noun, agreeing, cardinal, counted, decimal, ordinal, year

TRAIN_SIZE, DEV_SIZE, TEST_SIZE = 1013, 17, 101


@pytest.mark.parametrize(
    ("number", "language", "words"),
    [
        (0, "fr", "zéro"),
        (1, "de", "eins"),
        (101, "de", "einhunderteins"),
        (1234, "en", "one thousand two hundred thirty-four"),
        (80, "fr", "quatre-vingts"),
        (80000, "fr", "quatre-vingt mille"),
        (71, "fr", "soixante et onze"),
        (21000, "es", "veintiún mil"),
        (31000, "es", "treinta y un mil"),
        (21021, "es", "veintiún mil veintiuno"),
        (1001, "es", "mil uno"),
    ],
)
def test_cardinal(number: int, language: str, words: str) -> None:
    assert cardinal(number, language) == words


@pytest.mark.parametrize(
    ("number", "language", "feminine", "words"),
    [
        (1, "en", False, "one"),
        (1, "de", False, "ein"),
        (101, "de", False, "einhundertein"),
        (21, "de", False, "einundzwanzig"),
        (21, "fr", False, "vingt et un"),
        (21, "fr", True, "vingt et une"),
        (11, "fr", True, "onze"),
        (21, "es", False, "veintiún"),
        (31, "es", False, "treinta y un"),
        (1001, "es", False, "mil un"),
        (21, "es", True, "veintiuna"),
        (501, "es", True, "quinientas una"),
        (100, "es", True, "cien"),
        (1200, "es", True, "mil doscientas"),
    ],
)
def test_agreeing(number: int, language: str, feminine: bool, words: str) -> None:
    assert agreeing(number, language, feminine) == words


@pytest.mark.parametrize(
    ("number", "language", "words"),
    [
        (0, "en", "zero apples"),
        (0, "fr", "zéro apple"),
        (1, "es", "un apple"),
        (2, "fr", "deux apples"),
        (101, "en", "one hundred one apples"),
    ],
)
def test_counted_number_of_noun(number: int, language: str, words: str) -> None:
    assert counted(number, Noun("apple", "apples"), language) == words


@pytest.mark.parametrize(
    ("number", "language", "words"),
    [
        (1, "en", "first"),
        (121, "en", "one hundred twenty-first"),
        (100, "de", "einhundertste"),
        (101, "de", "einhunderterste"),
        (80, "fr", "quatre-vingtième"),
        (200, "fr", "deux centième"),
        (81, "fr", "quatre-vingt-unième"),
        (11, "es", "undécimo"),
        (112, "es", "centésimo duodécimo"),
        (480, "es", "cuadringentésimo octogésimo"),
    ],
)
def test_ordinal(number: int, language: str, words: str) -> None:
    assert ordinal(number, language) == words


@pytest.mark.parametrize(
    ("number", "language", "words"),
    [
        (1905, "en", "nineteen oh five"),
        (2001, "en", "two thousand one"),
        (2021, "en", "twenty twenty-one"),
        (1984, "de", "neunzehnhundertvierundachtzig"),
        (1900, "fr", "mille neuf cent"),
        (1980, "fr", "mille neuf cent quatre-vingt"),
        (2021, "es", "dos mil veintiuno"),
    ],
)
def test_year(number: int, language: str, words: str) -> None:
    assert year(number, language) == words


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "twelve point zero two five"),
        ("de", "zwölf komma null zwei fünf"),
        ("fr", "douze virgule zéro vingt-cinq"),
        ("es", "doce coma cero veinticinco"),
    ],
)
def test_decimal(language: str, words: str) -> None:
    assert decimal(12, "025", language) == words


@pytest.mark.parametrize(
    ("hour", "minute", "expected"),
    [
        (0, 5, ("twelve oh five am", "null uhr fünf", "zéro heure cinq", "cero horas y cinco minutos")),
        (1, 0, ("one am", "ein uhr", "une heure", "una hora")),
        (12, 1, ("twelve oh one pm", "zwölf uhr eins", "douze heures une", "doce horas y un minuto")),
        (21, 21, ("nine twenty-one pm", "einundzwanzig uhr einundzwanzig", "vingt et une heures vingt et une",
                  "veintiuna horas y veintiún minutos")),
    ],
)  # fmt: skip
def test_spoken_time(hour: int, minute: int, expected: tuple[str, ...]) -> None:
    assert tuple(pairs._spoken_time(hour, minute, language) for language in LANGUAGES) == expected


class FixedDraws(Random):
    """A generator whose choices are given beforehand, in order."""

    def __init__(self, *values: object) -> None:
        super().__init__(0)
        self.values = list(values)

    def randint(self, a: int, b: int) -> int:
        return self.values.pop(0)  # type: ignore[return-value]

    def randrange(self, *bounds: int) -> int:  # type: ignore[override]
        return self.values.pop(0)  # type: ignore[return-value]

    def choice(self, options: object) -> object:  # type: ignore[override]
        return self.values.pop(0)

    def random(self) -> float:
        return 0.0


@pytest.mark.parametrize(
    ("language", "currency", "whole", "cents", "expected"),
    [
        ("en", "USD", 1234, 50, ("$1,234.50", "one thousand two hundred thirty-four dollars and fifty cents")),
        ("en", "GBP", 2, 1, ("£2.01", "two pounds and one penny")),
        ("de", "EUR", 1, 1, ("1,01 €", "ein euro und ein cent")),
        ("de", "GBP", 0, 5, ("0,05 £", "fünf pence")),
        ("fr", "EUR", 1080, 20, ("1 080,20 €", "mille quatre-vingts euros et vingt centimes")),
        ("fr", "GBP", 21, 1, ("21,01 £GB", "vingt et une livres et un penny")),
        ("es", "GBP", 201, 21, ("201,21 GBP", "doscientas una libras con veintiún peniques")),
    ],
)
def test_money(language: str, currency: str, whole: int, cents: int, expected: tuple[str, str]) -> None:
    draws = (currency, len(str(whole)), whole, cents) if whole else (currency, 0, cents)
    assert pairs.draw_money(FixedDraws(*draws), language) == expected


@pytest.mark.parametrize(
    ("language", "style", "day", "expected"),
    [
        ("en", "figures", date(2021, 7, 14), ("7/14/2021", "july fourteenth twenty twenty-one")),
        ("en", "full", date(2000, 2, 29), ("Tuesday, February 29, 2000", "tuesday february twenty-ninth two thousand")),
        ("de", "long", date(2021, 7, 14), ("14. Juli 2021", "der vierzehnte juli zweitausendeinundzwanzig")),
        ("fr", "long", date(1999, 3, 1), ("1 mars 1999", "premier mars mille neuf cent quatre-vingt-dix-neuf")),
        ("es", "full", date(2099, 12, 31),
         ("jueves, 31 de diciembre de 2099", "jueves treinta y uno de diciembre de dos mil noventa y nueve")),
    ],
)  # fmt: skip
def test_date(language: str, style: str, day: date, expected: tuple[str, str]) -> None:
    days = (day - date(1900, 1, 1)).days
    assert pairs.draw_date(FixedDraws(days, style), language) == expected


@pytest.mark.parametrize("language", LANGUAGES)
def test_written_numbers_read_back(language: str) -> None:
    for number in range(0, 99999, 7919):
        written, _ = pairs.cardinal_pair(number, language)
        assert parse_decimal(written.replace(" ", "\u202f"), locale=language) == number


@pytest.mark.parametrize("language", LANGUAGES)
def test_different_numbers_have_different_words(language: str) -> None:
    numbers = [*range(1000), *range(1000, 99999, 97)]
    assert len({cardinal(number, language) for number in numbers}) == len(numbers)
    assert len({ordinal(number, language) for number in range(1, 1000)}) == 999


@pytest.fixture(scope="module")
def splits() -> dict[str, list[pairs.Pair]]:
    return corpus.generate_corpus(3, TRAIN_SIZE, DEV_SIZE, TEST_SIZE)


def test_splits_have_their_sizes_and_share_no_source(splits: dict[str, list[pairs.Pair]]) -> None:
    assert [len(splits[split]) for split in ("train", "dev", "test")] == [TRAIN_SIZE, DEV_SIZE, TEST_SIZE]
    sources = [source for split in splits.values() for source, _ in split]
    assert len(set(sources)) == len(sources)


def test_texts_are_tagged_plain_and_lower_case(splits: dict[str, list[pairs.Pair]]) -> None:
    for source, target in (pair for split in splits.values() for pair in split):
        tag, written = source.split(" ", 1)
        assert tag.strip("<>") in LANGUAGES
        assert written == written.strip() != ""
        assert target == " ".join(target.lower().split())
        assert not any(character.isdigit() for character in target)
        assert not {"\t", "\n", "\u00a0", "\u202f"} & set(source)


def test_numbers_spelled_by_heart_are_in_training(splits: dict[str, list[pairs.Pair]]) -> None:
    sources = {source for source, _ in splits["train"]}
    assert {"<fr> 1er", "<de> 0", "<es> 99", "<en> 9,000", "<es> 900.º", "<de> 12."} <= sources


def test_corpus_depends_on_the_seed_alone(splits: dict[str, list[pairs.Pair]]) -> None:
    assert corpus.generate_corpus(3, TRAIN_SIZE, DEV_SIZE, TEST_SIZE) == splits
    assert corpus.generate_corpus(4, TRAIN_SIZE, DEV_SIZE, TEST_SIZE)["test"] != splits["test"]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [((10, 5, 5), "at least 904"), ((2000, 0, 5), "one each"), ((corpus.MAX_PAIRS, 1, 1), "at most")],
)
def test_impossible_sizes_are_refused(sizes: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        corpus.generate_corpus(1, *sizes)


def test_command_writes_files(tmp_path: Path) -> None:
    main(["--output-directory", str(tmp_path / "new"), "--train-size", "907", "--dev-size", "3", "--test-size", "5"])
    lines = {path.name: path.read_text(encoding="utf-8").splitlines() for path in (tmp_path / "new").iterdir()}
    assert {name: len(text) for name, text in lines.items()} == {
        "train.tsv": 907,
        "dev.tsv": 3,
        "test.tsv": 5,
        "test.source": 5,
        "test.target": 5,
    }
    columns = zip(lines["test.source"], lines["test.target"], strict=True)
    assert ["\t".join(pair) for pair in columns] == lines["test.tsv"]


def test_command_explains_mistakes(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="error: Training needs"):
        main(["--output-directory", str(tmp_path), "--train-size", "1"])
    assert list(tmp_path.iterdir()) == []


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    path.write_text("old\n")

    def failing() -> object:
        yield "new"
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        corpus._write_lines(path, failing())  # type: ignore[arg-type]
    assert path.read_text() == "old\n"
