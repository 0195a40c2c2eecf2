"""Write the mean of several models' weights as a model, which decodes as fast as one of them.

    seq2seq average --model runs/start runs/tuned --output runs/mean
    seq2seq average --model runs/start runs/tuned --weights 1 3 --output runs/mean
    seq2seq average --model runs/x/checkpoints/step-00009000 runs/x/checkpoints/step-00010000 --output runs/mean

It is for models of the same architecture and tokenizer that have gone on from the same one (`--init-from`), that one
included; whether the mean is better than each must be measured (docs/results/r_drop.md). For models that were
trained apart, see the ensembles of `seq2seq decode --model a b`.
"""

import argparse
from pathlib import Path

from seq2seq.apps.option_values import CHECKPOINT_HELP, number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, nargs="+", help="run directories or model folders, two or more")
    parser.add_argument("--checkpoint", help=CHECKPOINT_HELP)
    parser.add_argument("--weights", type=number, nargs="+", help="share of each model, in any unit; default: equal")
    parser.add_argument("--output", required=True, help="folder to write; must not be there yet")


def run(arguments: argparse.Namespace) -> int:
    from seq2seq.export.average import average_models

    shares = arguments.weights or [1.0] * len(arguments.model)
    if len(shares) != len(arguments.model) or min(shares) <= 0:
        raise ValueError(
            f"`--weights` are as many numbers above 0 as there are models ({len(arguments.model)}), but are {shares}."
        )
    average_models(Path(arguments.output), arguments.model, shares, arguments.checkpoint)
    print(f"Wrote the mean of {len(arguments.model)} models to {arguments.output}.")
    return 0
