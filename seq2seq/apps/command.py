"""The `seq2seq` command: one verb per thing a user does; mistakes end in one line and exit code 2."""

import difflib
import importlib
import itertools
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from seq2seq.apps.launched import is_said_by_another
from seq2seq.apps.memory_limit import within_memory_limit
from seq2seq.apps.streams import (
    give_up_output,
    give_up_output_that_fails,
    reader_has_gone,
    replace_closed_streams,
)
from seq2seq.apps.verb_parser import OF_CONFIGURATIONS, parser_of
from seq2seq.apps.wants import cure, said_of_want
from seq2seq.own_pieces import look_in

if sys.stderr is None or not sys.stderr.isatty():  # progress bars are for people; a log would get every state of them
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")

PACKAGE = Path(__file__).resolve().parents[1]

VERBS = {
    "fit": "from a file of pairs to a trained and tested model: look, plan, train, report",
    "init": "write a configuration that comes with the package, for your own pairs",
    "train": "train a model, by a configuration or with nothing but a table of pairs",
    "decode": "generate text with a trained model, and score it when references are given",
    "serve": "answer requests over HTTP, with a page for people",
    "score": "score text against references, with a paired significance test",
    "likelihood": "say how likely given targets are, to filter and rank pairs",
    "report": "measure runs: a page of scores, examples, weaknesses and cost, with a verdict",
    "diagnose": "show exposure bias: a model behind its own words against behind the reference's",
    "prepare": "read, tokenise and report a configuration's corpora without training",
    "average": "write the mean of several models' weights as a model",
    "extend": "give a pretrained model new languages or tokens",
    "export": "write a trained model in the format of another library, for serving",
    "info": "describe a run, a model, or this installation",
    "completion": "print a script by which bash, zsh or fish completes this command",
}
HELP_WORDS, VERSION_WORDS = ("-h", "--help"), ("-V", "--version")
FIRST_STEPS = """\
With a file of pairs, a source and a target per line with a tab between them, begin with:

  seq2seq fit pairs.tsv
  seq2seq serve runs/pairs

`seq2seq init` writes a configuration to change, `seq2seq VERB --help` describes the options of a verb."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit code.

    0: done; 1: done but for some lines, see `decode`; 2: a user's mistake, or what the machine refuses; 130: Ctrl-C;
    141: the reader of standard output has gone.
    """
    replace_closed_streams()
    with suppress(OSError):  # a folder that is gone
        look_in(Path.cwd())
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    has_verb = bool(arguments) and arguments[0] not in (*HELP_WORDS, *VERSION_WORDS)
    verb = arguments[0] if has_verb else ""
    if has_verb and verb not in VERBS:
        print(unknown_verb(verb), file=sys.stderr)
        return 2
    name = f"seq2seq {verb}".strip()
    try:
        try:
            with warnings_in_one_line(verb):
                code = run_within_limits(verb, arguments[1:]) if verb else _print_usage(arguments)
        except SystemExit:  # of a verb's `--help`
            sys.stdout.flush()
            raise
        sys.stdout.flush()  # here, where it is noticed that the reader has gone, or that nothing can be written
        return code
    except Exception as error:
        if isinstance(error, BrokenPipeError) and reader_has_gone():
            give_up_output()
            return 141
        message = message_of(error, verb)
        if message is None:
            raise
        if not is_said_by_another(error):
            print(f"{name}: error: {message}", file=sys.stderr)
        give_up_output_that_fails()
        return 2
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130


@contextmanager
def warnings_in_one_line(verb: str) -> Iterator[None]:
    """Let warnings of this package look like its errors; those of others say where in the code they are from."""
    before = warnings.formatwarning

    def line_of(message: Any, category: type[Warning], filename: str, *rest: Any, **more: Any) -> str:
        if category is UserWarning and Path(filename).is_relative_to(PACKAGE):
            return f"seq2seq {verb}: warning: {message}\n"
        return before(message, category, filename, *rest, **more)

    warnings.formatwarning = line_of
    try:
        yield
    finally:
        warnings.formatwarning = before


def run_within_limits(verb: str, arguments: list[str]) -> int:
    """Run a verb; where the memory of this process is limited, in one that may end by it."""

    def say(what: str) -> None:
        print(f"seq2seq {verb}: error: {what}; {cure(verb, 'memory')}.", file=sys.stderr)

    return within_memory_limit(verb, lambda: run(verb, arguments), say)


def run(verb: str, arguments: list[str]) -> int:
    """Run a verb's module."""
    if verb == "decode" and names_export(arguments):  # without torch, which takes longer to load than such a model
        module = importlib.import_module("seq2seq.apps.decode_export")
        return int(module.run(module.parser().parse_args(arguments)))
    module = importlib.import_module(f"seq2seq.apps.{verb}")
    if verb in OF_CONFIGURATIONS:
        return int(module.run(arguments))
    return int(module.run(parser_of(verb).parse_args(arguments)))


def names_export(arguments: Sequence[str]) -> bool:
    """Return whether the model that a command names is a folder that CTranslate2 reads."""
    named = [word.partition("=")[2] for word in arguments if word.startswith("--model=")]
    named += [after for word, after in itertools.pairwise(arguments) if word == "--model"]
    return any((Path(name) / "model.bin").is_file() for name in named)


def version() -> str:
    """Return the version of this package, and of what its results depend on most."""
    from importlib import metadata

    from seq2seq import __version__

    def of(library: str) -> str:
        try:
            return metadata.version(library)
        except metadata.PackageNotFoundError:
            return "missing"

    return f"seq2seq {__version__} (torch {of('torch')}, transformers {of('transformers')})"


def usage() -> str:
    verbs = "\n".join(f"  {verb:10} {text}" for verb, text in VERBS.items())
    return f"usage: seq2seq VERB [options]\n\n{verbs}\n\n{FIRST_STEPS}"


def unknown_verb(verb: str) -> str:
    """Return what to say of a word that is no verb, with the nearest that is."""
    near = difflib.get_close_matches(verb.lower(), [*VERBS, "--help", "--version"], n=1)
    begin = f"seq2seq: there is no verb `{verb}`."
    return f"{begin} Did you mean `{near[0]}`? `seq2seq --help` lists all." if near else f"{begin}\n{usage()}"


def _print_usage(arguments: Sequence[str]) -> int:
    print(version() if arguments and arguments[0] in VERSION_WORDS else usage())
    return 0 if arguments else 2


def message_of(error: Exception, verb: str) -> str | None:
    """Return what an error says to a person; None for one that is a fault of our own and needs its traceback."""
    if said := said_of_want(error, verb):
        return said
    known: tuple[type[Exception], ...] = (ValueError, FloatingPointError, OSError)
    if safetensors := sys.modules.get("safetensors"):  # not loaded for this, for which there may be no memory
        known += (safetensors.SafetensorError,)
    return _in_one_line(error) if isinstance(error, known) else None


def _in_one_line(error: Exception) -> str:
    """Return what an error says, and what the system says of a file as `file: no such file or directory.`."""
    message = str(error)
    if isinstance(error, OSError) and error.strerror:
        reason = error.strerror[:1].lower() + error.strerror[1:]
        message = f"{reason}." if error.filename is None else f"{error.filename}: {reason}."
    return re.sub(r"\s*\n\s*", " ", message)


if __name__ == "__main__":
    raise SystemExit(main())
