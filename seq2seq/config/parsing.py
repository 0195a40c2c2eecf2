"""From what a configuration says to components: every value checked against the option that it is for.

A tree of `nodes` enters, a frozen dataclass leaves, with the dataclasses that it consists of. Whatever is not meant by
any option is an error of one line, which says where it was written, what it may be, or where it belongs.
"""

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field
from typing import Any, TypeVar

from seq2seq.config.declaring import (
    EXPERIMENTAL,
    Choice,
    Option,
    UnreadPiece,
    all_options,
    options_of,
    wrong_number,
)
from seq2seq.config.nodes import Node, parse_yaml, said_in
from seq2seq.own_pieces import is_only_read, is_own

Component = TypeVar("Component")
NO_NAMES = "none"
"""What stands for an empty list where names of a few are listed, of which one alone needs no brackets."""
TRUTHS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@dataclass(frozen=True)
class Parser:
    """Reads one kind of configuration.

    Args:
        component: the dataclass that a whole configuration makes.
        moved: what to write instead of names that options had, or why there is no such option any more, by dotted name.
        elsewhere: from a path, which ends in a dot, and a name below it that is no option, to what to say of a name
            that other programs have; None for any other.
    """

    component: type
    moved: Mapping[str, str] = field(default_factory=dict)
    elsewhere: Callable[[str, str], str | None] = lambda path, name: None

    def parse(self, tree: Node, overrides: Sequence[tuple[str, str]] = ()) -> Any:
        """Return the component that a tree describes.

        Args:
            overrides: dotted names with values, which count more than the tree, the last most.

        Raises:
            ValueError: anything that is said makes no sense; in one line.
        """
        for name, text in overrides:
            self.place(tree, name, text)
        return self._section(self.component, tree, "")

    # ---- what a command line adds ------------------------------------------------------------------------------------

    def place(self, tree: Node, dotted: str, text: str | None) -> None:
        """Put the value of an option into the tree, in place of the one that is there.

        Raises:
            ValueError: there is no such option, or no value for it (None).
        """
        component, node, path, place = self.component, tree, "", f"`--{dotted}`"
        words = dotted.split(".")
        while True:
            option = options_of(component).get(words[0])
            if option is None:
                raise ValueError(self.unknown(component, path, words[0], f"`--{dotted}`", rest=words[1:]))
            name, entries = words.pop(0), _entries_of(component, node, path)
            path = f"{path}{name}."
            if not words:
                entries[name] = _written(option, _said(dotted, text), place)
                return
            child = entries.setdefault(name, Node(None, place))
            if option.item is not None and (option.section is None or words[0].isdecimal() or _is_list(child)):
                component, node = option.item, _placed_item(path[:-1], words[0], child, place)
                path = f"{path}{words.pop(0)}."
                if not words:
                    node.value = parse_yaml(_said(dotted, text), place, has_lines=False).value
                    return
                continue
            if option.section is not None:
                component, node = option.section, child
                continue
            if option.choice is None:
                raise ValueError(f"{place}: `{path[:-1]}` is a single value and has no `{words[0]}`.")
            kind_name = _kind_name(words)
            kind = _kind(option.choice, kind_name, place)
            if kind is None:
                raise ValueError(self._no_such_kind(option.choice, path[:-1], kind_name, place))
            component, node = kind, _placed_kind(option.choice, path[:-1], kind_name, child, place)
            path = f"{path}{kind_name}."
            if not words:
                node.value = parse_yaml(_said(dotted, text), place, has_lines=False).value
                return

    # ---- components --------------------------------------------------------------------------------------------------

    def _section(self, component: type, node: Node, path: str, base: Any = None) -> Any:
        """Return a component, with the values of `base` where nothing is said."""
        options, values = options_of(component), {}
        for name, entry in _entries_of(component, node, path).items():
            if name not in options:
                raise ValueError(self.unknown(component, path, name, entry.place))
            before = getattr(base, name) if base is not None else None
            values[name] = self._value(options[name], entry, f"{path}{name}", before)
        for name, option in options.items():
            if name not in values and base is None and option.default() is MISSING:
                raise ValueError(f"{node.place}: `{path}{name}` must be given.")
        try:
            return component(**values) if base is None else dataclasses.replace(base, **values)
        except ValueError as error:
            raise ValueError(_located(str(error), node, path)) from None

    def _value(self, option: Option, node: Node, path: str, base: Any) -> Any:
        if option.choice is not None:
            return self._chosen(option.choice, option, node, path, base)
        if option.item is not None and (option.section is None or _is_list(node)):
            return self._items(option.item, node, path)
        if option.section is not None:
            return self._section(option.section, node, f"{path}.", base if base is not None else _default(option))
        if node.value is None:
            if option.is_optional:
                return None
            if option.default() is not MISSING and typing.get_origin(option.kind) is tuple:
                return ()
            raise ValueError(
                f"{node.place}: `{path}` has no value; give {described_type(option.kind)}, or leave it out."
            )
        try:
            return value_of(option.kind, node)
        except _Mismatch as mismatch:
            wanted = f"must be {described_type(option.kind)}" + (", or null" if option.is_optional else "")
            raise ValueError(f"{node.place}: `{path}` {mismatch.wanted or wanted}, but is {_shown(node)}.") from None

    def _items(self, component: type, node: Node, path: str) -> tuple[Any, ...]:
        """Return the components of a list of sections."""
        if not isinstance(node.value, list | None):
            names = ", ".join(options_of(component))
            raise ValueError(f"{node.place}: `{path}` is a list of sections ({names}), but is {_shown(node)}.")
        return tuple(self._section(component, item, f"{path}.{place}.") for place, item in enumerate(node.value or ()))

    def _chosen(self, choice: Choice, option: Option, node: Node, path: str, base: Any) -> Any:
        value = node.value
        if value is None:
            if option.is_optional:
                return None
            raise ValueError(f"{node.place}: `{path}` has no value; it is one of {choice.offered()}.")
        if isinstance(value, str):
            value = {value: Node(None, node.place)}
        if not isinstance(value, dict):
            raise ValueError(_no_kind_at_all(choice, path, node))
        if choice.own and len(value) == 1 and is_only_read(name := next(iter(value))):
            return UnreadPiece(name, said_in(value[name]) or {})
        for name in value:
            if _kind(choice, name, value[name].place) is None:
                raise ValueError(self._no_such_kind(choice, path, name, value[name].place, value))
        if len(value) != 1:
            raise ValueError(f"{node.place}: `{path}` is one of {', '.join(value) or 'several kinds'}; keep one.")
        [(name, entry)] = value.items()
        kind = choice.kind(name)
        assert kind is not None, "names were looked up above"
        same = base if type(base) is kind else _default(option)
        return self._section(kind, entry, f"{path}.{name}.", same if type(same) is kind else None)

    # ---- what is wrong -----------------------------------------------------------------------------------------------

    def unknown(self, component: type, path: str, name: str, place: str, rest: Sequence[str] = ()) -> str:
        """Return what to say of a name that is no option of a component."""
        dotted = ".".join([f"{path}{name}", *rest])
        if instead := self.moved.get(dotted) or self.moved.get(path + name):
            return f"{place}: there is no option `{dotted}` any more; {instead}."
        everything = {full: found for full, found, _ in all_options(self.component)}
        elsewhere = [full for full in everything if full.rsplit(".", 1)[-1] == name]
        begin = f"{place}: `{path[:-1]}` has no option `{name}`" if path else f"{place}: there is no option `{dotted}`"
        if elsewhere:
            shown = ", ".join(f"`{full}`" for full in elsewhere[:3])
            return f"{begin}; it belongs to {shown}."
        if instead := self.elsewhere(path, name):
            return f"{begin}. {instead}"
        single = [full for full, found in everything.items() if found.section is None]
        if rest and (near := difflib.get_close_matches(dotted, single, n=1, cutoff=0.8)):
            return f"{begin}. Did you mean `{near[0]}`?"
        if near := difflib.get_close_matches(name, options_of(component), n=1, cutoff=0.65):
            return f"{begin}. Did you mean `{path}{near[0]}`?"
        near = difflib.get_close_matches(dotted, single if path else everything, n=1, cutoff=0.5)
        near = near or [full for full in everything if difflib.get_close_matches(name, [full.rsplit(".", 1)[-1]])][:1]
        suggestion = f" Did you mean `{near[0]}`?" if near else ""
        return f"{begin}.{suggestion} `--help` lists every option."

    def _no_such_kind(
        self, choice: Choice, path: str, name: str, place: str, given: Mapping[str, Node] | None = None
    ) -> str:
        names = choice.names()
        if instead := self.moved.get(f"{path}.{name}"):
            return f"{place}: there is no option `{path}.{name}` any more; {instead}."
        for kind_name in names:
            kind = choice.kind(kind_name)
            if kind is not None and name in options_of(kind):
                return (
                    f"{place}: `{name}` belongs to a kind of `{path}`: write `{path}: {{{kind_name}: {{{name}: …}}}}`."
                )
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        suggestion = f" Did you mean `{near[0]}`?" if near else ""
        return f"{place}: `{path}` is one of {choice.offered()}, but not {name!r}.{suggestion}"


