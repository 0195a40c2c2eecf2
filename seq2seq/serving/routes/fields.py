"""Tables of what a request's body may hold: they check bodies, and are written out as JSON Schema.

Enters a value as JSON or a form has it; leave the values of known fields, each of its kind and within its bounds. The
description of the interface (`openapi`) is made of the same tables, so that it says what is checked.
"""

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from seq2seq.serving.requests import RequestRefused

Kind = Literal["text", "texts", "integer", "number", "boolean", "options", "fields", "anything", "nothing"]
"""`texts` is one or a list of them; `options` are names with numbers, texts or truth values; `fields` a table; null
alone is `nothing`."""
JSON_NAMES: dict[Kind, str] = {
    "text": "a text",
    "texts": "a text or a list of texts",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "options": "an object of names with numbers, texts, true or false",
    "fields": "an object",
    "nothing": "null, since there is nothing of its kind here",
}
WITHOUT_NUL = "^[^\\u0000]*$"
MOST_OPTIONS = 64
"""Entries of an object of options."""
LARGEST = 2**53
"""Size up to which JSON's integers are the same in every language."""


def invalid(path: str, wanted: str) -> RequestRefused:
    return RequestRefused(422, "invalid_field", f"`{path}` {wanted}.")


@dataclass(frozen=True)
class Field:
    """One field: its kind and bounds, and what it is for."""

    name: str
    kind: Kind
    text: str
    required: bool = False
    least: float | None = None
    most: float | None = None
    """Bounds of a number, or of the length of a list of texts."""
    choices: tuple[Any, ...] = ()
    """All values there are, where they are few."""
    fields: tuple["Field", ...] = ()
    """Of an object."""
    may_be_null: bool = True
    """Whether null says the same as nothing."""
    may_be_empty: bool = True
    """Whether a text may be the empty one."""
    example: Any = None
    names: Literal["model", "source", "source_or_auto", "target"] | None = None
    """Of what is served: models or languages, of which there are no others; it is refused where they are looked up."""

    def value(self, given: Any, path: str) -> Any:
        """Return the value if it is one that this field can have; RequestRefused says what it can be."""
        if given is None and self.may_be_null and not self.required:
            return None
        if self.kind == "anything":
            return given
        if not self._is_of_kind(given):
            raise invalid(path, f"must be {JSON_NAMES[self.kind]}, but is {brief(given)}")
        if self.choices and not any(_is_same(given, choice) for choice in self.choices):
            raise invalid(path, f"must be {' or '.join(map(brief, self.choices))}, but is {brief(given)}")
        if self.kind in ("integer", "number"):
            self._check_bounds(given, path)
            return int(given) if self.kind == "integer" else given  # 2.0 is a whole number in JSON
        elif self.kind == "texts" and isinstance(given, list):
            self._check_number_of_texts(len(given), path)
        elif self.kind == "fields":
            return checked_fields(self.fields, given, f"{path}.")
        if not self.may_be_empty and given == "":
            raise invalid(path, "must not be empty")
        return given

    def from_form(self, text: str, path: str) -> Any:
        """Return the value that a text of a form stands for, checked; what is no number stays a text."""
        given: Any = text
        if self.kind == "boolean" and text.lower() in ("true", "false", "0", "1"):
            given = text.lower() in ("true", "1")
        elif self.kind in ("integer", "number") and re.fullmatch(r"-?\d{1,15}", text):
            given = int(text)
        elif self.kind == "number" and re.fullmatch(r"-?\d{1,15}\.\d{1,15}", text):
            given = float(text)
        return self.value(given, path)

    def _is_of_kind(self, given: Any) -> bool:
        match self.kind:
            case "text":
                return isinstance(given, str)
            case "texts":
                return isinstance(given, str) or (
                    isinstance(given, list) and all(isinstance(text, str) for text in given)
                )
            case "integer":
                return is_number(given) and given == int(given)
            case "number":
                return is_number(given)
            case "boolean":
                return isinstance(given, bool)
            case "nothing":
                return given is None
            case "options":
                return isinstance(given, dict) and len(given) <= MOST_OPTIONS and all(map(_is_option, given.values()))
        return isinstance(given, dict)

    def _check_bounds(self, number: float, path: str, unit: str = "") -> None:
        if self.least is not None and number < self.least:
            raise invalid(path, f"must be at least {self.least:g}{unit}, but is {number:g}{unit}")
        if self.most is not None and number > self.most:
            raise invalid(path, f"must be at most {self.most:g}{unit}, but is {number:g}{unit}")

    def _check_number_of_texts(self, number: int, path: str) -> None:
        if self.most is not None and number > self.most:
            message = f"`{path}` has {number} texts; send at most {self.most:g} at once."
            raise RequestRefused(413, "too_many_texts", message, limit=self.most)
        self._check_bounds(number, path, " texts")

    def schema(self, known: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
        """Return the field as JSON Schema: what `value` accepts, but of names those that are known."""
        schema: dict[str, Any] = self._schema_of_kind(known)
        if self.kind in ("integer", "number"):
            schema |= {"minimum": -LARGEST if self.least is None else self.least}
            schema |= {"maximum": LARGEST if self.most is None else self.most}
        choices = self.choices or known.get(self.names or "", ())
        if choices:
            schema = {"enum": list(choices)}
        if self.may_be_null and not self.required and self.kind != "anything":
            schema = {"anyOf": [schema, {"type": "null"}]}
        if self.example is not None and (not choices or self.example in choices):
            schema["examples"] = [self.example]
        return schema | {"description": self.text}

    def _schema_of_kind(self, known: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
        text: dict[str, Any] = {"type": "string", "pattern": WITHOUT_NUL}
        if not self.may_be_empty:
            text["minLength"] = 1
        match self.kind:
            case "text":
                return text
            case "texts":
                several: dict[str, Any] = {"type": "array", "items": text}
                several |= {} if self.least is None else {"minItems": int(self.least)}
                several |= {} if self.most is None else {"maxItems": int(self.most)}
                return {"anyOf": [text, several]}
            case "options":
                one: dict[str, Any] = {"type": ["string", "number", "boolean", "null"], "pattern": WITHOUT_NUL}
                one |= {"minimum": -LARGEST, "maximum": LARGEST}
                names = {"pattern": WITHOUT_NUL}
                schema = {"type": "object", "additionalProperties": one, "propertyNames": names}
                return schema | {"maxProperties": MOST_OPTIONS}
            case "fields":
                return object_schema(self.fields, known)
            case "anything":
                return {}
            case "nothing":
                return {"type": "null"}
        return {"type": self.kind}


def is_number(value: Any) -> bool:
    """Return whether this is a finite number that other languages can hold as well, and no truth value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and abs(value) <= LARGEST


def _is_same(given: Any, choice: Any) -> bool:
    """Return whether these are the same in JSON: 0.0 is 0 there, and false is not."""
    return bool(given == choice) and isinstance(given, bool) == isinstance(choice, bool)


def _is_option(value: Any) -> bool:
    return value is None or isinstance(value, str | bool) or is_number(value)


def checked_fields(fields: tuple[Field, ...], given: Any, path: str = "") -> dict[str, Any]:
    """Return all values that a body says of these fields, those alone; null says nothing.

    Raises:
        RequestRefused: it is no object, has fields that there are not, lacks one, or has a value that cannot be.
    """
    known = {field.name: field for field in fields}
    if not isinstance(given, dict):
        raise invalid(path.rstrip(".") or "body", f"must be an object, but is {brief(given)}")
    for name in given:
        if name not in known:
            raise unknown_field(path, name, known)
    for name, field in known.items():
        if field.required and name not in given:
            raise invalid(path + name, f"is missing: {field.text[0].lower()}{field.text[1:].rstrip('.')}")
    values = {name: known[name].value(value, path + name) for name, value in given.items()}
    return {name: value for name, value in values.items() if value is not None}


def checked_form(fields: tuple[Field, ...], given: Mapping[str, str]) -> dict[str, Any]:
    """Return what a form says of these fields; it has texts alone, of which numbers are made."""
    known = {field.name: field for field in fields}
    for name in given:
        if name not in known:
            raise unknown_field("", name, known)
    return checked_fields(fields, {name: known[name].from_form(text, name) for name, text in given.items()})


def unknown_field(path: str, name: str, known: Mapping[str, Any]) -> RequestRefused:
    near = difflib.get_close_matches(name[:100], known, n=1, cutoff=0.6)
    hint = f"; did you mean `{near[0]}`?" if near else f"; there are {', '.join(f'`{other}`' for other in known)}."
    return RequestRefused(422, "invalid_field", f"There is no field `{path}{name[:100]}`{hint}")


def object_schema(fields: tuple[Field, ...], known: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Return the table as JSON Schema; `known` are names of what is served, by what `Field.names` says."""
    schema: dict[str, Any] = {"type": "object", "properties": {field.name: field.schema(known) for field in fields}}
    if required := [field.name for field in fields if field.required]:
        schema["required"] = required
    return schema | {"additionalProperties": False}


def brief(value: Any) -> str:
    """Return a value as an error shows it: short, and never the whole of a text."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "…"
