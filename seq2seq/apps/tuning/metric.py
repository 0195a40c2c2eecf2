"""The options of `seq2seq decode` that tune a copy of the model first, and what they do."""

import argparse
import sys
from contextlib import redirect_stdout
from pathlib import Path

from seq2seq.apps.option_values import integer
from seq2seq.processes import Processes


def add_tuning_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "tuning", "a copy of the run is first searched on for a metric, on pairs with references, and kept"
    )
    group.add_argument("--tune-metric", help="metric to improve, such as bleu or chrf")
    group.add_argument("--tune-source", metavar="FILE", help="sources to tune on, every fifth held out; not a test's")
    group.add_argument("--tune-reference", metavar="FILE", help="their references")
    group.add_argument("--tune-steps", type=integer, help="updates, each of four decodings of a batch; default: 200")
    group.add_argument("--tune-output", metavar="RUN", help="tuned run; default: the model's name with `-tuned-METRIC`")


def tune_first(arguments: argparse.Namespace, processes: Processes) -> bool:
    """Put a tuned copy in place of the model, if the options ask for one; return whether it was trained just now.

    Raises:
        ValueError: options are missing, or do not go together.
    """
    files = (arguments.tune_source, arguments.tune_reference)
    if arguments.tune_steps is not None and arguments.tune_steps < 1:
        raise ValueError(f"`--tune-steps` must be at least 1, but is {arguments.tune_steps}.")
    if arguments.tune_metric is None and files == (None, None):
        for option, value in (("--tune-steps", arguments.tune_steps), ("--tune-output", arguments.tune_output)):
            if value is not None:
                raise ValueError(f"`{option}` is of a tuning; add `--tune-metric` and its pairs, or leave it out.")
        return False
    if arguments.tune_metric is None or None in files:
        raise ValueError("Tuning needs `--tune-metric`, `--tune-source` and `--tune-reference`.")
    if len(arguments.model) > 1 or arguments.right_model or arguments.left_model:
        raise ValueError("Only a single model can be tuned; tune each of them, and then decode with them all.")
    if arguments.checkpoint is not None:
        raise ValueError("What is tuned is what a run has exported; leave out `--checkpoint`, or `--tune-metric`.")
    from seq2seq.assembly.tuning import Tuning, tune

    output = Path(arguments.tune_output) if arguments.tune_output else None
    steps = {} if arguments.tune_steps is None else {"steps": arguments.tune_steps}
    tuning = Tuning(
        Path(arguments.model[0]), arguments.tune_metric, *files, output=output, threads=arguments.threads, **steps
    )
    with redirect_stdout(sys.stderr):  # standard output may be what is decoded
        was_trained = tune(tuning, processes)
    arguments.model = [str(tuning.folder)]
    return was_trained
