"""How a component says what its options are: the fields of its own frozen dataclass, defined there and nowhere else.

A field is an option unless it is marked as a `part`: something that a program puts in, such as a tokenizer. A field of
a dataclass type is a section, and one of a tuple of them a list of sections; one made by `choice` holds one of several
components, each under its own name. The text of an option is the string below its field, or its entry under `Args:` of
the class.
"""

import dataclasses
import importlib
import math
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass
from functools import cache
from typing import Annotated, Any

from docstring_parser import parse_from_object

from seq2seq.own_pieces import PieceKind, found_pieces, is_own, own_piece

EXPERIMENTAL = "experimental"
"""The package, and the first part of the names, of what is offered without a result that speaks for it."""
_PLACE = "place"
Place = Annotated[str, _PLACE]
"""Type of an option that names a file or folder, or what may be a name on the Hub: what is in a run's own folder is
found where that lies now, and others are shown no more than the last name."""
MOST_PROCESSES = 1024
"""Processes or threads that an option can ask for: more are a slip, and would take the machine with them."""
SIZES = (1e-30, 1e12)
"""Between these are all numbers but 0 that an option can mean: single precision computes with them and their squares,
while 1e308 is infinite there, and 1e-320 is 0."""


def part(default: Any, *, repr: bool = True) -> Any:
    """Return a field of a dataclass that is no option: a program fills it in, whatever the configuration says."""
    return dataclasses.field(default=default, repr=repr, metadata={"part": True})


def choice(
    table: Mapping[str, type], default: str | None, experimental: str | None = None, own: PieceKind | None = None
) -> Any:
    """Return a field of a dataclass that holds one of several components.

    Args:
        table: the components by the names that a configuration gives them.
        default: the name of the one that stands there if nothing is said; None = none of them.
        experimental: name of a table in `seq2seq.experimental` whose entries may be chosen as well.
        own: what a piece of the user's own must be to be chosen, as `package.module:Name`; None: it cannot be.
    """
    metadata = {"choice": Choice(table, experimental, own)}
    if default is None:
        return dataclasses.field(default=None, metadata=metadata)
    return dataclasses.field(default_factory=table[default], metadata=metadata)


@dataclass(frozen=True)
class Choice:
    """The components that one field can hold."""

    table: Mapping[str, type]
    experimental: str | None = None
    own: PieceKind | None = None

    def kind(self, name: str) -> type | None:
        """Return the component of this name, if there is one.

        Raises:
            ValueError: it is a piece of the user's own, and cannot be had; see `own_piece`.
        """
        if is_own(name):
            return own_component(name, self.own) if self.own is not None else None
        if name.startswith(f"{EXPERIMENTAL}."):
            return self._experiments().get(name)
        return self.table.get(name)

    def name(self, component: Any) -> str:
        """Return the name of a component that this field holds."""
        if isinstance(component, UnreadPiece):
            return component.name
        found = {**self._own(), **self.table}
        everything = {**found, **(self._experiments() if type(component) not in found.values() else {})}
        return next(name for name, kind in everything.items() if kind is type(component))

    def names(self) -> list[str]:
        """Return the names of all components, the experimental ones last but for those of the user's own."""
        return [*self.table, *self._experiments(), *self._own()]

    def offered(self) -> str:
        """Return all names for people."""
        return ", ".join(self.names()) + (", or one of your own as package.module:Name" if self.own else "")

    def _own(self) -> dict[str, type]:
        return found_pieces(self.own) if self.own is not None else {}

    def _experiments(self) -> dict[str, type]:
        if self.experimental is None:
            return {}
        table = getattr(importlib.import_module(f"seq2seq.{EXPERIMENTAL}"), self.experimental)
        return {f"{EXPERIMENTAL}.{name}": kind for name, kind in table.items()}


