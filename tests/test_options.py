"""Options are defined once: no default stands twice, nothing is joined by its name, and docs/options.md is current.

Each rule is a function from a parsed file to its violations, and is tried on a small example before the package.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from seq2seq.assembly.configuration import RunConfig
from seq2seq.config.declaring import all_options
from seq2seq.config.writing import reference
from seq2seq.objectives import DECODER_INPUTS, OBJECTIVES

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "seq2seq"
DOCUMENT = ROOT / "docs" / "options.md"

Function = ast.FunctionDef | ast.AsyncFunctionDef

NOTHING = ("None", "False", "0", "0.0", "''", "()")
"""Defaults that stand for nothing of it: a second default only where a caller hands the option on."""
FOR_PROGRAMS = {
    "sampling": "whoever loads a tokenizer to decode samples nothing, whatever the training did",
    "special_tokens": "a tokenizer that was saved holds its own already",
    "source_prefix": "most texts have none; a run's own is read from its model folder",
    "source_language": "a run's own is read from its model folder, and most models have none",
    "target_language": "likewise",
    "pairwise": "a utility is what the metric says unless a search asks for pairs",
}
"""Parameters that a program may leave out although a configuration has an option of that name, and why."""
READERS = {
    "models/transformer/options.py": "a config.json holds what transformers wrote beside our options",
    "assembly/pipelines.py": "what is not around the search is of the search, which refuses what there is not",
}
"""Files outside of `config` that may choose values by the names of fields, and why."""
JOINS_BY_NAME = ("config/", "assembly/search.py")
FIELDS = {"fields", "options_of", "asdict", "vars", "__dataclass_fields__", "__annotations__", "plain"}


# ---- defaults that stand twice ---------------------------------------------------------------------------------------


@cache
def defaults_of_options() -> dict[str, set[str]]:
    """Return the defaults, as Python writes them, that options of each name have."""
    found: dict[str, set[str]] = {}
    for _, option, _ in all_options(RunConfig):
        if option.section is None and option.choice is None:
            found.setdefault(option.name, set()).add(repr(option.default()))
    return found


def parameters_with_defaults(function: Function) -> Iterator[tuple[str, str]]:
    """Yield the name and the literal default of each parameter that has one."""
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    pairs = [*zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True)]
    pairs += [
        (name, default) for name, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if default
    ]
    for argument, default in pairs:
        try:
            yield argument.arg, repr(ast.literal_eval(default))
        except ValueError:
            continue


def handed_on(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield what is called, and the keyword, wherever an attribute is handed on under its own name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func).rsplit(".", 1)[-1]
            for keyword in node.keywords:
                if keyword.arg and isinstance(keyword.value, ast.Attribute) and keyword.value.attr == keyword.arg:
                    yield called, keyword.arg


def names_of_calls(tree: ast.AST) -> Iterator[tuple[Function, str]]:
    """Yield each function with the name that it is called by: for `__init__` that of its class."""
    classes = {id(node): part.name for part in ast.walk(tree) if isinstance(part, ast.ClassDef) for node in part.body}
    for node in ast.walk(tree):
        if isinstance(node, Function):
            yield node, classes[id(node)] if node.name == "__init__" and id(node) in classes else node.name


def second_defaults(tree: ast.AST, fed: set[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the function and the parameter of each default that an option of the same name has already.

    Args:
        fed: what `handed_on` found in all files.
    """
    for function, called in names_of_calls(tree):
        for name, default in parameters_with_defaults(function):
            if default in defaults_of_options().get(name, ()) and (default not in NOTHING or (called, name) in fed):
                yield called, name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def build(model, betas=(0.9, 0.98)): pass", [("build", "betas")]),
        ("def build(model, *, learning_rate=0.001): pass", [("build", "learning_rate")]),
        ("class A:\n    def __init__(self, tau, d_model=256): pass", [("A", "d_model")]),
        ("def build(model, *, learning_rate=0.5, betas, width=256): pass", []),
        ("def build(*, lowercase=False): pass", []),
        ("def build(*, lowercase=False): pass\nbuild(lowercase=options.lowercase)", [("build", "lowercase")]),
        ("def build(*, lowercase=False): pass\nother(lowercase=options.lowercase)", []),
        ("class A:\n    def __init__(self, lowercase=False): pass\nx.A(lowercase=c.lowercase)", [("A", "lowercase")]),
    ],
)
def test_the_rule_finds_second_defaults(text: str, expected: list[tuple[str, str]]) -> None:
    tree = ast.parse(text)
    assert list(second_defaults(tree, set(handed_on(tree)))) == expected


