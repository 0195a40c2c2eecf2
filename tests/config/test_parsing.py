from typing import Any

import pytest

from seq2seq.config.nodes import parse_yaml
from seq2seq.config.parsing import Parser
from tests.config.zoo import Box, Cat, Crate, Fish, Zoo

PARSER = Parser(Zoo, {"animal.kind": "name the animal itself", "cage": "write `box`"})


def read(text: str, *overrides: tuple[str, str]) -> Any:
    return PARSER.parse(parse_yaml(text, "x.yaml"), overrides)


def test_defaults_then_the_file_then_the_command_line() -> None:
    assert read("name: a") == Zoo("a")
    assert read("name: a\nbox: {size: [1, 2e-1], lid: true}").box == Box((1.0, 0.2), lid=True)
    assert read("name: a\nbox: {lid: true}", ("box.lid", "false"), ("name", "b")) == Zoo("b")


def test_sections_keep_the_defaults_of_their_place() -> None:
    assert read("name: a\nspare: {label: x}").spare == Box(lid=True, label="x")


@pytest.mark.parametrize(
    ("text", "overrides", "expected"),
    [
        ("name: a\nanimal: fish", [], Fish()),
        ("name: a\nanimal: {fish: {water: salt, depth: 7}}", [], Fish("salt", 7.0)),
        ("name: a\nanimal: {fish: }", [], Fish()),
        ("name: a", [("animal", "fish")], Fish()),
        ("name: a", [("animal.fish.water", "salt")], Fish("salt")),
        ("name: a\nanimal: {fish: {water: salt}}", [("animal.fish.age", "5")], Fish("salt", age=5)),
        ("name: a\nanimal: fish", [("animal.fish.age", "5")], Fish(age=5)),
        ("name: a\nanimal: {fish: {water: salt}}", [("animal.cat.lives", "2")], Cat(2)),
        ("name: a\nanimal: {fish: {age: 4}}", [("animal", "{cat: {lives: 3}}")], Cat(3)),
    ],
)
def test_a_choice_is_one_component(text: str, overrides: list[tuple[str, str]], expected: Any) -> None:
    assert read(text, *overrides).animal == expected


def test_an_optional_choice_may_be_none() -> None:
    assert read("name: a\nguest: cat").guest == Cat()
    assert read("name: a\nguest: cat", ("guest", "null")).guest is None


