"""What makes a good file a bad one: strategies of hypothesis that know the structure of what they spoil.

Bytes, a value of JSON, rows of a table, a file of weights or a configuration enter; leaves the same with one thing
wrong, or sometimes with nothing that matters: what has to be refused is not for these to know.
"""

import json
import struct
from typing import Any

from hypothesis import strategies as st

DEEP = 100_000
ODD_TEXTS = (
    *("", " ", "a", "null", "true", "-1", "1e999", "nan", ".inf", "../outside", "/etc/passwd", "y\ny"),
    *("\x00", "\ufeff", "\u2028", "\u202e", "\ud800", "é" * 300, "a/b", "!!python/object/apply:os.getcwd []", "*a"),
)
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 7, 1.5, -0.0, 1e308, float("nan"), float("inf"), -float("inf")),
    *(2**31, 2**63, 2**64, 10**12, 10**30, -(10**30), [], {}, [1], ["a"], [[[]]], {"a": 1}, {"": None}),
    *({"auto_map": {"AutoTokenizer": ["evil.Evil", None]}}, *ODD_TEXTS),
)
BLOCKS = (
    b"\x00",
    b"\xff\xfe",
    b"\xc3",
    b"\r",
    b"\r\n",
    b"\n",
    b"\t",
    b'"',
    b"'",
    b",",
    b"\xef\xbb\xbf",
    b"\x1f\x8b\x08",
)
DTYPES = ("F64", "F32", "F16", "BF16", "I64", "I8", "BOOL", "F8_E4M3", "U8", "NONE", "", 3, None)


@st.composite
def spoiled_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """Return bytes that were flipped, cut, doubled, or have something put between them."""
    how = draw(st.sampled_from(("cut", "flip", "put", "empty", "double", "zeros", "random", "front")))
    place = draw(st.integers(0, max(len(data) - 1, 0)))
    if how == "cut":
        return data[:place]
    if how == "flip":
        flipped = bytearray(data)
        for _ in range(draw(st.integers(1, 8)) if data else 0):
            flipped[draw(st.integers(0, len(data) - 1))] ^= draw(st.integers(1, 255))
        return bytes(flipped)
    if how == "put":
        return data[:place] + draw(st.sampled_from(BLOCKS) | st.binary(min_size=1, max_size=20)) + data[place:]
    if how == "zeros":
        return data[:place] + bytes(len(data) - place)
    if how == "front":
        return draw(st.sampled_from((*BLOCKS, b"PK\x03\x04", b"\x80\x04", b"BZh9", b"#!/bin/sh\n"))) + data
    return {"empty": b"", "double": data * 2}.get(how) or draw(st.binary(max_size=300))


