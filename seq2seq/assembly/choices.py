"""A component from options: those that are fields of its class, by name."""

import dataclasses
from collections.abc import Mapping
from typing import Any


def made(kind: type[Any], options: Mapping[str, Any]) -> Any:
    """Return a component of this kind, a frozen dataclass, with those of the options that it has."""
    names = {field.name for field in dataclasses.fields(kind)}
    return kind(**{name: value for name, value in options.items() if name in names})