def test_texts_stay_texts_and_null_is_none() -> None:
    zoo = read("name: 007\nbox: {names: [yes, '1'], label: null}", ("box.label", "true"))
    assert (zoo.name, zoo.box.names, zoo.box.label) == ("007", ("yes", "1"), "true")
    assert read("name: a\nbox: {label: x}", ("box.label", "null")).box.label is None
    assert read("name: a", ("name", "")).name == ""


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ("name: a\nbx: {lid: true}", [], r"x\.yaml, line 2: there is no option `bx`\. Did you mean `box`\?"),
        ("name: a\nbox:\n  lidd: true", [], r"line 3: `box` has no option `lidd`\. Did you mean `box\.lid`\?"),
        ("name: a\nbox: {lives: 2}", [], r"`box` has no option `lives`; it belongs to `animal\.cat\.lives`"),
        ("name: a\nanimal: {fish: {lives: 2}}", [], r"`animal\.fish` has no option `lives`; it belongs to"),
        ("name: a\nanimal: {lives: 2}", [], r"`lives` belongs to a kind of `animal`: write `animal: \{cat: \{lives"),
        ("name: a\nanimal: {kind: fish}", [], r"`animal\.kind` any more; name the animal itself"),
        ("name: a\ncage: {lid: true}", [], r"line 2: there is no option `cage` any more; write `box`"),
        ("name: a\nanimal: fisch", [], r"one of cat, fish, but not 'fisch'\. Did you mean `fish`\?"),
        ("name: a\nanimal: {cat: {}, fish: {}}", [], "`animal` is one of cat, fish; keep one"),
        ("name: a\nanimal: [cat]", [], "one of cat, fish, with its options below it"),
        ("name: a\nanimal:", [], "`animal` has no value"),
        ("name: a\nanimal: {cat: {lives: 0}}", [], r"line 2: `animal\.cat`: `lives` must be at least 1, but is 0"),
        ("name: a\nanimal: {fish: {depth: 3}}", [], r"`depth` belongs to `water: salt` and would do nothing here"),
        ("name: a\nanimal: {cat: {owner: x}}", [], "`animal.cat` has no option `owner`"),
        ("name: a\nbox: 3", [], r"`box` is a section \(size, names, lid, label\), not a value"),
        ("name: a\nbox: [lid]", [], "`box` is a section"),
        ("name: [a]", [], "`name` must be a text, but is a list"),
        ("name: {a: b}", [], "`name` must be a text, but is a section"),
        ("name: a\nbox: {lid: 3}", [], "`box.lid` must be true or false, but is '3'"),
        ("name: a\nbox: {size: [1]}", [], "`box.size` must be a list of 2 numbers, but is a list"),
        ("name: a\nbox: {size: 1}", [], "`box.size` must be a list of 2 numbers, but is '1'"),
        ("name: a\nbox: {lid:}", [], "`box.lid` has no value"),
        ("name: a\nanimal: {fish: {water: warm}}", [], "must be one of salt, fresh, but is 'warm'"),
        ("name: a\nanimal: {fish: {depth: .nan}}", [], "must be a finite number, but is '.nan'"),
        ("name: a", [("animal.fish.depth", "nan")], "`--animal.fish.depth`: .*must be a finite number, but is 'nan'"),
        ("name: a", [("animal.fish.depth", "inf")], "finite number"),
        ("name: a", [("animal.cat.lives", "1e3")], "must be a whole number, but is '1e3'"),
        ("name: a", [("animal.cat.lives", str(2**63))], "must be an integer of 64 bits, but is"),
        ("name: a", [("animal.fish.depth", "1e308")], "must be 0, or of 1e-30 to 1e\\+12 in size, but is '1e308'"),
        ("name: a", [("animal.cat.lifes", "3")], "Did you mean `animal.cat.lives`"),
        ("name: a", [("bx.lid", "true")], "there is no option `bx.lid`. Did you mean `box.lid`"),
        ("name: a", [("lives", "3")], "it belongs to `animal.cat.lives`"),
        ("name: a", [("animal.dog.lives", "3")], "one of cat, fish, but not 'dog'"),
        ("name: a", [("name.first", "3")], "`name` is a single value and has no `first`"),
        ("box: {lid: true}", [], "`name` must be given"),
        # What the command line says does not hide what is wrong in the file.
        (
            "name: a\nbox: 3",
            [("box.lid", "true")],
            r"line 2: `box` is a section \(size, names, lid, label\), not a value",
        ),
        ("name: a\nanimal: {cat: {lives: 2}, lives: 3}", [("animal.cat.lives", "4")], "`lives` belongs to a kind of"),
        ("name: a\nanimal: {cat: {}, fish: {}}", [("animal.cat.lives", "4")], "`animal` is one of cat, fish; keep one"),
        ("name: a\nanimal: {cta: {}}", [("animal.cat.lives", "4")], "Did you mean `cat`"),
        ("name: a\nanimal: cta", [("animal.cat.lives", "4")], "Did you mean `cat`"),
        ("name: a\nanimal: [fish]", [("animal.cat.lives", "4")], "one of cat, fish, with its options below it"),
    ],
)
def test_what_is_not_meant_is_one_line(text: str, overrides: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        read(text, *overrides)
    assert "\n" not in str(error.value)


# ---- lists of sections -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "overrides", "store", "crates"),
    [
        ("", [], Box(), ()),
        ("store: {lid: true}", [], Box(lid=True), ()),
        ("store: [{lid: true, weight: 2}, {}]", [], (Crate(lid=True, weight=2.0), Crate()), ()),
        ("store:\n- label: x\ncrates:\n- weight: 3", [], (Crate(label="x"),), (Crate(weight=3.0),)),
        ("store: [{label: x}, ]", [("store.0.lid", "true")], (Crate(label="x", lid=True),), ()),
        ("crates: [{label: x}]", [("crates.1.weight", "3")], Box(), (Crate(label="x"), Crate(weight=3.0))),
        ("", [("crates.0.label", "a"), ("crates.1.label", "b")], Box(), (Crate(label="a"), Crate(label="b"))),
        ("", [("store.0.label", "a"), ("store.0.weight", "2")], (Crate(label="a", weight=2.0),), ()),
        ("", [("store.0", "{label: a}"), ("store.1", "{label: b}")], (Crate(label="a"), Crate(label="b")), ()),
        ("store: {label: x}", [("store", "[{label: y}]"), ("crates", "[{}]")], (Crate(label="y"),), (Crate(),)),
        ("store: [{label: x}]", [("store", "{lid: true}")], Box(lid=True), ()),
        ("store: {label: x}", [("store.label", "y")], Box(label="y"), ()),
        ("crates:", [], Box(), ()),
    ],
)
def test_lists_of_sections(text: str, overrides: list[tuple[str, str]], store: Any, crates: Any) -> None:
    zoo = read(f"name: a\n{text}", *overrides)
    assert (zoo.store, zoo.crates) == (store, crates)


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        (
            "store: [{lid: true}]",
            [("store.lid", "no")],
            r"`--store.lid`: `store` is a list of 1; say of which entry, as",
        ),
        ("store: [{}, {}]", [("store.lid", "no")], r"as in `--store\.0\.lid` or `--store\.1\.lid`\.$"),
        (
            "store: {lid: true}",
            [("store.0.lid", "no")],
            r"`store` is a single section \(x\.yaml, line 2\); write it as",
        ),
        ("store: [{}]", [("store.2.lid", "no")], r"counted from 0, and it has 1; the next is `--store\.1`"),
        ("", [("crates.lid", "no")], r"`crates` is a list; say of which entry, as in `--crates\.0\.lid`"),
        ("crates: {lid: true}", [], r"line 2: `crates` is a list of sections \(size, names, .*\), but is a section"),
        ("crates: [3]", [], r"line 2: `crates\.0` is a section \(size, names, .*\), not a value"),
        ("crates:\n- {}\n- weight: 0", [], r"x\.yaml, line 4: `crates\.1`: `weight` must be above 0, but is 0"),
        (
            "crates:\n- {}\n- wight: 0",
            [],
            r"line 4: `crates\.1` has no option `wight`\. Did you mean `crates\.1\.weight`",
        ),
        ("store: {weight: 3}", [], r"line 2: `store` has no option `weight`; it belongs to `store\.0\.weight`"),
        ("", [("crates.0.lid", "3")], r"`--crates\.0\.lid`: `crates\.0\.lid` must be true or false"),
        ("", [("store.0.", "3")], r"`store\.0` has no option ``"),
    ],
)
def test_lists_that_make_no_sense_are_refused_in_one_line(
    text: str, overrides: list[tuple[str, str]], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read(f"name: a\n{text}", *overrides)
    assert "\n" not in str(caught.value)
