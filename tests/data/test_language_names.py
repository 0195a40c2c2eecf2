import pytest

from seq2seq.data.language_names import NAMES, NamedLanguage, named_language


def test_names_are_those_of_the_locale_data() -> None:
    babel = pytest.importorskip("babel", reason="babel is an optional package")
    found = babel.Locale("en").languages
    same = [code for code, name in NAMES.items() if found.get(code) == name]
    assert len(same) >= 180, "newer data may have other names of some"
    assert {code for code in found if len(code) == 2} - set(NAMES) <= {"sh"}, "which ISO 639 has no more"


def test_a_code_and_a_name() -> None:
    assert named_language("de") == NamedLanguage("de", "German")
    assert named_language("cu") == NamedLanguage("cu", "Church Slavic")
    assert named_language("hsb=Upper Sorbian") == NamedLanguage("hsb", "Upper Sorbian")
    assert named_language("pt-BR=Portuguese (Brazil)") == NamedLanguage("pt-BR", "Portuguese (Brazil)")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("German", "'German' is no code of a language"),
        ("", "'' is no code"),
        ("../de", "'../de' is no code"),
        ("de_AT=x", "'de_AT' is no code"),
        ("hsb", "'hsb' has no name here; give one too"),
        ("hsb= ", "'hsb' has no name here"),
    ],
)
def test_what_is_no_language(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        named_language(text)