def _kind_name(words: list[str]) -> str:
    """Take the name of a kind from the front of dotted words."""
    first = words.pop(0)
    own = next((place for place, word in enumerate(words) if is_own(word)), None)
    if own is not None and not is_own(first):  # a package, and the modules in it
        first = ".".join([first, *words[: own + 1]])
        del words[: own + 1]
    return f"{first}.{words.pop(0)}" if first == EXPERIMENTAL and words else first


def _kind(choice: Choice, name: str, place: str) -> type | None:
    """Return the component of a name, if there is one; an error of one's own says where it was named."""
    try:
        return choice.kind(name)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


def _placed_kind(choice: Choice, path: str, kind_name: str, child: Node, place: str) -> Node:
    """Return the node of a kind that the command line names, which takes the place of another that a file names.

    Whatever else the file says there stays, to be refused.
    """
    if isinstance(child.value, list):
        raise ValueError(_no_kind_at_all(choice, path, child))
    said = {child.value: Node(None, child.place)} if isinstance(child.value, str) else child.value or {}
    if kind_name not in said and [choice.kind(name) is not None for name in said] == [True]:
        said, child.place = {}, place
    child.value = said
    return said.setdefault(kind_name, Node(None, place))


def _is_list(node: Node) -> bool:
    return isinstance(node.value, list)


