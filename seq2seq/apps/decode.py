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
import warnings
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

from seq2seq.apps.decode_checks import check_arguments
from seq2seq.apps.decoding_texts import (
    add_text_arguments,
    chosen_format,
    named_files,
    print_scores,
    read_references,
    report_stream,
    said_of_failures,
    stream,
    warn_of_n_best,
    write_file,
    write_results,
    write_stream,
)
from seq2seq.apps.option_values import CHECKPOINT_HELP, integer, keywords_of, number
from seq2seq.apps.target_scoring import check_score_targets, score_format, scored_lines
from seq2seq.apps.tuning.metric import add_tuning_arguments, tune_first
from seq2seq.assembly.flat_options import flat_options
from seq2seq.assembly.generator import TextGenerator, load, pick_device
from seq2seq.assembly.precision import PRECISION_NAMES
from seq2seq.assembly.process import keep_freed_memory, launched_processes, num_cores, prepare_process
from seq2seq.assembly.search import inner_search
from seq2seq.decoding.parts.search import Search
from seq2seq.decoding.running.in_process import InProcess
from seq2seq.decoding.running.workers import WorkerProcesses, can_fork
from seq2seq.generation.arrival import input_lines, is_typed
from seq2seq.generation.batches import Searcher
from seq2seq.lines import is_stream, lines
from seq2seq.processes import Processes


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
    add_text_arguments(parser)
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
        help="generate nothing, but score the target that this file has for each line of the input; `seq2seq "
        "likelihood` does more",
    )
    parser.add_argument("--trace", metavar="PAGE.html", help="write how the search from both ends went for one line")
    add_tuning_arguments(parser)
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
    if not arguments.tune_rescoring_weight:
        warn_of_n_best(search, arguments)
    else:
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
        print_scores(texts, references, arguments)
    return said_of_failures(num_failed)


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
