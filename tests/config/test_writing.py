from dataclasses import dataclass, field

import pytest

from seq2seq.config.declaring import Place, all_options, options_of, texts_of, with_places
from seq2seq.config.nodes import parse_yaml
from seq2seq.config.parsing import Parser
from seq2seq.config.writing import dotted, plain, reference, settings, to_yaml
from tests.config.zoo import Box, Cat, Crate, Fish, Zoo

ZOOS = [
    Zoo("a"),
    Zoo("a", store=(Crate(label="x", weight=2.5), Crate()), crates=(Crate(lid=True),)),
    Zoo("null", Box((1e-7, 2.0), ("x: y", "é", "1"), lid=True, label="true"), Fish("salt", 7.25, age=5), Cat(1)),
]


@pytest.mark.parametrize("zoo", ZOOS)
def test_what_is_written_reads_back_equal(zoo: Zoo) -> None:
    assert Parser(Zoo).parse(parse_yaml(to_yaml(zoo), "x")) == zoo


def test_every_option_is_written_and_no_part() -> None:
    assert plain(Zoo("a"))["animal"] == {"cat": {"age": 3, "lives": 9}}
    assert dotted(plain(Zoo("a")))["box.label"] is None
    assert dotted({"a": {"b": {}}, "c": 1}) == {"a.b": {}, "c": 1}


def test_settings_name_kinds_before_their_options() -> None:
    found = settings(Zoo("a"))
    assert {name: value for name, value in found.items() if name.startswith(("animal", "guest"))} == {
        "animal": "cat",
        "animal.cat.age": 3,
        "animal.cat.lives": 9,
        "guest": None,
    }
    assert found["box.label"] is None


def test_settings_number_the_entries_of_a_list() -> None:
    found = settings(Zoo("a", store=(Crate(), Crate(label="x"))))
    assert (found["store.0.label"], found["store.1.label"], found["store.1.weight"]) == (None, "x", 1.0)
    assert found["crates"] == []
    assert not {"store", "store.label", "store.2.label"} & found.keys()
    assert settings(Zoo("a"))["store.label"] is None


@dataclass(frozen=True)
class Road:
    start: Place | None = None
    stops: tuple[Place, ...] = ()
    name: str = "a"
    stop_names: tuple[str, ...] = ("a",)


@dataclass(frozen=True)
class Roads:
    first: Road = field(default_factory=Road)
    others: tuple[Road, ...] = ()


def test_places_are_changed_wherever_they_are_named_and_nothing_else() -> None:
    roads = Roads(Road("a", ("a", "b")), (Road(), Road("c")))
    assert with_places(roads, str.upper) == Roads(Road("A", ("A", "B")), (Road(), Road("C")))
    shown = settings(roads, shown_place=str.upper)
    assert [shown[name] for name in ("first.start", "first.stops", "first.name")] == ["A", ["A", "B"], "a"]
    assert (shown["others.0.start"], shown["others.1.start"]) == (None, "C")
    assert shown.keys() == settings(roads).keys()
    assert Parser(Roads).parse(parse_yaml(to_yaml(roads), "x")) == roads


def test_texts_come_from_strings_below_fields_and_from_arguments_also_inherited() -> None:
    assert texts_of(Cat) == {"age": "Years.", "lives": "how many are left."}
    assert list(options_of(Cat)) == ["age", "lives"]


def test_the_reference_names_every_option_with_its_default() -> None:
    text = reference(Zoo)
    for name, _, _ in all_options(Zoo):
        section, _, own = name.rpartition(".")
        assert f"| `{own}` |" in text
        assert not section or f"## `{section}`" in text
    assert "| `water` | fresh | Where it swims. One of `salt`, `fresh`. |" in text
    assert "| `name` | must be given |" in text
    assert "| `guest` | none |" in text
    assert "| `crates` | [] | Further crates. |" in text


def test_of_a_list_that_may_be_one_section_only_what_that_one_lacks_is_repeated() -> None:
    names = [name for name, _, _ in all_options(Zoo)]
    assert [name for name in names if name.startswith("store.0.")] == ["store.0.weight"]
    assert [name for name in names if name.startswith("crates.0.")][:2] == ["crates.0.size", "crates.0.names"]
