"""A configuration on the command line: a YAML file, and any option of it as `--section.option value`."""

import difflib
import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seq2seq.config.declaring import all_options, texts_of
from seq2seq.config.nodes import Node, read_yaml
from seq2seq.config.parsing import Parser
from seq2seq.config.writing import default_of, kind_of

ALIASES = {"init-from": "training.initialize_from", "config": "config"}
"""Short names of options."""
HELP_WIDTH = 120


@dataclass(frozen=True)
class Given:
    """What a command line says.

    Args:
        file: the configuration file, if one is named.
        overrides: options with their values, in their order.
        wishes: what was asked for besides: `help`, `print-config`.
    """

    file: Path | None
    overrides: list[tuple[str, str]]
    wishes: frozenset[str]


WISHES = {"-h": "help", "--help": "help", "--print-config": "print-config", "--print_config": "print-config"}


def split_arguments(arguments: Sequence[str]) -> Given:
    """Return what the words of a command line are: the file stands anywhere, options have a value behind them or `=`.

    Raises:
        ValueError: an option has no value, or there are two files.
    """
    file: Path | None = None
    overrides: list[tuple[str, str]] = []
    wishes: set[str] = set()
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word in WISHES:
            wishes.add(WISHES[word])
        elif word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            name = ALIASES.get(name, name)
            if not equals:
                if not words:
                    raise ValueError(f"`--{name}` has no value; write `--{name} VALUE`.")
                value = words.pop(0)
            if name == "config":
                file = _only(file, value)
            else:
                overrides.append((name, value))
        else:
            file = _only(file, word)
    return Given(file, overrides, frozenset(wishes))


def _only(before: Path | None, file: str) -> Path:
    if before is not None:
        raise ValueError(
            f"Two configuration files are named, {before} and {file}; options are `--section.option VALUE`."
        )
    return Path(file)


def read_configuration(given: Given, parser: Parser) -> Any:
    """Return the configuration that a command line describes.

    Raises:
        ValueError, OSError: the file cannot be read, or anything in it or behind it makes no sense.
    """
    if given.file is not None and not given.file.exists():
        near = difflib.get_close_matches(str(given.file), [str(path) for path in given.file.parent.glob("*.yaml")], n=1)
        hint = f" Did you mean {near[0]}?" if near else " Give a configuration file, such as configs/tsv.yaml."
        raise ValueError(f"{given.file}: no such file or directory.{hint}")
    tree = Node(None, "the command line") if given.file is None else read_yaml(given.file)
    return parser.parse(tree, given.overrides)


def help_text(program: str, description: str, component: type) -> str:
    """Return the usage of a verb and every option with its default and its text."""
    width = min(HELP_WIDTH, shutil.get_terminal_size((HELP_WIDTH, 24)).columns)
    lines = [f"usage: {program} CONFIG.yaml [--section.option VALUE ...] [--print-config]", "", description, ""]
    lines += ["  --print-config", "      print the whole configuration, defaults included, and leave"]
    lines += [f"  --{short} …\n      short for `--{name}`" for short, name in ALIASES.items() if short != name]
    for name, option, owner in all_options(component):
        if option.section is not None:
            lines += ["", f"{name}: {' '.join(texts_of(owner).get(option.name, '').split())}"]
            continue
        text = f"{texts_of(owner).get(option.name, '')} (default: {default_of(option)})"
        lines.append(f"  --{name} {kind_of(option)}")
        lines += textwrap.wrap(text, width, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines)
