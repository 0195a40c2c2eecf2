"""The configuration of a run from the arguments of a function call.

Pairs, a configuration and options in the forms that Python has enter; a `RunConfig` leaves, as a command line makes
one: by the same names, with the same errors. Pairs that a program has in memory become files in the run directory, so
that the `train` verb can go on with the run.
"""

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from seq2seq.assembly.configuration import PARSER, RunConfig
from seq2seq.assembly.given_pairs import is_named, write_pairs
from seq2seq.assembly.own_pairs import entries_at, shipped_values
from seq2seq.config.command_line import pieces_in, read_tree
from seq2seq.config.nodes import Node, texts_in, tree_of
from seq2seq.config.shipped import HELD_OUT_FOLDS
from seq2seq.config.writing import plain
from seq2seq.data.options import DataOptions
from seq2seq.own_pieces import said_by_user

PAIRS_FOLDER = "pairs"
"""In a run directory, the pairs that a program had in memory."""
MOST_HELD_OUT = 1000
"""Pairs that are held out of very many; one in twenty of these would take long to validate."""
_PLACE = ("path", "source", "target", "format", "name", "split")
"""What says where a corpus is."""


def resolved_config(
    train: Any,
    validation: Any,
    run_directory: str | Path | None,
    config: str | Path | Mapping[str, Any] | RunConfig | None,
    options: Mapping[str, Any],
) -> RunConfig:
    """Return the configuration of a call; pairs that were given in memory are files in the run directory then.

    Raises:
        ValueError: anything makes no sense.
    """
    if isinstance(train, RunConfig):
        raise ValueError("A whole configuration is given by its name: `seq2seq.train(config=…)`.")
    overrides, given = list(_flat(options)), {"train": train, "validation": validation}
    tree = shipped_values(dict(overrides)) if config is None else _tree(config)
    for name, pairs in given.items():
        if pairs is not None:
            _make_room(tree, name, [option for option, _ in overrides])
            overrides += _places(pairs, name)
    if run_directory is not None:
        overrides.append(("run_directory", str(run_directory)))
    said_by_user([*texts_in(tree), *(piece for name, text in overrides for piece in pieces_in(name, text))])
    try:
        resolved: RunConfig = PARSER.parse(tree, overrides)
    except ValueError as error:
        raise ValueError(re.sub(r"^`--([\w.]+)`", r"`\1`", str(error))) from None
    folder, data = Path(resolved.run_directory) / PAIRS_FOLDER, resolved.data
    num_pairs = 0
    if train is not None and not is_named(train):
        path, num_pairs = write_pairs(train, folder, "train", _columns(data, "train"))
        data = dataclasses.replace(data, train=dataclasses.replace(data.corpora[0], path=str(path)))
    if validation is not None and not is_named(validation):
        path, _ = write_pairs(validation, folder, "validation", _columns(data, "validation"))
        data = dataclasses.replace(data, validation=dataclasses.replace(data.validation, path=str(path)))
    if not (data.validation.is_named or data.num_folds or data.streaming):
        data = dataclasses.replace(data, num_folds=_folds(num_pairs))
    return dataclasses.replace(resolved, data=data)


def _tree(config: str | Path | Mapping[str, Any] | RunConfig) -> Node:
    """Return what a configuration says, in whatever form it is given."""
    if isinstance(config, RunConfig):
        return tree_of(plain(config), "config")
    if isinstance(config, Mapping):
        return tree_of(_plain(config), "config")
    return read_tree(Path(config))


def _make_room(tree: Node, name: str, overrides: Sequence[str]) -> None:
    """Take out of a configuration where a corpus is, and for pairs to validate on that some are held out.

    Raises:
        ValueError: an option says where it is, too.
    """
    for option in _PLACE[:3]:
        if f"data.{name}.{option}" in overrides:
            raise ValueError(f"`{name}` and `data.{name}.{option}` both say where the pairs are; give one.")
    data = entries_at(tree, "data")
    if name in data and isinstance(data[name].value, list):
        raise ValueError(f"`{name}` and the list in `data.{name}` both say where the pairs are; give one.")
    for option in _PLACE:
        entries_at(tree, "data", name).pop(option, None)
    if name == "validation":
        for option in ("num_folds", "left_out_fold"):
            data.pop(option, None)


def _places(pairs: Any, name: str) -> list[tuple[str, str]]:
    """Return the options that say where pairs are; those in memory will have a file."""
    if not is_named(pairs):
        return [(f"data.{name}.path", f"{name}.jsonl")]
    if isinstance(pairs, tuple):
        return [(f"data.{name}.{side}", str(path)) for side, path in zip(("source", "target"), pairs, strict=True)]
    return [(f"data.{name}.path", str(pairs))]


def _columns(data: DataOptions, name: str) -> list[str]:
    """Return the columns of source, target and, if there are any, of languages and of the tag before a source."""
    return (data.corpora[0] if name == "train" else data.validated).columns


def _folds(num_pairs: int) -> int:
    """Return in how many parts pairs are dealt of which one is held out; 0 pairs are an unknown number."""
    return (
        max(HELD_OUT_FOLDS, num_pairs // MOST_HELD_OUT)
        if num_pairs > HELD_OUT_FOLDS or not num_pairs
        else max(2, num_pairs)
    )


def _flat(options: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Yield dotted names and values as YAML has them; a section of which nothing is said is left out."""
    for name, value in options.items():
        if isinstance(value, Mapping) and (value or not path):
            yield from _flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", _text(_plain(value))


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: a path is its text, a number of NumPy one of Python."""
    if isinstance(value, Mapping):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, bool | int | float | str):
        return value.item()
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