@dataclass(frozen=True)
class UnreadPiece:
    """A piece of somebody's own that only a folder names, and what it says of its options: nothing was imported."""

    name: str = part("")
    options: Mapping[str, Any] | None = part(None)


def own_component(name: str, kind: PieceKind) -> type:
    """Return the component of the user's own that has this name.

    Raises:
        ValueError: it cannot be had, or is no frozen dataclass whose fields can be options, each with a default.
    """
    piece: type = own_piece(name, kind)
    try:
        if not dataclasses.is_dataclass(piece) or not piece.__dataclass_params__.frozen:  # type: ignore[attr-defined]
            raise ValueError("it is no frozen dataclass; write `@dataclass(frozen=True)` above the class")
        for option in options_of(piece).values():
            if option.choice is None and option.section is None and not _can_be_said(option.kind):
                raise ValueError(
                    f"its field `{option.name}` is of a type that no option has; options are bool, int, float, str, "
                    "`Literal` of texts and tuples of these. What is no option is made by `part(None)`"
                )
        piece()
    except (ValueError, TypeError, NameError) as error:
        reason = str(error).rstrip(".")
        if isinstance(error, TypeError):
            reason = f"without arguments it cannot be made ({reason}); give each field a default"
        raise ValueError(f"`{name}` cannot be {kind.noun}: {reason}.") from error
    return piece


def _can_be_said(kind: Any) -> bool:
    origin = typing.get_origin(kind)
    if origin is tuple:
        return all(inner is Ellipsis or _can_be_said(inner) for inner in typing.get_args(kind))
    if origin is typing.Literal:
        return all(isinstance(value, str) for value in typing.get_args(kind))
    return kind in (bool, int, float, str)


@dataclass(frozen=True)
class Option:
    """One field of a component that a configuration may set."""

    name: str
    kind: Any
    """Its type, without `None`."""
    is_optional: bool
    """Whether it may be None."""
    field: dataclasses.Field
    section: type | None
    """The dataclass whose options stand below it, if its value is one."""
    item: type | None
    """The dataclass of each entry, if its value may be a list of sections: `name.0`, `name.1` and so on."""
    choice: Choice | None
    is_place: bool
    """Whether it is a `Place`, or a tuple of them."""

    def default(self) -> Any:
        """Return the value of a field that nothing is said about; `MISSING` where something must be."""
        if self.field.default_factory is not MISSING:
            return self.field.default_factory()
        return self.field.default


def options_of(component: type) -> dict[str, Option]:
    """Return the options of a component by name, in the order of its fields."""
    return _options_of(component)


@cache
def _options_of(component: Any) -> dict[str, Option]:
    hints = typing.get_type_hints(component)
    annotations = typing.get_type_hints(component, include_extras=True)
    options = {}
    for field in dataclasses.fields(component):
        if field.metadata.get("part") or not field.init:
            continue
        kind, is_optional = _without_none(hints[field.name])
        chosen = field.metadata.get("choice")
        section, item = (None, None) if chosen is not None else _sections(kind)
        is_optional = is_optional or (chosen is not None and field.default is None)
        is_place = _names_places(annotations[field.name])
        options[field.name] = Option(field.name, kind, is_optional, field, section, item, chosen, is_place)
    return options


def _names_places(annotation: Any) -> bool:
    if _PLACE in getattr(annotation, "__metadata__", ()):
        return True
    return any(_names_places(inner) for inner in typing.get_args(annotation))


def _sections(hint: Any) -> tuple[Any, Any]:
    """Return the dataclass that a type allows, and the one of which it allows a tuple; None for what it does not."""
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    several = (typing.get_args(kind)[0] for kind in kinds if typing.get_origin(kind) is tuple)
    found = [next(filter(dataclasses.is_dataclass, some), None) for some in (kinds, several)]
    return found[0], found[1]


def _without_none(hint: Any) -> tuple[Any, bool]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        others = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        return (others[0] if len(others) == 1 else hint), len(others) < len(typing.get_args(hint))
    return hint, False


