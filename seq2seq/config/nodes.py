"""What a configuration says, before anybody asks what it means: a tree of texts that know where they were written.

A YAML file or a value of the command line enters; `Node`s leave. Nothing is guessed from how a text looks: what it
means follows from the option that it is for. Keys that stand twice, aliases and tags are refused, and so is a depth
that no configuration has, before a parser can be kept busy with it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

MAX_DEPTH = 16
NULLS = ("", "~", "null", "Null", "NULL")


@dataclass
class Node:
    """A text, a list of nodes, or nodes by name; None where a value was left out."""

    value: "str | list[Node] | dict[str, Node] | None"
    place: str
    """Where it was written, as an error begins."""

    @property
    def entries(self) -> "dict[str, Node]":
        """What stands below it by name; a section whose lines are all commented out is empty."""
        if self.value is None:
            return {}
        assert isinstance(self.value, dict), "only a section has entries"
        return self.value


def read_yaml(path: Path) -> Node:
    """Return what a YAML file says.

    Raises:
        ValueError: it is no YAML of sections and values; names the file and the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not valid UTF-8; convert the file.") from error
    node = parse_yaml(text, str(path))
    if not isinstance(node.value, dict | None):
        raise ValueError(f"{node.place}: a configuration consists of sections and values, such as `training:`.")
    return node


def parse_yaml(text: str, source: str, *, has_lines: bool = True) -> Node:
    """Return what a text in YAML says.

    Args:
        source: what it was read from.
        has_lines: whether the source has lines that an error can name.

    Raises:
        ValueError: see `read_yaml`.
    """
    events = _Events(text, source, has_lines=has_lines)
    try:
        node = events.node(depth=0) if events.starts() else Node(None, source)
        events.require_end()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise ValueError(f"{events.place(mark)}: not valid YAML: {problem}.") from None
    return node


def tree_of(value: Any, place: str) -> Node:
    """Return what values say that were read from JSON, as if they had been written in YAML."""
    if isinstance(value, dict):
        return Node({str(name): tree_of(entry, place) for name, entry in value.items()}, place)
    if isinstance(value, list):
        return Node([tree_of(item, place) for item in value], place)
    if value is None or isinstance(value, str):
        return Node(value, place)
    return Node(str(value).lower() if isinstance(value, bool) else repr(value), place)


def said_in(node: Node) -> Any:
    """Return what a node says as texts, lists and dictionaries."""
    if isinstance(node.value, list):
        return [said_in(item) for item in node.value]
    return {name: said_in(entry) for name, entry in node.value.items()} if isinstance(node.value, dict) else node.value


def texts_in(node: Node) -> Iterator[str]:
    """Yield every text below a node, names included."""
    if isinstance(node.value, str):
        yield node.value
    for entry in node.value.values() if isinstance(node.value, dict) else node.value or ():
        if isinstance(entry, Node):
            yield from texts_in(entry)
    if isinstance(node.value, dict):
        yield from node.value


class _Events:
    """A parser's events on the way to nodes."""

    def __init__(self, text: str, source: str, *, has_lines: bool) -> None:
        self.source, self.has_lines = source, has_lines
        self._events: Iterator[Any] = yaml.parse(text, Loader=yaml.SafeLoader)

    def place(self, mark: Any) -> str:
        return f"{self.source}, line {mark.line + 1}" if self.has_lines and mark is not None else self.source

    def starts(self) -> bool:
        """Return whether there is a document; skip to its content."""
        return any(isinstance(event, yaml.DocumentStartEvent) for event in self._events)

    def require_end(self) -> None:
        """Raise ValueError if something follows that is no part of the document."""
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                raise ValueError(f"{self.place(event.start_mark)}: a second document begins; a configuration is one.")

    def node(self, depth: int, event: Any = None) -> Node:
        event = next(self._events) if event is None else event
        place = self.place(event.start_mark)
        if depth > MAX_DEPTH:
            raise ValueError(f"{place}: nested deeper than any option is.")
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise ValueError(f"{place}: anchors and aliases are not for configurations; write the value itself.")
        if event.tag is not None:
            raise ValueError(f"{place}: the tag {event.tag} has no meaning here; write the plain value.")
        if isinstance(event, yaml.ScalarEvent):
            is_absent = event.implicit[0] and event.value in NULLS
            return Node(None if is_absent else event.value, place)
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
                items.append(self.node(depth + 1, item))
            return Node(items, place)
        return Node(self._entries(depth, place), place)

    def _entries(self, depth: int, place: str) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self.node(depth + 1, event)
            if not isinstance(key.value, str):
                raise ValueError(f"{key.place}: a name of an option is a word.")
            if key.value in entries:
                raise ValueError(
                    f"{key.place}: `{key.value}` stands twice, here and in {entries[key.value].place}; keep one."
                )
            value = self.node(depth + 1)
            entries[key.value] = Node(value.value, key.place)
        return entries
