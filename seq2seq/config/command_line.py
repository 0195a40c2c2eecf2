"""A configuration on the command line: a YAML file, and any option of it as `--section.option value`."""

import difflib
import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seq2seq.config.declaring import all_options, options_of, texts_of
from seq2seq.config.nodes import Node, parse_yaml, read_yaml, texts_in
from seq2seq.config.parsing import Parser
from seq2seq.config.shipped import OWN_PAIRS, TUNING, shipped
from seq2seq.config.writing import default_of, kind_of
from seq2seq.own_pieces import is_own, said_by_user

ALIASES = {"init-from": "training.initialize_from", "config": "config"}
"""Short names of options."""
YAML_ENDINGS = (".yaml", ".yml")
HELP_WIDTH = 120


@dataclass(frozen=True)
class Given:
    """What a command line says.

    Args:
        file: the configuration file, if one is named.
        overrides: options with their values, in their order; None where nothing stands behind the last.
        wishes: what was asked for besides: `help`, `print-config`.
    """

    file: Path | None
    overrides: list[tuple[str, str | None]]
    wishes: frozenset[str]


FILE_HELP = (
    "FILE is a configuration (`seq2seq init` writes one), or a table of pairs: .tsv, .csv, .jsonl or .parquet. With a "
    "table, or with `--data.train.path TABLE` and no file, what is not said is as in the configuration "
    f"`{OWN_PAIRS}` that comes with the package (with `--init-from` as in `{TUNING}`), and not as below; every "
    "twentieth pair is held out to validate on; the run directory is `runs/` with the name of the table."
)
WISHES = {"-h": "help", "--help": "help", "--print-config": "print-config", "--print_config": "print-config"}


def split_arguments(arguments: Sequence[str]) -> Given:
    """Return what the words of a command line are: the file stands anywhere, options have a value behind them or `=`.

    Raises:
        ValueError: there are two files, an option has one dash, or a value where it takes none.
    """
    file: Path | None = None
    overrides: list[tuple[str, str | None]] = []
    wishes: set[str] = set()
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word in WISHES:
            wishes.add(WISHES[word])
        elif word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if f"--{name}" in WISHES:
                raise ValueError(f"`--{name}` takes no value; leave out `={value}`.")
            name = ALIASES.get(name, name)
            said = value if equals else words.pop(0) if words else None
            if name == "config":
                if said is None:
                    raise ValueError("`--config` has no value; write `--config FILE.yaml`.")
                file = _only(file, said)
            else:
                overrides.append((name, said))
        elif word.startswith("-") and len(word) > 1:
            raise ValueError(
                f"`{word}`: there is no such option; options are `--section.option VALUE`, `--help`, `-h`."
            )
        else:
            file = _only(file, word)
    said_by_user(piece for name, value in overrides for piece in pieces_in(name, value or ""))
    return Given(file, overrides, frozenset(wishes))


def pieces_in(name: str, value: str) -> list[str]:
    """Return what may be names of pieces of the user's own, in an option and its value."""
    found = [name[:end].split(".", 1)[-1] for end in _ends_of_pieces(name)]
    if is_own(value):
        try:
            found += texts_in(parse_yaml(value, name, has_lines=False))
        except ValueError:  # said where the value is read
            found.append(value)
    return found


def _ends_of_pieces(name: str) -> list[int]:
    """Return where in a dotted name that of a piece may end: at the dot, or the end, behind a colon."""
    if not is_own(name):
        return []
    end = name.find(".", name.index(":"))
    return [len(name) if end < 0 else end]


def _only(before: Path | None, file: str) -> Path:
    if before is not None:
        raise ValueError(
            f"Two files are named, {before} and {file}; one is the configuration, or a table to train on. "
            f"Options are `--section.option VALUE`, such as `--data.validation.path {file}`."
        )
    return Path(file)


def read_configuration(given: Given, parser: Parser) -> Any:
    """Return the configuration that a command line describes.

    Raises:
        ValueError, OSError: the file cannot be read, or anything in it or behind it makes no sense.
    """
    tree = Node(None, "the command line") if given.file is None else read_tree(given.file)
    override(parser, tree, given)
    return parser.parse(tree)


def read_tree(file: Path) -> Node:
    """Return what a configuration file says.

    Raises:
        ValueError, OSError: it cannot be read; what was probably meant is named.
    """
    if not file.exists():
        raise ValueError(f"{file}: no such file or directory.{_instead_of(file)}")
    if file.is_dir():
        raise ValueError(f"{file} is a folder; give a configuration file, such as {file / 'config.yaml'} of a run.")
    try:
        tree = read_yaml(file)
        said_by_user(texts_in(tree))
        return tree
    except ValueError as error:
        if file.suffix.lower() in YAML_ENDINGS:
            raise
        raise ValueError(
            f"{error} If {file} is a table of pairs, and no configuration, say of what kind: "
            f"`--data.train.path {file} --data.train.format tsv`."
        ) from None


def _instead_of(file: Path) -> str:
    """Return what may be meant by a file that is not there: one beside it, or one that comes with the package."""
    if file.stem in shipped() and file.suffix in ("", *YAML_ENDINGS):
        return f" `seq2seq init {file.stem}` writes the configuration of this name."
    near = difflib.get_close_matches(str(file), [str(path) for path in file.parent.glob("*.yaml")], n=1)
    return f" Did you mean {near[0]}?" if near else " Give a configuration file; `seq2seq init` writes one."


def override(parser: Parser, tree: Node, given: Given) -> None:
    """Put the options of a command line into what a file says.

    Raises:
        ValueError: there is no such option, or it makes no sense; the nearest of all that can be said is named.
    """
    for name, value in given.overrides:
        first = name.split(".")[0].replace("_", "-")
        near = difflib.get_close_matches(first, [word.lstrip("-") for word in (*WISHES, *ALIASES)], n=1, cutoff=0.7)
        if near and first.replace("-", "_") not in options_of(parser.component):
            raise ValueError(f"`--{name}`: there is no option `{name}`. Did you mean `--{near[0]}`?")
        parser.place(tree, name, value)


def find_pieces(parser: Parser, given: Given) -> None:
    """Find the pieces of the user's own that options name, so that help has their options as well.

    Raises:
        ValueError: one cannot be had.
    """
    for name, value in given.overrides:
        option = options_of(parser.component).get(name.split(".")[0])
        if option is not None and option.choice is not None:
            for piece in filter(is_own, pieces_in(name, value or "")):
                option.choice.kind(piece)


def help_text(program: str, description: str, component: type) -> str:
    """Return the usage of a verb and every option with its default and its text."""
    width = min(HELP_WIDTH, shutil.get_terminal_size((HELP_WIDTH, 24)).columns)
    lines = [f"usage: {program} FILE [--section.option VALUE ...] [--print-config]", "", description.strip(), ""]
    lines += [*textwrap.wrap(FILE_HELP, width), ""]
    lines += ["  --config FILE\n      the same as FILE alone"]
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
