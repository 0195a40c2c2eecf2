"""Write a configuration that comes with the package, for your own pairs, to look at, change and train with.

    seq2seq init translation --train pairs.tsv
    seq2seq init titles --train train.jsonl --validation dev.jsonl --output news.yaml
    seq2seq init spelling --train train.wrong train.right --validation dev.wrong dev.right
    seq2seq init

A file of pairs has a source and a target per line with a tab between them, or is a .csv, .jsonl or .parquet file; two
files are the two sides, line by line. Without `--validation` every twentieth pair is held out. The last line shows the
names of all configurations.
"""

import argparse
import shlex
from functools import partial
from pathlib import Path

from seq2seq.config.shipped import TASKS, adapted, shipped, shipped_file, summary
from seq2seq.files import written
from seq2seq.lines import STANDARD


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help=f"{', '.join(TASKS)}, or any other; without a name, all are shown")
    add = partial(parser.add_argument, nargs="+", metavar="FILE", default=[])
    add("--train", help="pairs to learn from: a table, or the files of both sides")
    add("--validation", help="pairs that choose the checkpoint, in the same way")
    parser.add_argument("--output", metavar="FILE.yaml", help="file to write, or `-`; by default the name with `.yaml`")


def run(arguments: argparse.Namespace) -> int:
    if arguments.name is None:
        print(listing())
        return 0
    template = shipped_file(arguments.name)
    is_printed, default = arguments.output == STANDARD, f"{arguments.name}.yaml"
    output = Path(default if is_printed else arguments.output or default)
    check_files(arguments)
    if output.exists() and not is_printed:
        raise ValueError(f"{output} is there already and stays as it is; give another name by `--output`.")
    directory = f"runs/{output.stem}" if arguments.train or arguments.name in TASKS else None
    text = adapted(template, directory, arguments.train, arguments.validation)
    if is_printed:
        print(text, end="")
        return 0
    with written(output) as file:
        file.write(text)
    print(next_steps(output, directory, has_data=bool(arguments.train)))
    return 0


def listing() -> str:
    """Return the names of all configurations, with what each is for."""
    files = shipped()
    width = max(map(len, files))
    lines = [f"  {name:{width}}  {summary(path)}" for name, path in files.items()]
    return "\n".join(["usage: seq2seq init NAME --train pairs.tsv", "", *lines, "", "`seq2seq init --help` says more."])


def check_files(arguments: argparse.Namespace) -> None:
    """Raise ValueError for data that a configuration cannot name, or that are not there."""
    for option in ("train", "validation"):
        files = getattr(arguments, option)
        if len(files) > 2:
            raise ValueError(
                f"`--{option}` names {len(files)} files; give a table of pairs, or one file for each side."
            )
        for file in files:
            if not Path(file).exists():
                raise ValueError(f"{file}: there is no such file; `--{option}` names the pairs' file.")
    if arguments.validation and not arguments.train:
        raise ValueError("`--validation` goes with `--train`; give the file of training pairs as well.")


def next_steps(output: Path, directory: str | None, *, has_data: bool) -> str:
    """Return what to type when the configuration is written; it has a run directory of its own unless it is a recipe
    for data of its own."""
    first = f"Wrote {output}. Next:"
    if directory is None:
        first = f"Wrote {output}; what is said at its top tells which data it is for. With them:"
    elif not has_data:
        first = f"Wrote {output}. Put your files behind `train:` and `validation:` in it; then:"
    decode = [f"  seq2seq decode --model {shlex.quote(directory)} < new.txt > output.txt"] if directory else []
    return "\n".join([first, "", f"  seq2seq train {shlex.quote(str(output))}", *decode])
