"""Numbers in words, in four languages, as they are said alone and before a noun.

What enters is a number and a language code, what leaves is lower-case text. num2words does the spelling; what it gets
wrong (Spanish "veintiuno mil", French "quatre-vingtsième"), leaves to British usage or does not know (the form
before a noun, the French year) is put right here, so that one rule holds for all sizes of number.
"""

import re
from dataclasses import dataclass

from num2words import num2words

LANGUAGES = ("en", "de", "fr", "es")

SPANISH_ORDINALS = {
    "décimoprimero": "undécimo",
    "décimosegundo": "duodécimo",
    "cuadrigentésimo": "cuadringentésimo",
    "septigentésimo": "septingentésimo",
    "octigentésimo": "octingentésimo",
}


@dataclass(frozen=True)
class Noun:
    """What is counted. Feminine nouns change French and Spanish numbers."""

    singular: str
    plural: str
    feminine: bool = False


def cardinal(number: int, language: str) -> str:
    """Return a number as it is counted: "one", "eins", "un", "uno"."""
    text = num2words(number, lang=language).lower()
    if language == "en":
        return _american(text)
    # "veintiuno mil", "treinta y uno mil": before "mil" the numeral one is shortened as before any noun.
    return re.sub(r"\w*uno(?= mil)", _shortened_one, text) if language == "es" else text


def agreeing(number: int, language: str, feminine: bool = False) -> str:
    """Return a number as it is said before a noun: "ein Euro", "une heure", "veintiún euros", "doscientas libras"."""
    text = cardinal(number, language)
    if language == "de":
        return re.sub(r"eins$", "ein", text)
    if language == "fr" and feminine:
        return re.sub(r"\bun$", "une", text)
    if language == "es" and feminine:
        return re.sub(r"ientos\b", "ientas", re.sub(r"uno$", "una", text))
    if language == "es":
        return re.sub(r"\w*uno$", _shortened_one, text)
    return text


def counted(number: int, noun: Noun, language: str) -> str:
    """Return a number with its noun. French takes the singular up to one, the others for one alone."""
    singular = number == 1 or (number == 0 and language == "fr")
    return f"{agreeing(number, language, noun.feminine)} {noun.singular if singular else noun.plural}"


def ordinal(number: int, language: str) -> str:
    """Return the ordinal of a number from 1 to 999: "first", "erste", "premier", "primero"."""
    text = num2words(number, lang=language, to="ordinal").lower()
    if language == "en":
        return _american(text)
    if language == "de":
        return f"ein{text}" if text.startswith("hundert") else text  # as in "einhunderterste", and as in the cardinal
    if language == "fr":
        return re.sub(r"(vingt|cent)sième", r"\1ième", text)
    return " ".join(SPANISH_ORDINALS.get(word, word) for word in text.split())


def year(number: int, language: str) -> str:
    """Return a year of the 20th or 21st century: "nineteen oh five", "neunzehnhundertfünf"."""
    text = num2words(number, lang=language, to="year").lower()
    if language == "en":
        return _american(text).replace("oh-", "oh ")
    # A French year is an ordinal in meaning, and "cent" and "vingt" then take no plural: "mille neuf cent".
    return re.sub(r"(cent|vingt)s$", r"\1", text) if language == "fr" else text


def decimal(integer: int, fraction: str, language: str) -> str:
    """Return a decimal number; `fraction` holds its digits after the separator.

    English and German read the fraction digit by digit, French and Spanish as a number behind its zeros.
    """
    point = {"en": "point", "de": "komma", "fr": "virgule", "es": "coma"}[language]
    significant = fraction.lstrip("0")
    zeros = ["0"] * (len(fraction) - len(significant))
    parts = list(fraction) if language in ("en", "de") else [*zeros, significant]
    return " ".join([cardinal(integer, language), point, *(cardinal(int(part), language) for part in parts)])


def _american(text: str) -> str:
    """Drop commas and "and": the formats of `en` are American, and so is its speech."""
    return text.replace(",", "").replace(" and ", " ")


def _shortened_one(match: re.Match[str]) -> str:
    """Return "un" for "uno" and "veintiún" for "veintiuno"."""
    return match[0].replace("veintiuno", "veintiún").replace("uno", "un")
