"""From a word of a command line to a value: what argparse takes for the type of an option.

A text enters; a number or a truth leaves, or an error that argparse shows beside the name of the option.
"""

import argparse
from typing import Any

from seq2seq.config.declaring import wrong_number

CHECKPOINT_HELP = (
    "`best`, `last` or a step: which checkpoint of the runs that are named; default: what the run has exported, which "
    "while it trains is the best so far"
)


def keywords_of(values: Any) -> dict[str, Any]:
    """Return argparse's keywords for an option's type, or for what it can be."""
    if isinstance(values, tuple):
        return {"choices": values}
    if values is bool:  # as a type it would take any word, `false` too, for true
        return {"type": truth, "nargs": "?", "const": True, "metavar": "BOOL"}
    kinds: dict[Any, Any] = {int: integer, float: number}
    return {"type": kinds.get(values, values), "metavar": values.__name__.upper()}


def integer(text: str) -> int:
    """Return the integer of a text, of 64 bits at most: what torch can count."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"invalid int value: {text!r}") from None
    if wanted := wrong_number(value):
        raise argparse.ArgumentTypeError(f"{wanted}, but is {text}")
    return value


def number(text: str) -> float:
    """Return the number of a text that is one, and of a size that can be meant."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"invalid float value: {text!r}") from None
    if wanted := wrong_number(value):
        raise argparse.ArgumentTypeError(f"{wanted}, but is {text}")
    return value


def truth(text: str) -> bool:
    """Return what `true` or `false` says."""
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"must be true or false, but is {text!r}")
    return text.lower() == "true"
