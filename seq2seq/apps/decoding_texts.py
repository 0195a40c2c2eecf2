"""The texts of `seq2seq decode`, whatever engine searches: where they are read, written and scored, and its options."""

import argparse
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from seq2seq.apps.option_values import integer
from seq2seq.generation.arrival import input_lines, is_pipe, is_typed
from seq2seq.generation.batches import BATCH_TOKENS, Searcher
from seq2seq.generation.corpus import POOL_LINES
from seq2seq.generation.engine import TextEngine
from seq2seq.generation.files import decode_file
from seq2seq.generation.output import FORMATS, NBest, best_texts, write_lines
from seq2seq.lines import STANDARD, is_stream, lines
from seq2seq.locks import locked
from seq2seq.processes import Processes

BATCH_TOKENS_HELP = (
    "budget of one decoding batch: source tokens, padding included, times the hypotheses that run at a time, such as "
    f"`beam_width`, or under `mbr` `num_samples`; default: {BATCH_TOKENS}, of an export for CTranslate2 what suits its "
    "precision"
)
ENDINGS = {".jsonl": "jsonl", ".moses": "moses", ".nbest": "moses"}


def add_text_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of texts, and of the batches that they are searched in."""
    parser.add_argument("--input", default=STANDARD, help="UTF-8 file with one source per line; `-` is standard input")
    parser.add_argument("--output", default=STANDARD, help="file to write; `-` is standard output")
    parser.add_argument(
        "--format", choices=["auto", *FORMATS], default="auto", help="by default by the output's ending"
    )
    parser.add_argument("--prefixes", help="file with one target text per line that the output must begin with")
    parser.add_argument("--source-language", help="of the input, for a model of many languages")
    parser.add_argument("--target-language", help="of the output, for a model of many languages")
    parser.add_argument("--reference", nargs="+", help="files aligned with the input, to score the output against")
    parser.add_argument("--metrics", nargs="+", help="default: those of `seq2seq score`")
    parser.add_argument(
        "--sentence-separator", metavar="TEXT", help="what stands between sentences within a line, for rougeLsum"
    )
    parser.add_argument(
        "--max-source-tokens",
        type=integer,
        help="longer sources are cut, with a warning; so are those longer than the model takes",
    )
    parser.add_argument("--batch-tokens", type=integer, default=BATCH_TOKENS, help=BATCH_TOKENS_HELP)


def warn_of_n_best(search: Any, arguments: argparse.Namespace) -> None:
    """Warn of hypotheses that the output has no place for."""
    if getattr(search, "n_best", 1) > 1 and chosen_format(arguments) == "text":
        warnings.warn("Text has one output a line; for `--n-best` add `--format jsonl` or `moses`.", stacklevel=2)


def named_files(arguments: argparse.Namespace) -> list[str]:
    """Return the names of what is read line by line, and of what is written."""
    return [arguments.input, arguments.output, *filter(None, [arguments.prefixes])]


def read_references(arguments: argparse.Namespace) -> list[list[str]] | None:
    """Return each segment's references, or None without any; a file to decode must be aligned with them.

    Raises:
        ValueError: the files do not fit together, or a metric is unknown: known before decoding, not after.
    """
    if not arguments.reference:
        return None
    from seq2seq.apps.score import read_aligned
    from seq2seq.assembly.scoring import DEFAULT_METRICS, check_metrics, make_metrics

    make_metrics(arguments.metrics or DEFAULT_METRICS)
    check_metrics(arguments.metrics or DEFAULT_METRICS, metric_options_of(arguments))
    sources = [] if is_stream(arguments.input) else [arguments.input]
    columns = read_aligned([*sources, *arguments.reference])[len(sources) :]
    return [list(references) for references in zip(*columns, strict=True)]


def metric_options_of(arguments: argparse.Namespace) -> dict[str, Any]:
    return {} if arguments.sentence_separator is None else {"sentence_separator": arguments.sentence_separator}


def print_scores(texts: list[str], references: list[list[str]], arguments: argparse.Namespace) -> None:
    """Print how good the texts are; raise ValueError if there are more or fewer than references."""
    if len(texts) != len(references):
        raise ValueError(f"{len(texts)} lines were decoded, but the references have {len(references)}.")
    from seq2seq.assembly.scoring import DEFAULT_METRICS, score

    scores = score(texts, references, arguments.metrics or DEFAULT_METRICS, **metric_options_of(arguments))
    print(scores, file=report_stream(arguments))


def said_of_failures(num_failed: int) -> int:
    """Say how many lines failed; return the exit code."""
    if num_failed:
        counted = "1 line" if num_failed == 1 else f"{num_failed} lines"
        print(f"seq2seq decode: {counted} could not be decoded and left an empty output; see above.", file=sys.stderr)
    return 1 if num_failed else 0


def write_stream(
    generator: TextEngine, searcher: Searcher, arguments: argparse.Namespace, *, keep: bool
) -> tuple[list[str], int]:
    """Decode from or to a standard stream; return the best texts if `keep`, and how many lines failed."""
    texts: list[str] = []
    num_failed = 0

    def kept() -> Iterator[NBest]:
        nonlocal num_failed
        for nbest in stream(generator, searcher, arguments):
            num_failed += nbest.failed
            if keep:
                texts.append(nbest.text)
            yield nbest

    write_results(kept(), arguments)
    return texts, num_failed


def stream(generator: TextEngine, searcher: Searcher, arguments: argparse.Namespace) -> Iterator[NBest]:
    """Return the results of the input's lines."""
    prefixes = lines(arguments.prefixes) if arguments.prefixes else None
    pool_lines = 1 if is_typed(arguments.input) else POOL_LINES
    return generator.stream(
        input_lines(arguments.input), prefixes, arguments.max_source_tokens, pool_lines, searcher=searcher
    )


