"""What README.md and the pages of docs/ say that can be checked: commands, flags, options, files.

Texts of Markdown enter; words leave. Whatever stands in a block of code or between backticks counts as said.
"""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from seq2seq.apps.command import VERBS
from seq2seq.apps.decode_export import parser as parser_of_exports
from seq2seq.apps.verb_parser import OF_CONFIGURATIONS, VerbParser, parser_of
from seq2seq.assembly.configuration import RunConfig
from seq2seq.config.command_line import ALIASES, WISHES
from seq2seq.config.declaring import all_options

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8")
    for page in sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
}
DOORS = {"train.py": "train", "decode.py": "decode"}
LAUNCHERS = ("accelerate", "torchrun", "python", ".venv/bin/python")


def code_blocks(text: str, kind: str = r"[^\n]*") -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def spans(text: str) -> list[str]:
    """Return what stands between backticks outside of blocks, in one line each."""
    outside = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return [" ".join(span.split()) for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", outside)]


def said(text: str) -> Iterator[list[str]]:
    """Yield the words of each line of code, continued lines joined and comments dropped, and of each span."""
    for line in [*"\n".join(code_blocks(text)).replace("\\\n", " ").splitlines(), *spans(text)]:
        try:
            yield shlex.split(line, comments=True)
        except ValueError:  # a quotation that is not closed: no command
            continue


def commands(text: str) -> Iterator[list[str]]:
    """Yield verb and words of each command of ours, whichever way it is started."""
    for words in said(text):
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            words = words[1:]
        if words[:1] == ["seq2seq"] and len(words) > 1 and re.fullmatch(r"[a-z]+", words[1]):
            yield words[1:]
        elif words and (words[0] in DOORS or words[0] in LAUNCHERS) and (at := position(words)) is not None:
            yield [DOORS[words[at]], *words[at + 1 :]]


def position(words: list[str]) -> int | None:
    """Return where `train.py` or `decode.py` stands in a command."""
    return next((at for at, word in enumerate(words) if word in DOORS), None)


def flags_of(words: list[str]) -> list[str]:
    """Return the flags of a command up to where another begins."""
    ends = [at for at, word in enumerate(words) if word in ("|", ">", "<", "&&", "--")]
    return [word.partition("=")[0] for word in words[: min(ends, default=len(words))] if word.startswith("--")]


@cache
def options() -> frozenset[str]:
    """Return the dotted name of every option and section of a configuration."""
    names = [name.replace(".0.", ".") for name, _, _ in all_options(RunConfig)]
    return frozenset(".".join(name.split(".")[:end]) for name in names for end in range(1, name.count(".") + 2))


@cache
def flags(verb: str) -> frozenset[str]:
    """Return the flags of a verb."""
    if verb in OF_CONFIGURATIONS:
        return frozenset(f"--{name}" for name in (*options(), *ALIASES)) | WISHES.keys()
    found = {*parser_of(verb).option_names()}
    if verb == "decode":
        exports = parser_of_exports()
        assert isinstance(exports, VerbParser)
        found |= {*exports.option_names()}
    return frozenset(found)


@cache
def all_flags() -> frozenset[str]:
    return frozenset({"--version"}).union(*map(flags, VERBS))


def of_the_toolkit(name: str) -> str:
    """Return what of a dotted name is the toolkit's: without numbers of lists, and up to a piece of the user's own."""
    return re.sub(r"\.\d+(?=\.|$)|\.\w+:.*$", "", name)


def dotted(text: str) -> Iterator[str]:
    """Yield each name between backticks that begins with a section of a configuration and a dot."""
    sections = "|".join(sorted({name.partition(".")[0] for name in options()}))
    for span in spans(text):
        if found := re.match(rf"(?:--)?((?:{sections})(?:\.\w+)+)(?=$|[ :=])", span):
            yield of_the_toolkit(found[1])
