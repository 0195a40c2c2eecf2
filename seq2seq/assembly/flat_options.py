"""Flat options of a search, as `decode`, `load` and a generator's call take them: names, values, and their texts."""

import numbers
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from seq2seq.assembly.foreign_names import OF_DECODING, ours_instead
from seq2seq.config.declaring import Option, options_of, texts_of
from seq2seq.decoding import ONE_SIDED, SEARCHES
from seq2seq.decoding.algorithms.minimum_bayes_risk import MinimumBayesRisk
from seq2seq.decoding.algorithms.rescoring import Rescored
from seq2seq.decoding.parts.options import SearchOptions

SELECTORS: dict[str, tuple[Any, str]] = {
    "method": (tuple(ONE_SIDED), "search algorithm; a beam of width 1 is greedy"),
    "generation_order": (
        ("auto", "l2r", "r2l", "bidirectional", "interleaved"),
        "order of generation, which the model must have been trained for; `auto` takes that one. A `bidirectional` "
        "model also knows `l2r` and `r2l`",
    ),
    "pairing": (
        ("rank", "joint", "companion"),
        "what the directions of a `bidirectional` search see of each other: the hypothesis of the same rank in the "
        "other half of the beam (Zhou et al. 2019); a fixed partner, both being one hypothesis; or a greedy companion "
        "of each hypothesis's own, at two rows a hypothesis",
    ),
    "rescore": (("none", "l2r", "r2l", "both"), texts_of(Rescored)["rescore"]),
    "rescoring_weight": (float, texts_of(Rescored)["weight"]),
    "rescoring_margin": (float, texts_of(Rescored)["margin"]),
    "mbr": (str, texts_of(MinimumBayesRisk)["metric"]),
    "num_samples": (int, "samples per sentence that `mbr` draws"),
    "mbr_epsilon": (float, "what `epsilon` is for the samples of `mbr` unless that is given"),
    "mbr_candidates": (("samples", "search"), texts_of(MinimumBayesRisk)["candidates"]),
    "mbr_pairwise": (bool, texts_of(MinimumBayesRisk)["pairwise"]),
}
"""Flat options that choose a search, or belong to one that is put around another: values, and the text."""


def flat_options() -> Iterator[tuple[str, Any, str]]:
    """Yield name, type or allowed values, and text of every flat option: `SELECTORS`, and the fields of searches."""
    yield from ((name, kind, text) for name, (kind, text) in SELECTORS.items())
    seen = {*SELECTORS}
    for kind in SEARCHES.values():
        for name, option in options_of(kind).items():
            if name not in seen and _is_flat(kind, option):
                seen.add(name)
                values = (
                    typing.get_args(option.kind) if typing.get_origin(option.kind) is typing.Literal else option.kind
                )
                yield name, values, texts_of(kind).get(name, "")


def _is_flat(kind: type, option: Option) -> bool:
    return issubclass(kind, SearchOptions) and option.choice is None and option.section is None


def check_flat_options(given: Mapping[str, Any]) -> None:
    """Raise ValueError for an option that there is not, or a value that it cannot have; names what to write instead."""
    known = {name: values for name, values, _ in flat_options()}
    for name, value in given.items():
        if name not in known:
            instead = ours_instead(name, OF_DECODING) or f"There are {', '.join(sorted(known))}."
            raise ValueError(f"There is no search option `{name}`. {instead}")
        _check_value(name, known[name], value)


def _check_value(name: str, values: Any, value: Any) -> None:
    """Raise ValueError for a value that is none of those, or not of that type, which an option can have."""
    if isinstance(values, tuple):
        wanted, is_right = f"one of {', '.join(values)}", value in values
    elif values in (int, float):
        kind: type = numbers.Integral if values is int else numbers.Real
        wanted = "a whole number" if values is int else "a number"
        is_right = isinstance(value, kind) and not isinstance(value, bool)
    else:
        wanted, is_right = "True or False" if values is bool else "a text", isinstance(value, values)
    if not is_right:
        raise ValueError(f"`{name}` must be {wanted}, but is {value!r}.")