def write_results(
    results: Iterable[NBest], arguments: argparse.Namespace, formatted: Callable[[NBest], list[str]] | None = None
) -> None:
    """Write results to the output, by default in its format, each as soon as it is there if it is standard output."""
    formatted = formatted or FORMATS[chosen_format(arguments)]
    found = (line for nbest in results for line in formatted(nbest))
    if arguments.output != STANDARD:
        with locked(arguments.output):
            write_lines(Path(arguments.output), found, may_be_stream=True)
        return
    at_once = is_typed(arguments.input) or is_pipe(arguments.input)
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
    for line in found:
        print(line, flush=at_once)
    sys.stdout.flush()


def report_stream(arguments: argparse.Namespace) -> TextIO:
    """Return where numbers are printed: not among the texts."""
    return sys.stderr if arguments.output == STANDARD else sys.stdout


def write_file(
    generator: TextEngine, searcher: Searcher, arguments: argparse.Namespace, processes: Processes, *, keep: bool
) -> tuple[list[str], int]:
    """Decode a file into another in parts that survive a stop; return what `write_stream` does."""
    output, output_format = Path(arguments.output), chosen_format(arguments)
    num_failed = decode_file(
        Path(arguments.input),
        output,
        searcher,
        generator.tokenizer,
        generator.batch_tokens,
        model_fingerprint=" ".join([generator.fingerprint, *filter(None, generator.languages)]),
        output_format=output_format,
        source_prefix=generator.source_prefix,
        max_source_tokens=arguments.max_source_tokens or generator.max_source_tokens,
        prefixes_path=Path(arguments.prefixes) if arguments.prefixes else None,
        process_index=processes.process_index,
        num_processes=processes.num_processes,
        wait_for_everyone=processes.wait_for_everyone,
    )
    return list(best_texts(output, output_format)) if keep and processes.is_main_process else [], num_failed


def chosen_format(arguments: argparse.Namespace) -> str:
    """Return the name of the output's format, for `auto` by its ending: .jsonl, .moses or .nbest, else text."""
    if arguments.format != "auto":
        return str(arguments.format)
    return ENDINGS.get(Path(arguments.output).suffix, "text")
