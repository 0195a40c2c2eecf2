"""A folder of somebody else, looked at before a library reads it.

Libraries follow what the JSON of a folder names: code, pickles, weights and vocabularies elsewhere, models of the Hub.
Whatever leads out of the folder, or would be run, is refused here with the name of the file that asks for it; what is
left is safetensors, JSON and text. The arguments that say the same to the libraries are passed all the same.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seq2seq.files import is_special, read_object

REFUSED = {
    "auto_map": "code, which is never run; if your transformers has the class itself, remove the entry",
    "custom_generate": "code, which is never run; remove the entry",
    "transformers_weights": "another file of weights; they are in model.safetensors, or in the files of its index",
    "quantization_config": "weights that another library has to unpack; give a model of plain weights",
    "fusion_config": "other layers than the model's own; remove the entry",
    "mecab_kwargs": "options of another program; remove the entry",
    "sudachi_kwargs": "options of another program; remove the entry",
    "jumanpp_kwargs": "options of another program; remove the entry",
}
"""Entries of configurations that have code run or files read, and what they ask for."""
IMPLEMENTATIONS = {"attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation"}
"""Entries that name an implementation: with a slash, one to be loaded from the Hub."""
ADAPTER = "adapter_config.json"
HARMLESS = {"special_tokens_map_file", "name_or_path", "_name_or_path"}
"""What libraries note of where something was, and no longer look at."""
CONFIGURATIONS = ("*config.json", "special_tokens_map.json")
LARGEST_TOKENIZER = 2**29
"""Bytes of a vocabulary's file; those of the largest models take a tenth."""


def check_foreign_folder(folder: Path) -> None:
    """Raise ValueError, which names the file, if reading a folder by a library could run code or leave the folder."""
    check_links(folder)
    for path in sorted(file for pattern in CONFIGURATIONS for file in folder.rglob(pattern)):
        if path.name == ADAPTER:
            raise ValueError(
                f"{path} makes this an adapter of another model, which is not read; merge it and save that."
            )
        _check_entries(path, read_object(path), folder)
    for path in sorted(folder.rglob("*.index.json")):
        _check_index(path)


def check_links(folder: Path) -> None:
    """Raise ValueError if a link in a folder leads out of it, but for those of the Hub's cache to its own blobs."""
    root = folder.resolve()
    allowed = [root, root.parents[1] / "blobs"] if root.parent.name == "snapshots" else [root]
    for parent, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(parent, name)
            if not path.is_symlink():
                continue
            target = Path(os.path.realpath(path))
            if not any(target.is_relative_to(place) for place in allowed):
                raise ValueError(
                    f"{folder / path.relative_to(root)} is a link out of its folder; put the file itself there."
                )


def check_size(file: Path) -> None:
    """Raise ValueError for a file of a vocabulary that cannot be one: no file at all, or too large."""
    if is_special(file):
        raise ValueError(f"{file}: a pipe or a device, where a file is expected.")
    if file.is_file() and file.stat().st_size > LARGEST_TOKENIZER:
        raise ValueError(f"{file} has {file.stat().st_size:,} bytes, which no tokenizer has; it is damaged.")


def _check_entries(path: Path, entries: Any, folder: Path) -> None:
    for name, value in _all_entries(entries):
        if name in REFUSED and value not in (None, {}, []):
            raise ValueError(f"{path}: `{name}` asks for {REFUSED[name]}.")
        if name in IMPLEMENTATIONS and "/" in json.dumps(value):
            raise ValueError(f"{path}: `{name}` {value!r} would be loaded from the Hub, which is not done; remove it.")
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and name.endswith(("_file", "_files", "_path")) and name not in HARMLESS:
                _check_file(path, name, text, folder)


def _check_file(path: Path, name: str, text: str, folder: Path) -> None:
    """Refuse the name of a file that is there, but not in the folder; names of files that are nowhere are history."""
    named = Path(os.path.realpath(folder / text)) if "\0" not in text else folder
    if not named.is_relative_to(folder.resolve()) and os.path.lexists(folder / text):
        raise ValueError(f"{path}: `{name}` names {text!r}, which is not in this folder; remove it.")


def _all_entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every entry of every object within a value of JSON."""
    if isinstance(value, dict):
        yield from value.items()
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _all_entries(inner)


def _check_index(path: Path) -> None:
    """Raise ValueError if an index of weights names anything but a safetensors file beside it."""
    try:
        names = read_object(path)["weight_map"].values()
        wrong = [name for name in names if Path(name).name != name or not name.endswith(".safetensors")]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: it is no index of weights ({error!r}).") from None
    if wrong:
        raise ValueError(f"{path}: {wrong[0]!r} is no safetensors file beside it, and nothing else is read.")