@st.composite
def spoiled_json(draw: st.DrawFn, value: Any) -> bytes:
    """Return JSON in which one entry has another value or name, is gone or stands twice; or that is nested too deep."""
    how = draw(st.sampled_from(("value",) * 6 + ("name", "gone", "twice", "more", "deep", "whole", "bytes")))
    text = json.dumps(value)
    if how == "bytes":
        return draw(spoiled_bytes(text.encode()))
    if how == "deep":
        opening = draw(st.sampled_from(("[", '{"a":')))
        return text.replace(": ", f": {opening * DEEP}", 1).encode()
    if how == "whole":
        return _text(draw(st.sampled_from(ODD_VALUES)))
    changed = json.loads(text)
    holder, key = draw(st.sampled_from(places(changed) or [({"a": 1}, "a")]))
    odd = draw(st.sampled_from(ODD_VALUES))
    if how == "value":
        holder[key] = odd
    elif how == "gone":
        del holder[key]
    elif how == "name" and isinstance(holder, dict):
        holder[draw(st.sampled_from(ODD_TEXTS))] = holder.pop(key)
    elif isinstance(holder, dict):
        holder[f"{key}{'' if how == 'more' else ' '}"] = odd
    if how == "twice":
        return _text(changed)[:-1] + b"," + _text(value)[1:]
    return _text(changed)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every place of a value of JSON: what holds it, and its key there; the first hundred of a long list."""
    found = []
    if isinstance(value, dict):
        found = [(value, key) for key in value]
    elif isinstance(value, list):
        found = [(value, index) for index in range(min(len(value), 100))]
    return [*found, *(place for holder, key in found for place in places(holder[key]))]


def _text(value: Any) -> bytes:
    return json.dumps(value).encode()


@st.composite
def spoiled_weights(draw: st.DrawFn, data: bytes) -> bytes:
    """Return a file of safetensors whose header lies, or whose numbers are none."""
    how = draw(st.sampled_from(("bytes", "header", "header", "dtype", "shape", "numbers", "gone", "more", "length")))
    if how == "bytes":
        return draw(spoiled_bytes(data))
    (size,) = struct.unpack("<Q", data[:8])
    if how == "length":
        lied = draw(st.sampled_from((0, 1, size - 1, size + 1, len(data), 2**31, 2**40, 2**63, 2**64 - 1)))
        return struct.pack("<Q", lied) + data[8:]
    header, rest = json.loads(data[8 : 8 + size]), data[8 + size :]
    names = sorted(set(header) - {"__metadata__"})
    name = draw(st.sampled_from(names))
    if how == "header":
        return with_header(draw(spoiled_json(header)), rest)
    if how == "numbers":
        begin, end = header[name]["data_offsets"]
        number = draw(
            st.sampled_from((b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f", b"\xff\xff\x7f\x7f", b"\x01\x00\x00\x00"))
        )
        filled = number * ((end - begin) // 4) if draw(st.booleans()) else number + rest[begin + 4 : end]
        return with_header(_text(header), rest[:begin] + filled + rest[end:])
    if how == "gone":
        header.pop(name)
    elif how == "more":
        header[draw(st.sampled_from(("more", "", f"{name}.more", "encoder.layers.1000000.norm.weight")))] = {
            "dtype": "F32",
            "shape": [0],
            "data_offsets": [len(rest), len(rest)],
        }
    elif how == "dtype":
        for changed in names if draw(st.booleans()) else [name]:
            header[changed]["dtype"] = draw(st.sampled_from(DTYPES))
    else:
        shape = header[name]["shape"]
        odd = ([], [0], shape[::-1], [*shape, 1], [10**12, 0], [-1], ["1"], shape * 2, [2**63, 2], None)
        header[name]["shape"] = draw(st.sampled_from(odd))
    return with_header(_text(header), rest)


def with_header(header: bytes, rest: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header + rest


@st.composite
def spoiled_lines(draw: st.DrawFn, rows: list[bytes]) -> list[bytes]:
    """Return rows of which a few are something else; as many as before, or with some put in or left out."""
    odd = st.sampled_from(
        (
            *(
                b"",
                b" ",
                b"\t",
                b"\t\t\t",
                b"y",
                b"1",
                b"\x00",
                b"a\x00b\tc",
                b"\xff\xfe",
                b"\xc3(",
                b"\xed\xa0\x80",
                b"\r",
            ),
            *(
                b"a\rb\tc",
                b'"',
                b'"a\tb',
                b"a,b,c,d",
                b'{"a": 1}',
                b"[1]",
                b"[" * DEEP,
                b"\xef\xbb\xbfa\tb",
                b"\xe2\x80\xa8\tx",
            ),
            *(
                b"a" * 5000,
                b"a\t" * 3000,
                b"\xf0\x9f\x98\x80" * 500,
                b"<s></s><pad><unk>\t<eos>",
                b"\x0b\x0c\x1c\x85\tb",
            ),
        )
    ) | st.binary(max_size=40).map(lambda line: line.replace(b"\n", b""))
    changed = list(rows)
    for _ in range(draw(st.integers(1, 3))):
        index = draw(st.integers(0, len(changed) - 1))
        how = draw(st.sampled_from(("replace", "insert", "spoil")))
        if how == "replace":
            changed[index] = draw(odd)
        elif how == "insert":
            changed.insert(index, draw(odd))
        else:
            changed[index] = draw(spoiled_bytes(changed[index])).replace(b"\n", b"")
    return changed


YAML_LINES = (
    *("  deep: " + "[" * 5_000, "deep: " + "{a: " * 5_000, "a: &a [b, b]", "b: *a", "<<: *a", "--- {}", "...", "\t- a"),
    *("!!python/object/apply:os.system ['touch SENTINEL']", "run: !!python/name:os.system", "? [a]\n: b", "%YAML 9.9"),
    *(
        "bomb: &b [&c [lol,lol,lol,lol], *c, *c, *c, *c, *c]",
        "seed: 0x10",
        "seed: 1_000",
        "seed: 1:30",
        "seed: 2001-01-01",
    ),
    *(
        "model:",
        "model: {}",
        "model: []",
        "optimizer: 3",
        "data: null",
        "training: {max_steps: 1, max_steps: 2}",
        "@",
        "`a`",
    ),
    *("key: 'open", 'key: "\\ud800"', "- a", "~: 1", "1: 2", "true: 1", "'': 1", "model: {d_model: NaN}", "  x: y: z"),
)


@st.composite
def spoiled_yaml(draw: st.DrawFn, text: str) -> bytes:
    """Return a configuration with a line that is odd, doubled, moved, indented otherwise or has another value."""
    how = draw(st.sampled_from(("line", "line", "double", "indent", "value", "value", "bytes", "swap")))
    if how == "bytes":
        return draw(spoiled_bytes(text.encode()))
    rows = text.rstrip("\n").split("\n")
    index = draw(st.integers(0, len(rows) - 1))
    if how == "line":
        rows.insert(index, draw(st.sampled_from(YAML_LINES)))
    elif how == "double":
        rows.insert(draw(st.integers(0, len(rows))), rows[index])
    elif how == "indent":
        rows[index] = " " * draw(st.integers(0, 9)) + rows[index].lstrip()
    elif how == "swap":
        other = draw(st.integers(0, len(rows) - 1))
        rows[index], rows[other] = rows[other], rows[index]
    else:
        odd = draw(st.sampled_from(ODD_VALUES))
        rows[index] = rows[index].partition(":")[0] + ": " + (odd if isinstance(odd, str) else json.dumps(odd))
    return "\n".join([*rows, ""]).encode("utf-8", "surrogatepass")
