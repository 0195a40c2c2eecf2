"""Generate text with a trained model: one output line per input line, in input order.

    seq2seq decode --model runs/x --beam-width 5 < source.txt > output.txt
    seq2seq decode --model runs/x --input test.en --reference test.de --n-best 5 --output nbest.jsonl
    seq2seq decode --model runs/both --bidirectional < source.txt  # or --generation-order r2l, or --rescore both
    seq2seq decode --model runs/x --input test.en --score-targets test.de --output scores.jsonl
    seq2seq decode --model runs/x --tune-metric bleu --tune-source dev.en --tune-reference dev.de < source.txt

Several models are an ensemble. With references the output is scored. `--score-targets` generates nothing, but writes
what the model gives each target. Under `accelerate launch` the work is shared; a decode into a file that was stopped
goes on where it stopped. Search options default to those of the run. The weight of `--rescore` is chosen on validation
text, by `--tune-rescoring-weight bleu`, and then given as `--rescoring-weight`.

A line whose search fails becomes an empty one (in JSONL with an `error`), the log names it, and the exit code is 1.
What comes through a pipe is decoded as it comes.
"""

import argparse
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from seq2seq.apps.decode_checks import check_arguments
from seq2seq.apps.option_values import CHECKPOINT_HELP, integer, keywords_of, number
from seq2seq.apps.target_scoring import check_score_targets, score_format, scored_lines
from seq2seq.apps.tuning.metric import add_tuning_arguments, tune_first
from seq2seq.assembly.flat_options import flat_options
from seq2seq.assembly.generator import TextGenerator, load, pick_device
from seq2seq.assembly.precision import PRECISION_NAMES
from seq2seq.assembly.process import Processes, keep_freed_memory, launched_processes, num_cores, prepare_process
from seq2seq.assembly.search import inner_search
from seq2seq.decoding.parts.search import Search
from seq2seq.decoding.running.in_process import InProcess
from seq2seq.decoding.running.workers import WorkerProcesses, can_fork
from seq2seq.generation.arrival import input_lines, is_pipe, is_typed
from seq2seq.generation.batches import BATCH_TOKENS, Searcher
from seq2seq.generation.corpus import POOL_LINES
from seq2seq.generation.files import decode_file
from seq2seq.generation.output import FORMATS, NBest, best_texts, write_lines
from seq2seq.lines import STANDARD, is_stream, lines
from seq2seq.locks import locked