def _placed_item(path: str, number: str, child: Node, place: str) -> Node:
    """Return the node of an entry of a list that the command line names; one behind the last is added.

    Raises:
        ValueError: there is no such entry, or no list.
    """
    if child.value is None:
        child.value = []
    if not isinstance(child.value, list):
        raise ValueError(f"{place}: `{path}` is a single section ({child.place}); write it as a list to have several.")
    if not number.isdecimal():
        names = " or ".join(f"`--{path}.{index}.{number}`" for index in range(max(1, min(2, len(child.value)))))
        known = f" of {len(child.value)}" if child.value else ""
        raise ValueError(f"{place}: `{path}` is a list{known}; say of which entry, as in {names}.")
    if int(number) > len(child.value):
        raise ValueError(
            f"{place}: entries of `{path}` are counted from 0, and it has {len(child.value)}; "
            f"the next is `--{path}.{len(child.value)}`."
        )
    if int(number) == len(child.value):
        child.value.append(Node(None, place))
    return child.value[int(number)]


def _no_kind_at_all(choice: Choice, path: str, node: Node) -> str:
    return f"{node.place}: `{path}` is one of {choice.offered()}, with its options below it."


def _entries_of(component: type, node: Node, path: str) -> dict[str, Node]:
    """Return what stands below a section by name, to be read or added to; raise ValueError where there is a value."""
    if node.value is None:
        node.value = {}
    if not isinstance(node.value, dict):
        names = ", ".join(options_of(component)) or "no options"
        raise ValueError(f"{node.place}: `{path[:-1] or 'a configuration'}` is a section ({names}), not a value.")
    return node.value


