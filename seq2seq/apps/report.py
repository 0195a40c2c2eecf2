"""Measure trained runs and write what a person wants to know of them: a page, numbers, and a verdict in plain words.

    seq2seq report runs/mine
    seq2seq report runs/mine --source test.en --reference test.de
    seq2seq report runs/mine runs/other  # side by side, with significance

Without files, the pairs are those held out for testing (data/test.jsonl of the run), else the validation pairs. The
folder `report` of the run holds report.html, to be opened in any browser, report.json and outputs.jsonl.
"""

import argparse

from seq2seq.apps.option_values import CHECKPOINT_HELP, integer
from seq2seq.assembly.generator import pick_device
from seq2seq.assembly.model_folder import folder_in_run
from seq2seq.assembly.precision import PRECISION_NAMES
from seq2seq.assembly.process import keep_freed_memory, num_cores, prepare_process
from seq2seq.decoding.running.workers import can_fork
from seq2seq.reporting import write_report
from seq2seq.reporting.report import MAX_ROWS
from seq2seq.reporting.terminal import format_report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN", help="run directory or model folder; others are compared with the first")
    add("--source", metavar="FILE", help="UTF-8 file with one source per line, to measure on")
    add("--reference", metavar="FILE", help="file with the reference of each source")
    add(
        "--output",
        metavar="FOLDER",
        help="where the report goes; default: `report` in the run, `comparison` of several",
    )
    add("--max-rows", type=integer, default=MAX_ROWS, help="sources at most, the first; 0: all; default: %(default)s")
    add("--checkpoint", metavar="CHECKPOINT", help=CHECKPOINT_HELP)
    add("--device", default="auto", help="cpu, cuda, cuda:1 …; default: the GPU where there is one")
    add("--precision", choices=PRECISION_NAMES, default="fp32", help="default: %(default)s")
    add("--processes", type=integer, default=0, help="processes that generate on a CPU, a thread each; 0: one a core")
    add("--seed", type=integer, default=1, help="of intervals, tests and drawn examples; default: %(default)s")


def run(arguments: argparse.Namespace) -> int:
    check_options(arguments)
    name = "report" if len(arguments.runs) == 1 else "comparison"
    output = folder_in_run(arguments.runs, arguments.checkpoint, arguments.output, name)
    processes = generating_processes(arguments)
    prepare_process(1 if processes > 1 else 0)
    keep_freed_memory()
    report = write_report(
        arguments.runs,
        output,
        files=(arguments.source, arguments.reference) if arguments.source is not None else None,
        max_rows=arguments.max_rows,
        device=arguments.device,
        precision=arguments.precision,
        checkpoint=arguments.checkpoint,
        processes=processes,
        seed=arguments.seed,
    )
    print(format_report(report))
    return 0


def check_options(arguments: argparse.Namespace) -> None:
    """Raise ValueError for options that make no sense, alone or together."""
    if (arguments.source is None) != (arguments.reference is None):
        raise ValueError("`--source` and `--reference` go together: give the file of the other side too.")
    for name in ("max_rows", "processes", "seed"):
        if getattr(arguments, name) < 0:
            raise ValueError(f"`--{name.replace('_', '-')}` must be 0 or more, but is {getattr(arguments, name)}.")


def generating_processes(arguments: argparse.Namespace) -> int:
    """Return how many processes of this machine generate.

    Raises:
        ValueError: the option asks for several where there can be only one.
    """
    can_share = pick_device(arguments.device) == "cpu" and can_fork()
    if arguments.processes > 1 and not can_share:
        raise ValueError("`--processes` shares the work of one command on a CPU under Linux; leave it out here.")
    return arguments.processes or (num_cores() if can_share else 1)
