"""The parser of a verb whose options argparse reads: mistakes are one line, with the option that was meant.

A verb's name enters, a parser with its options leaves. `train` and `prepare` have none, since their options are the
configuration (`config.command_line`).
"""

import argparse
import difflib
import importlib
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from seq2seq.assembly.foreign_names import instead_of_words
from seq2seq.own_pieces import said_by_user

OF_CONFIGURATIONS = ("train", "prepare")
"""The verbs whose options are the configuration."""


def parser_of(verb: str) -> "VerbParser":
    """Return the parser of a verb."""
    module = importlib.import_module(f"seq2seq.apps.{verb}")
    parser = VerbParser(
        prog=f"seq2seq {verb}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    return parser


class VerbParser(argparse.ArgumentParser):
    """A parser that raises ValueError instead of printing all its options and leaving."""

    def actions(self) -> list[argparse.Action]:
        """Return everything that can be said, options and positions."""
        return list(self._actions)

    def option_names(self) -> list[str]:
        """Return the long name of every option."""
        return [name for action in self.actions() for name in action.option_strings if name.startswith("--")]

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Refuse options that there are not before anything else: what is missing may be what was mistyped."""
        words = list(sys.argv[1:] if args is None else args)
        said = words[: words.index("--")] if "--" in words else words
        names = [name for action in self.actions() for name in action.option_strings]
        said_by_user(word.partition("=")[2] if word.startswith("--") else word for word in said)
        for word in said:
            name = word.partition("=")[0]
            if re.fullmatch(r"--?[^\W\d_][^\s]*", name) and name not in names:
                self.refuse(name)
        return super().parse_known_args(words, namespace)

    def refuse(self, name: str) -> NoReturn:
        """Raise ValueError for an option that there is not: it is another toolkit's, or perhaps mistyped."""
        instead = instead_of_words(name)
        if instead and {*re.findall(r"--[\w-]+", instead)} <= {name, *self.option_names()}:
            raise ValueError(f"there is no option `{name}`: {instead}")
        if name.startswith("--"):
            near = difflib.get_close_matches(name, self.option_names(), n=1, cutoff=0.7)
        else:
            near = [long for long in self.option_names() if long.startswith(f"-{name}")]
        self.error(f"there is no option `{name}`{f' (did you mean `{near[0]}`?)' if near else ''}")

    def print_help(self, file: Any = None) -> None:
        (file or sys.stdout).write(self.format_help())  # argparse's own passes over what cannot be written

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; `{self.prog} --help` describes the options.")