def with_places(component: Any, change: Callable[[str], str]) -> Any:
    """Return a component, and all that it holds, with each `Place` that it names as `change` makes it."""
    options = options_of(type(component))
    values = {name: change_places(option, getattr(component, name), change) for name, option in options.items()}
    return dataclasses.replace(component, **values)


def change_places(option: Option, value: Any, change: Callable[[str], str]) -> Any:
    """Return the value of an option with each `Place` in it as `change` makes it."""
    if isinstance(value, tuple | list):
        return type(value)(change_places(option, item, change) for item in value)
    if dataclasses.is_dataclass(value):
        return with_places(value, change)
    return change(value) if option.is_place and isinstance(value, str) else value


def texts_of(component: type) -> dict[str, str]:
    """Return the text of each option of a component, in one line."""
    return _texts_of(component)


@cache
def _texts_of(component: Any) -> dict[str, str]:
    texts: dict[str, str] = {}
    for kind in reversed(component.__mro__):
        if dataclasses.is_dataclass(kind):
            for entry in parse_from_object(kind).params:
                for name in entry.arg_name.split(","):
                    texts[name.strip()] = " ".join((entry.description or "").split())
    return texts


def all_options(component: type, prefix: str = "") -> Iterator[tuple[str, Option, type]]:
    """Yield (dotted name, option, the component that has it) of everything that a configuration can say.

    Of a list of sections these are the options of its first; where a single section may stand for the list, those alone
    that it has not.
    """
    for name, option in options_of(component).items():
        yield prefix + name, option, component
        if option.section is not None:
            yield from all_options(option.section, f"{prefix}{name}.")
        if option.item is not None:
            known = set() if option.section is None else options_of(option.section).keys()
            found = all_options(option.item, f"{prefix}{name}.0.")
            yield from (entry for entry in found if entry[1].name not in known)
        if option.choice is not None:
            for kind_name in option.choice.names():
                kind = option.choice.kind(kind_name)
                assert kind is not None, "a name of a table is the name of a component"
                yield from all_options(kind, f"{prefix}{name}.{kind_name}.")


def wrong_number(value: float) -> str | None:
    """Return what a number must be that no option can mean; None for any other."""
    if isinstance(value, int):
        return None if -(2**63) <= value < 2**63 else "must be an integer of 64 bits"
    if not math.isfinite(value):
        return "must be a finite number"
    least, most = SIZES
    return None if value == 0 or least <= abs(value) <= most else f"must be 0, or of {least:g} to {most:g} in size"


def check_numbers(component: Any) -> None:
    """Raise ValueError for a field of a dataclass that holds a number which cannot be meant."""
    for field in dataclasses.fields(component):
        value = getattr(component, field.name)
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, int | float) and (wanted := wrong_number(number)):
                raise ValueError(f"`{field.name}` {wanted}, but is {number}.")


def check_all_numbers(component: Any) -> None:
    """Raise ValueError for a number that cannot be meant, in a component or in those that it holds."""
    check_numbers(component)
    for name in options_of(type(component)):
        value = getattr(component, name)
        for held in value if isinstance(value, tuple) else (value,):
            if dataclasses.is_dataclass(held):
                check_all_numbers(held)


def refuse_unused(component: Any, names: tuple[str, ...], belong_to: str, *, applies: bool) -> None:
    """Raise ValueError if options were set that another one makes useless: what is said must count.

    Args:
        names: options that count only where `applies`.
        belong_to: the choice that they are for: as it is written, or words that quote what is written themselves.
    """
    quoted = belong_to if "`" in belong_to else f"`{belong_to}`"
    defaults = {field.name: field.default for field in dataclasses.fields(component)}
    for name in names:
        if not applies and getattr(component, name) != defaults[name]:
            raise ValueError(f"`{name}` belongs to {quoted} and would do nothing here; leave it out.")
