"""What in the options of `seq2seq decode` cannot be meant, or does not go together: known before any work."""

import argparse

from seq2seq.config.declaring import MOST_PROCESSES
from seq2seq.generation.corpus import check_max_source_tokens
from seq2seq.lines import STANDARD


def check_arguments(arguments: argparse.Namespace) -> None:
    """Raise ValueError for options that cannot be meant, or that do not go together."""
    check_numbers_of(arguments)
    if arguments.right_model and arguments.rescore in (None, "none"):
        raise ValueError("`--right-model` ranks hypotheses together with `--model`; add `--rescore both` or `r2l`.")
    if arguments.left_model and arguments.rescore in (None, "none"):
        raise ValueError("`--left-model` ranks what an interleaved `--model` generates; add `--rescore l2r`.")
    given = {
        "--output": arguments.output != STANDARD,
        "--format": arguments.format != "auto",
        "--reference": arguments.reference,
        "--metrics": arguments.metrics,
        "--sentence-separator": arguments.sentence_separator,
        "--prefixes": arguments.prefixes,
        "--tune-rescoring-weight": arguments.tune_rescoring_weight,
        "--max-source-tokens": arguments.max_source_tokens,
    }
    if arguments.trace and (wrong := [f"`{option}`" for option, is_given in given.items() if is_given]):
        raise ValueError(f"`--trace` writes a page of one line's search and no more; leave out {' and '.join(wrong)}.")
    for option in ("--metrics", "--sentence-separator"):
        if given[option] and not arguments.reference:
            raise ValueError(f"`{option}` is for scoring the output; give what to score it against as `--reference`.")


def check_numbers_of(arguments: argparse.Namespace) -> None:
    """Raise ValueError for a number that is out of range; those of searches are checked where these are made."""
    for name, choice in (("threads", "torch chooses"), ("processes", "one a core")):
        if not 0 <= getattr(arguments, name) <= MOST_PROCESSES:
            raise ValueError(
                f"`--{name}` must be between 0 ({choice}) and {MOST_PROCESSES:,}, but is {getattr(arguments, name)}."
            )
    if arguments.batch_tokens < 1:
        raise ValueError(f"`--batch-tokens` must be at least 1, but is {arguments.batch_tokens}.")
    check_max_source_tokens(arguments.max_source_tokens)
    weights = arguments.weights
    if weights is not None and (len(weights) != len(arguments.model) or min(weights) <= 0):
        raise ValueError(
            f"`--weights` are as many positive numbers as there are models ({len(arguments.model)}), but are {weights}."
        )