BATCH_TOKENS_HELP = (
    "budget of one decoding batch: source tokens, padding included, times the hypotheses that run at a time, such as "
    "`beam_width`, or under `mbr` `num_samples`; default: %(default)s"
)
ENDINGS = {".jsonl": "jsonl", ".moses": "moses", ".nbest": "moses"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", nargs="+", required=True, help="run directory or model folder; several: an ensemble")
    parser.add_argument("--checkpoint", help=CHECKPOINT_HELP)
    parser.add_argument("--weights", nargs="+", type=number, help="weights of `--model`'s members; default: equal")
    parser.add_argument(
        "--right-model",
        nargs="+",
        default=(),
        help="run or model folder that generates from the right, to `--rescore` with; several: an ensemble",
    )
    parser.add_argument(
        "--left-model",
        nargs="+",
        default=(),
        help="run or model folder that generates from the left, to `--rescore l2r` what an interleaved `--model` "
        "generates; several: an ensemble",
    )
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
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1 …; default: the GPU where there is one")
    parser.add_argument("--precision", choices=PRECISION_NAMES, default="fp32", help="default: %(default)s")
    parser.add_argument(
        "--threads", type=integer, default=0, help="CPU threads of one process; 0 leaves the choice to torch"
    )
    parser.add_argument(
        "--processes",
        type=integer,
        default=0,
        help="processes that share the work on a CPU, a thread each; 0: one a core",
    )
    parser.add_argument(
        "--bidirectional",
        dest="generation_order",
        action="store_const",
        const="bidirectional",
        help="search from both ends at once: short for `--generation-order bidirectional`",
    )
    parser.add_argument(
        "--tune-rescoring-weight",
        metavar="METRIC",
        help="score the output by each `--rescoring-weight` from 0 to 1, print which is best, and write its output",
    )
    parser.add_argument(
        "--score-targets",
        metavar="FILE",
        help="generate nothing, but score the target that this file has for each line of the input",
    )
    parser.add_argument("--trace", metavar="PAGE.html", help="write how the search from both ends went for one line")
    parser.add_argument(
        "--max-source-tokens",
        type=integer,
        help="longer sources are cut, with a warning; so are those longer than the model takes",
    )
    add_tuning_arguments(parser)
    parser.add_argument("--batch-tokens", type=integer, default=BATCH_TOKENS, help=BATCH_TOKENS_HELP)
    group = parser.add_argument_group("search options (default: those of the run)")
    for name, values, text in flat_options():
        group.add_argument(
            "--" + name.replace("_", "-"), dest=name, help=text.replace("%", "%%"), **keywords_of(values)
        )


def run(arguments: argparse.Namespace) -> int:
    check_arguments(arguments)
    processes = launched_processes(arguments.device)
    if arguments.score_targets:
        check_score_targets(arguments, processes.num_processes)
    num_workers = 1 if arguments.score_targets else chosen_workers(arguments, processes)
    if processes.num_processes > 1 and any(map(is_stream, named_files(arguments))):
        raise ValueError("Several processes need files: give `--input` and `--output`, and no pipes.")
    if tune_first(arguments, processes):
        num_workers = 1  # who has trained has threads, and must not fork any more
    prepare_process(1 if num_workers > 1 else arguments.threads)
    generator = load_generator(arguments, processes)
    if arguments.trace:
        return write_trace(generator, arguments)
    if arguments.score_targets:
        targets = lines(arguments.score_targets)
        results = scored_lines(generator, lines(arguments.input), targets, arguments.max_source_tokens)
        write_results(results, arguments, partial(score_format, chosen_format(arguments)))
        return 0
    keep_freed_memory()
    search = generator.searcher().search
    if getattr(search, "n_best", 1) > 1 and chosen_format(arguments) == "text" and not arguments.tune_rescoring_weight:
        warnings.warn("Text has one output a line; for `--n-best` add `--format jsonl` or `moses`.", stacklevel=2)
    if arguments.tune_rescoring_weight:
        from seq2seq.apps.tuning.rescoring_weight import by_every_weight

        search = by_every_weight(search, arguments, processes)
    with open_searcher(generator, search, num_workers) as searcher:
        references = read_references(arguments)
        if arguments.tune_rescoring_weight:
            texts, num_failed = write_tuned(generator, searcher, arguments, references or [])
        elif is_stream(arguments.output) or is_stream(arguments.input):
            texts, num_failed = write_stream(generator, searcher, arguments, keep=references is not None)
        else:
            texts, num_failed = write_file(generator, searcher, arguments, processes, keep=references is not None)
    if references is not None and processes.is_main_process:
        if len(texts) != len(references):
            raise ValueError(f"{len(texts)} lines were decoded, but the references have {len(references)}.")
        from seq2seq.assembly.scoring import DEFAULT_METRICS, score

        scores = score(texts, references, arguments.metrics or DEFAULT_METRICS, **metric_options_of(arguments))
        print(scores, file=report_stream(arguments))
    if num_failed:
        counted = "1 line" if num_failed == 1 else f"{num_failed} lines"
        print(f"seq2seq decode: {counted} could not be decoded and left an empty output; see above.", file=sys.stderr)
    return 1 if num_failed else 0


def load_generator(arguments: argparse.Namespace, processes: Processes) -> TextGenerator:
    """Return the generator of the models and search options that the command names."""
    device = str(processes.device) if processes.num_processes > 1 else arguments.device
    chosen = {name: getattr(arguments, name) for name, _, _ in flat_options()}
    return load(
        arguments.model,
        device=device,
        precision=arguments.precision,
        weights=arguments.weights,
        right_model=arguments.right_model,
        left_model=arguments.left_model,
        checkpoint=arguments.checkpoint,
        batch_tokens=arguments.batch_tokens,
        source_language=arguments.source_language,
        target_language=arguments.target_language,
        **{name: value for name, value in chosen.items() if value is not None},
    )


def write_trace(generator: TextGenerator, arguments: argparse.Namespace) -> int:
    """Write the page of the first line's search, and its best text to standard output."""
    from seq2seq.decoding.running.trace import trace
    from seq2seq.decoding.running.trace_page import write_trace_page

    line = first_line(arguments)
    tokenizer = generator.tokenizer
    [source] = tokenizer.encode_sources([generator.source_prefix + line])
    searcher = generator.searcher(n_best=inner_search(generator.search).width)
    found = trace(generator.model, searcher.search, source)
    write_trace_page(
        Path(arguments.trace),
        line,
        found,
        lambda ids: tokenizer.target_tokens(list(ids)),
        lambda h: tokenizer.decode(list(h.tokens)),
    )
    print(tokenizer.decode(list(found.hypotheses[0].tokens)))
    return 0


def first_line(arguments: argparse.Namespace) -> str:
    """Return the first line with text, and warn of others; raise ValueError if there is none."""
    found: list[str] = []
    for line in input_lines(arguments.input):
        if line and line.strip():
            found.append(line)
        if len(found) > 1 or (found and (line is None or is_typed(arguments.input))):
            break
    if not found:
        raise ValueError("There is no line to trace; give one on standard input or by `--input`.")
    if len(found) > 1:
        warnings.warn("`--trace` shows the search of the first line; the others are not decoded.", stacklevel=2)
    return found[0]


def chosen_workers(arguments: argparse.Namespace, processes: Processes) -> int:
    """Return how many processes of this machine search.

    Raises:
        ValueError: the option asks for several where there can be only one.
    """
    can_share = pick_device(arguments.device) == "cpu" and processes.num_processes == 1 and can_fork()
    if arguments.processes > 1 and not can_share:
        raise ValueError("`--processes` shares the work of one command on a CPU under Linux; leave it out here.")
    if arguments.processes or arguments.threads or not can_share or is_typed(arguments.input):
        return max(1, arguments.processes)
    return num_cores()


def open_searcher(generator: TextGenerator, search: Search, num_workers: int) -> AbstractContextManager[Searcher]:
    """Return what searches, for a `with` block. It comes before anything else computes, since it may fork."""
    if num_workers == 1:
        return nullcontext(InProcess(generator.model, search, generator.device))
    return WorkerProcesses(generator.model, search, num_workers)


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


def write_stream(
    generator: TextGenerator, searcher: Searcher, arguments: argparse.Namespace, *, keep: bool
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


def write_tuned(
    generator: TextGenerator, searcher: Searcher, arguments: argparse.Namespace, references: list[list[str]]
) -> tuple[list[str], int]:
    """Decode by every weight of rescoring, print what each is worth, and write the texts of the best.

    Returns:
        These texts, and how many lines failed.
    """
    from seq2seq.apps.tuning.rescoring_weight import format_curve, tuned

    metric = arguments.tune_rescoring_weight
    results, scores, best = tuned(stream(generator, searcher, arguments), references, metric)
    write_results(results, arguments)
    print(format_curve(metric, scores, best), file=report_stream(arguments))
    return [nbest.text for nbest in results], sum(nbest.failed for nbest in results)


def stream(generator: TextGenerator, searcher: Searcher, arguments: argparse.Namespace) -> Iterator[NBest]:
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
            write_lines(Path(arguments.output), found)
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
    generator: TextGenerator, searcher: Searcher, arguments: argparse.Namespace, processes: Processes, *, keep: bool
) -> tuple[list[str], int]:
    """Decode a file into another in parts that survive a stop; return what `write_stream` does."""
    output, output_format = Path(arguments.output), chosen_format(arguments)
    num_failed = decode_file(
        Path(arguments.input),
        output,
        searcher,
        generator.tokenizer,
        generator.batch_tokens,
        model_fingerprint=generator.fingerprint,
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
