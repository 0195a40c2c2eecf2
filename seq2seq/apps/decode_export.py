"""Generate text with an export for CTranslate2: as with a run, but torch is not even imported.

    seq2seq decode --model served < source.txt > output.txt
    seq2seq decode --model served --input test.en --reference test.de --beam-width 5 --n-best 5 --output nbest.jsonl

The folder is one that `seq2seq export --format ctranslate2` wrote. Texts, files and formats are those of any `seq2seq
decode`; what CTranslate2 cannot do, such as searching from both ends, the run that it was exported from can.
"""

import argparse
import logging
from dataclasses import fields
from typing import Any, NoReturn

from seq2seq.apps.decoding_texts import (
    add_text_arguments,
    chosen_format,
    print_scores,
    read_references,
    said_of_failures,
    warn_of_n_best,
    write_file,
    write_stream,
)
from seq2seq.apps.option_values import integer, number
from seq2seq.apps.verb_parser import VerbParser, parser_of
from seq2seq.engines.ctranslate2_engine import (
    ANOTHER_ENGINE,
    COMPUTE_TYPES,
    CTranslate2Engine,
    CTranslate2Search,
)
from seq2seq.lines import is_stream
from seq2seq.processes import OneProcess, allowed_cores

SEARCH_OPTIONS = ("method", *(option.name for option in fields(CTranslate2Search)))

logger = logging.getLogger(__name__)


class ExportParser(VerbParser):
    """A parser that knows the other options of `decode` as well: what CTranslate2 has not is said to be elsewhere."""

    def refuse(self, name: str) -> NoReturn:
        if name in parser_of("decode").option_names():
            raise ValueError(f"`{name}` is nothing that CTranslate2 can do here; {ANOTHER_ENGINE}.")
        super().refuse(name)


def parser() -> VerbParser:
    """Return the parser of this verb."""
    found = ExportParser(
        prog="seq2seq decode",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_arguments(found)
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", nargs=1, required=True, help="folder of an export for CTranslate2")
    add_text_arguments(parser)
    parser.set_defaults(batch_tokens=None)
    parser.add_argument("--device", default="auto", help="cpu, cuda; default: the GPU where there is one")
    parser.add_argument(
        "--precision", choices=[*COMPUTE_TYPES, "auto"], default="auto", help="default: that of the export"
    )
    parser.add_argument("--threads", type=integer, default=0, help="threads of one batch; default: 1")
    parser.add_argument(
        "--processes", type=integer, default=0, help="batches that are searched at a time; 0: one a core"
    )
    group = parser.add_argument_group("search options (default: those of the run)")
    group.add_argument("--method", choices=["beam", "greedy"], help="search algorithm")
    for option in fields(CTranslate2Search):
        kind = number if option.type is float else integer
        group.add_argument("--" + option.name.replace("_", "-"), dest=option.name, type=kind)


def run(arguments: argparse.Namespace) -> int:
    num_workers = arguments.processes or (1 if arguments.threads else allowed_cores())
    options = {name: getattr(arguments, name) for name in SEARCH_OPTIONS}
    engine = CTranslate2Engine(
        arguments.model[0],
        arguments.device,
        arguments.precision,
        num_workers=num_workers,
        threads=arguments.threads or 1,
        batch_tokens=arguments.batch_tokens,
        **{name: value for name, value in options.items() if value is not None},
    ).speaking(arguments.source_language, arguments.target_language)
    if engine.left_out:
        logger.warning("CTranslate2 cannot follow the run's %s; this is left out.", ", ".join(engine.left_out))
    warn_of_n_best(engine.search, arguments)
    searcher: Any = engine.searcher(token_scores=chosen_format(arguments) == "jsonl")
    references = read_references(arguments)
    keep = references is not None
    if is_stream(arguments.output) or is_stream(arguments.input):
        texts, num_failed = write_stream(engine, searcher, arguments, keep=keep)
    else:
        texts, num_failed = write_file(engine, searcher, arguments, OneProcess("cpu"), keep=keep)
    if references is not None:
        print_scores(texts, references, arguments)
    return said_of_failures(num_failed)
