"""A benchmark's own options, and those for train.py behind `--`."""

import argparse
import sys


def parse_with_training_options(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, list[str]]:
    """Return the parsed command line up to `--`, and whatever stands behind it."""
    given = sys.argv[1:]
    cut = given.index("--") if "--" in given else len(given)
    return parser.parse_args(given[:cut]), given[cut + 1 :]