def test_no_default_of_an_option_stands_twice() -> None:
    trees = package_trees()
    fed = {call for tree in trees.values() for call in handed_on(tree)}
    found = [(path, *where) for path, tree in trees.items() for where in second_defaults(tree, fed)]
    assert [where for where in found if where[-1] not in FOR_PROGRAMS] == []
    assert FOR_PROGRAMS.keys() - {name for *_, name in found} == set(), "nothing is excused that is not there"


# ---- names joined by string ------------------------------------------------------------------------------------------


def joins_by_name(tree: ast.AST) -> Iterator[int]:
    """Yield the line of each call that gets those values whose names a dataclass, or what was given, happens to have.

    An option that is not among them is dropped there without a word, and one that was renamed goes unnoticed.
    """
    of_fields = FIELDS | {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and mentioned(node.value) & FIELDS
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg is None and any(chooses(part, of_fields) for part in ast.walk(keyword.value)):
                    yield node.lineno


def chooses(node: ast.AST, of_fields: set[str]) -> bool:
    """Return whether this makes a dictionary of those values that pass a question about fields."""
    if not isinstance(node, ast.DictComp) or not any(generator.ifs for generator in node.generators):
        return False
    parts = [part for generator in node.generators for part in (generator.iter, *generator.ifs)]
    return any(mentioned(part) & of_fields for part in parts)


def mentioned(node: ast.AST) -> set[str]:
    names = [part for part in ast.walk(node) if isinstance(part, ast.Name | ast.Attribute)]
    return {name.id if isinstance(name, ast.Name) else name.attr for name in names}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kind(**{f.name: values[f.name] for f in fields(kind) if f.name in values})", 1),
        ("kind(**{name: getattr(section, name) for name in names if name in kind.__dataclass_fields__})", 1),
        ("kind(a, **({n: v for n, v in asdict(section).items() if n in names} | {'b': 1}))", 1),
        ("names = {f.name for f in dataclasses.fields(kind)}\nkind(**{n: v for n, v in d.items() if n in names})", 1),
        ("kind(**{f.name: getattr(section, f.name) for f in fields(kind)})", 0),
        ("kind(**{name: value for name, value in chosen.items() if value is not None})", 0),
        ("values = {f.name: 1 for f in fields(kind) if f.init}", 0),
    ],
)
def test_the_rule_finds_what_is_joined_by_name(text: str, expected: int) -> None:
    assert len(list(joins_by_name(ast.parse(text)))) == expected


def test_nothing_is_joined_by_name() -> None:
    trees = package_trees()
    found = {path for path, tree in trees.items() if any(joins_by_name(tree))}
    assert {path for path in found if not path.startswith(JOINS_BY_NAME)} == READERS.keys()


@cache
def package_trees() -> dict[str, ast.Module]:
    """Return the files of the package by their paths in it."""
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 20, f"no package at {PACKAGE}"
    return {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in files}


# ---- the reference ---------------------------------------------------------------------------------------------------


def test_the_document_is_current() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    head, _, tables = document.partition("\n## ")
    assert f"## {tables}" == reference(RunConfig), "options have changed; `make options` writes docs/options.md anew"
    assert head.count("\n") < 6, "what is said of an option stands in its component"


def test_the_document_names_every_kind() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    for name in (*OBJECTIVES, *DECODER_INPUTS, "experimental.word_oracle"):
        assert f"`{name}`" in document
    assert "## `objective.minimum_risk.candidates.beam`" in document
