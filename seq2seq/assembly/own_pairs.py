"""A run of which no configuration is named: a table of pairs is enough.

What a command line says enters; a tree leaves that says everything else, by the values of the configuration that the
package has for one's own pairs, or for tuning where a trained model is named to begin with. Every twentieth pair is
held out, and the run directory has the name of the table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from seq2seq.assembly.configuration import PARSER, RunConfig, load_run_config, unless_printed
from seq2seq.assembly.run_directory import of_moved_run
from seq2seq.config.command_line import Given, override, split_arguments
from seq2seq.config.nodes import Node, read_yaml
from seq2seq.config.parsing import TRUTHS
from seq2seq.config.shipped import HELD_OUT_FOLDS, OWN_PAIRS, TUNING, shipped_file
from seq2seq.data.corpus_options import TABLE_ENDINGS
from seq2seq.lines import plain_name

START = "training.initialize_from"
"""Option that names a trained model to begin with."""
OPTIMIZER = "optimizer.name"
OTHER_TOKENIZERS = (
    *("tokenizer", "tokenizer.kind", "tokenizer.target_kind", "tokenizer.path", "tokenizer.from_run"),
    START,
)
"""Options that choose a tokenizer which is not the one that the configuration describes."""


def command_config(arguments: Sequence[str], program: str, description: str) -> RunConfig:
    """Return the configuration of a verb's command line: as `load_run_config`, but that a table of pairs is enough.

    Raises:
        ValueError, OSError, SystemExit: see `load_run_config`.
    """
    given = of_a_table(split_arguments(arguments))
    if given.file is not None or "help" in given.wishes:
        config = load_run_config(arguments, program, description)
        if given.file is None:
            return config
        return of_moved_run(config, given.file, is_told="run_directory" in dict(given.overrides))
    tree = shipped_values(dict(given.overrides))
    of_data = dict(entries_at(tree, "data"))
    override(PARSER, tree, given)
    for name, node in of_data.items():  # `--data` says which pairs, and need not say how they are batched
        entries_at(tree, "data").setdefault(name, node)
    complete(tree, program)
    return unless_printed(PARSER.parse(tree), given)


def of_a_table(given: Given) -> Given:
    """Return what a command line says, with the table that it names in place of a configuration as training data."""
    if given.file is None or Path(plain_name(given.file)).suffix.lower() not in TABLE_ENDINGS:
        return given
    return replace(given, file=None, overrides=[("data.train.path", str(given.file)), *given.overrides])


def shipped_values(said: Mapping[str, str | None]) -> Node:
    """Return what the package's configuration for one's own pairs says, but for what is a user's to say.

    Args:
        said: options that a user says, by their names; what would mean nothing beside them is left out. Where they name
            a trained model to begin with, it is the configuration for that, whose steps are smaller.
    """
    tree = read_yaml(shipped_file(TUNING if START in said else OWN_PAIRS))
    if any(name in OTHER_TOKENIZERS for name in said):
        tree.entries.pop("tokenizer", None)
    optimizer = entries_at(tree, "optimizer")
    if said.get(OPTIMIZER) not in (None, optimizer.get("name", Node("adamw", "the default")).value):
        for name in ("name", "learning_rate"):  # a rate that suits one may be the ruin of another
            optimizer.pop(name, None)
    for name in ("train", "validation"):
        del tree.entries["data"].entries[name]
    del tree.entries["run_directory"]
    return tree


def complete(tree: Node, program: str) -> None:
    """Add the run directory and what is validated on, if nothing is said of them.

    Raises:
        ValueError: there are no pairs.
    """
    data = entries_at(tree, "data")
    named, has_validation = places(tree, "train"), bool(places(tree, "validation"))
    if not named and "run_directory" not in tree.entries:
        raise ValueError(
            f"there is nothing to train on; give a table of pairs, such as `{program} pairs.tsv`, or a configuration; "
            "`seq2seq init` writes one."
        )
    if named and "run_directory" not in tree.entries:
        tree.entries["run_directory"] = Node(f"runs/{Path(plain_name(named[0])).stem}", "the name of the table")
    streaming = entries_at(tree, "data", "train").get("streaming", Node(None, ""))
    if "num_folds" not in data and not has_validation and not TRUTHS.get(str(streaming.value).lower()):
        data["num_folds"] = Node(str(HELD_OUT_FOLDS), "the command line")


def places(tree: Node, corpus: str) -> list[str]:
    """Return where a corpus is said to be, or each of a list."""
    value = entries_at(tree, "data").get(corpus, Node(None, "")).value
    several = value if isinstance(value, list) else [Node(value, "")]
    return [
        str(said[name].value)
        for said in (node.value for node in several)
        if isinstance(said, dict)
        for name in ("path", "source", "target")
        if name in said and said[name].value
    ]


def entries_at(tree: Node, *names: str) -> dict[str, Node]:
    """Return what is said in a section; nothing where there is none, which is the parser's to refuse."""
    for name in names:
        tree = tree.value.get(name, Node(None, "")) if isinstance(tree.value, dict) else Node(None, "")
    return tree.value if isinstance(tree.value, dict) else {}
