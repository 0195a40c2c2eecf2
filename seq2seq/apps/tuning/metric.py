"""The options of `seq2seq decode` that tune a copy of the model first, and what they do."""

import argparse
import sys
from contextlib import redirect_stdout
from pathlib import Path

from seq2seq.assembly.process import Processes


def add_tuning_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "tuning", "a copy of the run is first searched on for a metric, on pairs with references, and kept"
    )
    group.add_argument("--tune-metric", help="metric to improve, such as bleu or chrf")
    group.add_argument("--tune-source", metavar="FILE", help="sources to tune on, every fifth held out; not a test's")
    group.add_argument("--tune-reference", metavar="FILE", help="their references")
    group.add_argument("--tune-steps", type=int, default=200, help="updates, each of four decodings of a batch")
    group.add_argument("--tune-output", metavar="RUN", help="tuned run; default: the model's name with `-tuned-METRIC`")


def tune_first(arguments: argparse.Namespace, processes: Processes) -> bool:
    """Put a tuned copy in place of the model, if the options ask for one; return whether it was trained just now.

    Raises:
        ValueError: options are missing, or do not go together.
    """
    files = (arguments.tune_source, arguments.tune_reference)
    if arguments.tune_metric is None and files == (None, None):
        return False
    if arguments.tune_metric is None or None in files:
        raise ValueError("Tuning needs `--tune-metric`, `--tune-source` and `--tune-reference`.")
    if len(arguments.model) > 1 or arguments.right_model or arguments.left_model:
        raise ValueError("Only a single model can be tuned; tune each of them, and then decode with them all.")
    from seq2seq.assembly.tuning import Tuning, tune

    output = Path(arguments.tune_output) if arguments.tune_output else None
    tuning = Tuning(
        Path(arguments.model[0]), arguments.tune_metric, *files, arguments.tune_steps, output, arguments.threads
    )
    with redirect_stdout(sys.stderr):  # standard output may be what is decoded
        was_trained = tune(tuning, processes)
    arguments.model = [str(tuning.folder)]
    return was_trained
