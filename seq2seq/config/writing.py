"""From a configuration back to text: YAML that reads back equal, dotted values, and the reference of its options."""

import typing
from collections.abc import Callable
from dataclasses import MISSING
from typing import Any

import yaml

from seq2seq.config.declaring import Option, UnreadPiece, all_options, change_places, options_of, texts_of


def plain(component: Any) -> dict[str, Any]:
    """Return what a configuration must say to make a component: every option, sections and kinds as dictionaries."""
    return {
        name: _plain_value(option, getattr(component, name)) for name, option in options_of(type(component)).items()
    }


def _plain_value(option: Option, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, UnreadPiece):
        return {value.name: dict(value.options or {})}
    if option.choice is not None:
        return {option.choice.name(value): plain(value)}
    if option.item is not None and isinstance(value, tuple):
        return [plain(item) for item in value]
    if option.section is not None:
        return plain(value)
    return list(value) if isinstance(value, tuple) else value


def to_yaml(component: Any) -> str:
    """Return a component as YAML, every default included."""
    return yaml.safe_dump(plain(component), sort_keys=False, allow_unicode=True)


def dotted(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested values by their dotted names; a kind without options is one of them, with no value."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        nested = isinstance(value, dict) and value
        found |= dotted(value, f"{prefix}{name}.") if nested else {prefix + name: value}
    return found


def settings(
    component: Any, prefix: str = "", *, shown_place: Callable[[str], str] = lambda place: place
) -> dict[str, Any]:
    """Return the value of every option by its dotted name; where a kind is held, its name before its options.

    Args:
        shown_place: what is made of each file or folder that is named.
    """

    def inner(held: Any, name: str) -> dict[str, Any]:
        return settings(held, f"{prefix}{name}.", shown_place=shown_place)

    found: dict[str, Any] = {}
    for name, option in options_of(type(component)).items():
        value = getattr(component, name)
        if value is not None and option.choice is not None:
            kind = option.choice.name(value)
            found |= {prefix + name: kind} | inner(value, f"{name}.{kind}")
        elif option.item is not None and isinstance(value, tuple) and value:
            for number, item in enumerate(value):
                found |= inner(item, f"{name}.{number}")
        elif value is not None and option.section is not None and not isinstance(value, tuple):
            found |= inner(value, name)
        else:
            plain_value = _plain_value(option, value)
            found[prefix + name] = change_places(option, plain_value, shown_place)
    return found


def reference(component: type) -> str:
    """Return the reference of all options of a configuration, in Markdown: a table for each section and kind."""
    tables: dict[str, list[str]] = {}
    for name, option, owner in all_options(component):
        section, _, own = name.rpartition(".")
        text = texts_of(owner).get(option.name, "")
        if names := names_of(option):
            text = f"{text} One of {', '.join(f'`{name}`' for name in names)}."
        shown = default_of(option).replace("|", "\\|")
        tables.setdefault(section, []).append(f"| `{own}` | {shown} | {text.replace('|', chr(92) + '|')} |")
    parts = []
    for section, rows in tables.items():
        title = f"## `{section}`" if section else "## At the top"
        parts += [title, "", "| option | default | |", "|---|---|---|", *rows, ""]
    return "\n".join(parts)


def names_of(option: Option) -> list[str]:
    """Return the names that an option can hold, if it holds one of some."""
    if option.choice is not None:
        return option.choice.names()
    return list(map(str, typing.get_args(option.kind))) if typing.get_origin(option.kind) is typing.Literal else []


def default_of(option: Option) -> str:
    """Return the default of an option as it would be written."""
    default = option.default()
    if default is MISSING:
        return "must be given"
    if option.choice is not None:
        return "none" if default is None else option.choice.name(default)
    if option.section is not None:
        return ""
    return repr_of(default)


def repr_of(value: Any) -> str:
    """Return a value as YAML writes it."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(repr_of, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return "''" if value == "" else str(value)


def kind_of(option: Option) -> str:
    """Return what a value of an option is, in a word, for usage lines."""
    if names := names_of(option):
        return "{" + ",".join(names) + "}"
    if typing.get_origin(option.kind) is tuple:
        return "[…]"
    return "SECTION" if option.section is not None else option.kind.__name__.upper()