def _said(name: str, text: str | None) -> str:
    if text is None:
        raise ValueError(f"`--{name}` has no value; write `--{name} VALUE`.")
    return text


def _written(option: Option, text: str, place: str) -> Node:
    """Return the node of a value that was given on the command line."""
    if option.choice is None and option.section is None and typing.get_origin(option.kind) is not tuple:
        is_null = option.is_optional and text in ("null", "~")
        return Node(None if is_null else text, place)
    return Node(parse_yaml(text, place, has_lines=False).value, place)


def _default(option: Option) -> Any:
    default = option.default()
    return None if default is MISSING else default


def _located(message: str, node: Node, path: str) -> str:
    """Return the message of a component that refuses its options, with the place of the first that it names."""
    names = re.findall(r"`([\w.]+)`", message)
    given = [node.entries[name.rsplit(".", 1)[-1]] for name in names if name.rsplit(".", 1)[-1] in node.entries]
    section = f" `{path[:-1]}`:" if path and not any(name.startswith(path) for name in names) else ""
    return f"{given[0].place if given else node.place}:{section} {message}"


# ---- values ----------------------------------------------------------------------------------------------------------


class _Mismatch(Exception):
    """A text is no value of a type, or a number that cannot be meant."""

    def __init__(self, wanted: str | None = None) -> None:
        super().__init__(wanted)
        self.wanted = wanted


def value_of(kind: Any, node: Node) -> Any:
    """Return the value of a type that a node says; raise `_Mismatch` if it is none."""
    origin = typing.get_origin(kind)
    if origin is tuple:
        return _tuple_of(kind, node)
    if not isinstance(node.value, str):
        raise _Mismatch
    text = node.value
    if origin is typing.Literal:
        if text not in typing.get_args(kind):
            raise _Mismatch
        return text
    if kind is bool:
        if text.lower() not in TRUTHS:
            raise _Mismatch
        return TRUTHS[text.lower()]
    if kind in (int, float):
        return _number(kind, text)
    assert kind is str, f"there is no option of the type {kind}"
    return text


def _number(kind: type, text: str) -> Any:
    try:
        number = kind(text)
    except ValueError:
        raise _Mismatch from None
    if wanted := wrong_number(number):
        raise _Mismatch(wanted)
    return number


def _tuple_of(kind: Any, node: Node) -> tuple:
    kinds: Sequence[Any] = typing.get_args(kind)
    if isinstance(node.value, str) and typing.get_origin(kinds[0]) is typing.Literal:
        return () if node.value == NO_NAMES else (value_of(kinds[0], node),)
    if not isinstance(node.value, list):
        raise _Mismatch
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = [kinds[0]] * len(node.value)
    if len(kinds) != len(node.value):
        raise _Mismatch
    return tuple(value_of(item_kind, item) for item_kind, item in zip(kinds, node.value, strict=True))


def described_type(kind: Any) -> str:
    """Return what a value of a type is, in words."""
    origin = typing.get_origin(kind)
    if origin is typing.Literal:
        return f"one of {', '.join(map(str, typing.get_args(kind)))}"
    if origin is tuple:
        kinds = typing.get_args(kind)
        if typing.get_origin(kinds[0]) is typing.Literal:
            return f"one of {', '.join(map(str, typing.get_args(kinds[0])))}, a list of some, or {NO_NAMES}"
        items = "texts" if kinds[0] is str else "numbers"
        return f"a list of {items}, such as [a, b]" if kinds[-1] is Ellipsis else f"a list of {len(kinds)} {items}"
    if isinstance(kind, types.UnionType):
        return " or ".join(described_type(one) for one in typing.get_args(kind))
    return {bool: "true or false", int: "a whole number", float: "a finite number", str: "a text"}[kind]


def _shown(node: Node) -> str:
    if isinstance(node.value, str):
        return repr(node.value) if len(node.value) <= 60 else repr(node.value[:60] + "…")
    return "a list" if isinstance(node.value, list) else "a section"
