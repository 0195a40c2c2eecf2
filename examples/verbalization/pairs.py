"""One pair of written form and words, for each kind of expression.

What enters is a random generator and a language (or a number and a language), what leaves is `(written, words)`.
Written forms are Babel's for the locale, with one change: no-break spaces become plain ones. Which of U+0020, U+00A0
and U+202F a locale uses has changed between releases of its data, and none but the first is on a keyboard.
"""

from collections.abc import Callable
from datetime import date, time, timedelta
from decimal import Decimal
from random import Random

from babel.dates import format_date, format_skeleton, format_time, get_day_names, get_month_names
from babel.numbers import format_currency, format_decimal
from num2words import num2words

from examples.verbalization.words import Noun, agreeing, cardinal, counted, decimal, ordinal, year

Pair = tuple[str, str]

CURRENCIES = {
    "en": {
        "EUR": (Noun("euro", "euros"), Noun("cent", "cents")),
        "USD": (Noun("dollar", "dollars"), Noun("cent", "cents")),
        "GBP": (Noun("pound", "pounds"), Noun("penny", "pence")),
    },
    "de": {
        "EUR": (Noun("euro", "euro"), Noun("cent", "cent")),
        "USD": (Noun("dollar", "dollar"), Noun("cent", "cent")),
        "GBP": (Noun("pfund", "pfund"), Noun("penny", "pence")),
    },
    "fr": {
        "EUR": (Noun("euro", "euros"), Noun("centime", "centimes")),
        "USD": (Noun("dollar", "dollars"), Noun("cent", "cents")),
        "GBP": (Noun("livre", "livres", feminine=True), Noun("penny", "pence")),
    },
    "es": {
        "EUR": (Noun("euro", "euros"), Noun("céntimo", "céntimos")),
        "USD": (Noun("dólar", "dólares"), Noun("centavo", "centavos")),
        "GBP": (Noun("libra", "libras", feminine=True), Noun("penique", "peniques")),
    },
}
MONEY_JOINS = {"en": "and", "de": "und", "fr": "et", "es": "con"}
DATES = {
    "en": "{month} {ordinal} {year}",
    "de": "der {ordinal} {month} {year}",
    "fr": "{day} {month} {year}",
    "es": "{day} de {month} de {year}",
}


def plain_spaces(text: str) -> str:
    """Return the text with no-break and narrow no-break spaces made plain."""
    return text.replace("\u00a0", " ").replace("\u202f", " ")


def cardinal_pair(number: int, language: str) -> Pair:
    """Return ("12.345", "zwölftausend…") for a number."""
    return plain_spaces(format_decimal(number, locale=language)), cardinal(number, language)


def ordinal_pair(number: int, language: str) -> Pair:
    """Return ("21st", "twenty-first") for a number from 1 to 999."""
    written = {
        "en": num2words(number, lang="en", to="ordinal_num"),
        "de": f"{number}.",
        "fr": "1er" if number == 1 else f"{number}e",
        "es": f"{number}.º",
    }
    return written[language], ordinal(number, language)


def draw_cardinal(random: Random, language: str) -> Pair:
    """Draw a whole number of one to five digits, every number of digits equally likely."""
    return cardinal_pair(_number(random, random.randint(1, 5)), language)


def draw_ordinal(random: Random, language: str) -> Pair:
    """Draw an ordinal from 1 to 999."""
    return ordinal_pair(random.randint(1, 999), language)


def draw_decimal(random: Random, language: str) -> Pair:
    """Draw a decimal number: up to four digits before the separator, one to three behind, the last no zero."""
    integer = _number(random, random.randint(0, 4))
    places = random.randint(1, 3)
    fraction = f"{random.randrange(10 ** (places - 1)) * 10 + random.randint(1, 9):0{places}}"
    written = format_decimal(Decimal(f"{integer}.{fraction}"), locale=language)
    return plain_spaces(written), decimal(integer, fraction, language)


def draw_money(random: Random, language: str) -> Pair:
    """Draw an amount up to 9,999.99 in euros, dollars or pounds; three in ten have no cents."""
    currency = random.choice(("EUR", "USD", "GBP"))
    whole = _number(random, random.randint(0, 4))
    cents = random.randint(1, 99) if whole == 0 or random.random() < 0.7 else 0
    written = format_currency(Decimal(f"{whole}.{cents:02}"), currency, locale=language)
    amounts = zip((whole, cents), CURRENCIES[language][currency], strict=True)
    spoken = [counted(amount, noun, language) for amount, noun in amounts if amount]
    return plain_spaces(written), f" {MONEY_JOINS[language]} ".join(spoken)


def draw_date(random: Random, language: str) -> Pair:
    """Draw a date from 1900 to 2099 as figures only, with the month abbreviated or in full, or with the weekday."""
    first, last = date(1900, 1, 1), date(2099, 12, 31)
    day = first + timedelta(days=random.randint(0, (last - first).days))
    style = random.choice(("figures", "medium", "long", "full"))
    # Babel's own short dates have two-digit years, which would leave the century to chance.
    written = (
        format_skeleton("yMd", day, locale=language) if style == "figures" else format_date(day, style, locale=language)
    )
    spoken = DATES[language].format(
        ordinal=ordinal(day.day, language),
        day=ordinal(1, "fr") if language == "fr" and day.day == 1 else cardinal(day.day, language),
        month=get_month_names("wide", locale=language)[day.month],
        year=year(day.year, language),
    )
    weekday = f"{get_day_names('wide', locale=language)[day.weekday()]} " if style == "full" else ""
    return plain_spaces(written), f"{weekday}{spoken}".lower()


def draw_time(random: Random, language: str) -> Pair:
    """Draw a time of day, in hours and minutes."""
    hour, minute = random.randrange(24), random.randrange(60)
    written = format_time(time(hour, minute), "short", locale=language)
    return plain_spaces(written), _spoken_time(hour, minute, language)


def _spoken_time(hour: int, minute: int, language: str) -> str:
    match language:
        case "en":
            minutes = f"oh {cardinal(minute, 'en')}" if minute < 10 else cardinal(minute, "en")
            period = "am" if hour < 12 else "pm"
            parts = [cardinal(hour % 12 or 12, "en"), minutes if minute else "", period]
        case "de":
            parts = [counted(hour, Noun("uhr", "uhr"), "de"), cardinal(minute, "de") if minute else ""]
        case "fr":
            hours = counted(hour, Noun("heure", "heures", feminine=True), "fr")
            parts = [hours, agreeing(minute, "fr", feminine=True) if minute else ""]  # "vingt et une [minutes]"
        case _:
            hours = counted(hour, Noun("hora", "horas", feminine=True), "es")
            parts = [hours, f"y {counted(minute, Noun('minuto', 'minutos'), 'es')}" if minute else ""]
    return " ".join(part for part in parts if part)


def _number(random: Random, digits: int) -> int:
    """Draw a number with so many digits; no digits mean zero."""
    return random.randrange(10 ** (digits - 1), 10**digits) if digits else 0


DRAWS: tuple[tuple[Callable[[Random, str], Pair], int], ...] = (
    (draw_cardinal, 3),
    (draw_ordinal, 1),
    (draw_decimal, 2),
    (draw_money, 3),
    (draw_date, 3),
    (draw_time, 1),
)
"""Every kind with how often it is drawn. Ordinals and times are few (3,996 and 5,760), so they are drawn less."""
