"""Parts of pages that follow from the code, as Markdown: what each verb takes, and the public interface.

A page says where by `<!-- site: NAME -->`; on the site the part stands there, elsewhere nothing does.
"""

import argparse
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import seq2seq
from seq2seq.apps.command import VERBS
from seq2seq.apps.verb_parser import OF_CONFIGURATIONS, parser_of
from seq2seq.fitting.recipes import UNMEASURED, Bounds, recipe_table

ROOT = Path(__file__).resolve().parents[1]
CLASSES_OF_TRANSFORMERS = ("Seq2SeqTransformer", "Seq2SeqTransformerConfig")
"""What has hundreds of members that transformers describes; ours are in the text of the class."""


def mark(part: str) -> str:
    """Return what stands in a page for a part."""
    return f"<!-- site: {part} -->"


def verbs() -> str:
    """Return the reference of all verbs, a section each."""
    return "\n\n".join("\n".join(section_of(verb)) for verb in VERBS)


def section_of(verb: str) -> Iterator[str]:
    """Yield what a verb is for, how it is called, and a table of its options."""
    yield from (f"## `seq2seq {verb}`", "")
    if verb in OF_CONFIGURATIONS:
        module = __import__(f"seq2seq.apps.{verb}", fromlist=[verb])
        yield from (*described(module.__doc__ or ""), "")
        yield "Takes a configuration or a table of pairs, and any option of [the configuration](options.md) as"
        yield "`--section.option value`; `--print-config` shows what all of them are, `--help` describes them."
        return
    parser = parser_of(verb)
    yield from (*described(parser.description or ""), "")
    positions = [action for action in parser.actions() if not action.option_strings]
    options = [action for action in parser.actions() if action.option_strings and action.dest != "help"]
    for title, actions in (("argument", positions), ("option", options)):
        if actions:
            yield from (f"| {title} | |", "|---|---|", *map(row_of, actions), "")


def described(text: str) -> Iterator[str]:
    """Yield a docstring as Markdown: what is indented in it is code."""
    for paragraph in text.strip().split("\n\n"):
        if all(line.startswith("    ") for line in paragraph.splitlines()):
            yield from ("```text", textwrap.dedent(paragraph), "```")
        else:
            yield from (paragraph, "")


def row_of(action: argparse.Action) -> str:
    """Return the row of an argument or option."""
    value = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.choices is not None:
        value = "{" + ",".join(map(str, action.choices)) + "}"
    names = ", ".join(action.option_strings) or value
    if action.option_strings and action.nargs != 0:
        many = {"+": " …", "*": " …"}.get(str(action.nargs), "")
        names += f" [{value}]" if action.nargs == "?" else f" {value}{many}"
    text = " ".join((action.help or "").split()).replace("%%", "%")
    names, text = names.replace("|", "\\|"), text.replace("|", "\\|")
    return f"| `{names}` | {text} |"


def interface() -> str:
    """Return the public interface, each name by its docstring."""
    return "\n\n".join(map(described_name, seq2seq.__all__))


def described_name(name: str) -> str:
    """Return how Sphinx is told to describe a public name."""
    found = getattr(seq2seq, name)
    if not isinstance(found, type):
        return f"## `{name}`\n\n```{{eval-rst}}\n.. autofunction:: seq2seq.{name}\n```"
    members = "" if name in CLASSES_OF_TRANSFORMERS else "\n   :members:"
    return f"## `{name}`\n\n```{{eval-rst}}\n.. autoclass:: seq2seq.{name}{members}\n```"


def recipes() -> str:
    """Return what `fit` knows kinds of tasks by, and its recipes with their evidence."""
    kinds, of_scratch, of_pretrained = recipe_table()
    rows = ["| kind of task | known by |", "|---|---|"]
    rows += [f"| {kind.called} | {bounds(kind.when) or 'none of the others'} |" for kind in kinds]
    rows += ["", "| for | what it sets | measured |", "|---|---|---|"]
    for recipe in of_scratch:
        named = ", ".join(recipe.kinds) or "all"
        if recipe.when:
            named += f"; {bounds(recipe.when)}"
        rows.append(f"| {named} | {recipe.what} | {recipe.evidence or UNMEASURED} |")
    rows += [f"| `--from` | {recipe.what} | {recipe.evidence or UNMEASURED} |" for recipe in of_pretrained]
    return "\n".join(rows)


def bounds(when: Bounds) -> str:
    """Return bounds as a person reads them."""
    found = []
    for name, (low, high) in when.items():
        if low == high:  # either it is so or it is not
            found.append(name.replace("_", " "))
            continue
        low = low or None
        text = f"at least {low:g}" if high is None else f"at most {high:g}" if low is None else f"{low:g} to {high:g}"
        found.append(f"{name.replace('_', ' ')} {text}")
    return ", ".join(found)


def of_the_root(name: str) -> Callable[[], str]:
    """Return what reads a page that stands beside `docs`, its links as seen from in there."""

    def read() -> str:
        text = (ROOT / name).read_text(encoding="utf-8")
        text = re.sub(r"\]\((?!docs/|#|\w+://)", "](../", text)
        return text.replace("](docs/", "](").partition("\n")[2]

    return read


PARTS: dict[str, Callable[[], str]] = {
    "verbs": verbs,
    "interface": interface,
    "recipes": recipes,
    "CONTRIBUTING.md": of_the_root("CONTRIBUTING.md"),
    "CHANGELOG.md": of_the_root("CHANGELOG.md"),
}
