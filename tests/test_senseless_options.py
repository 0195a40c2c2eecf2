"""Numbers that cannot be meant are refused by the name of their option, whatever option it is.

The options are those that the components and the verbs have, so a new one is tried without a word here.
"""

import argparse
import math
import typing
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from seq2seq.apps.command import main
from seq2seq.apps.verb_parser import VerbParser, parser_of
from seq2seq.assembly.checks import check_config
from seq2seq.assembly.configuration import PARSER, RunConfig
from seq2seq.config.declaring import Option, all_options, check_numbers, texts_of, wrong_number
from seq2seq.config.nodes import Node
from seq2seq.training.options import OptimizerOptions

NEVER = ("nan", "inf", "-inf", "1e308", "-1e308", "1e-320", str(2**63), str(-(2**63) - 1), str(10**40))
"""What no option can mean: not a number, infinite in single precision, 0 in it, or no integer of 64 bits."""
MAY_BE_NEGATIVE = {"length_penalty"}
"""A penalty below 0 is for short hypotheses."""
ZERO_IS_PLAIN = {"seed", "warmup_steps", "first_steps", "folds", "refreshes", "gold_steps", "min_length"}
"""Integers of which 0 is a number like any other, and needs no words."""
SECTIONS = tuple(dict.fromkeys(dotted.split(".")[0] for dotted, _, _ in all_options(RunConfig)))


@cache
def numeric_options() -> dict[str, tuple[Option, type]]:
    """Return the options of a configuration that hold numbers, by dotted name."""
    found = {}
    for dotted, option, component in all_options(RunConfig):
        if option.kind in (int, float) or {int, float} & {*typing.get_args(option.kind)}:
            found[dotted] = (option, component)
    return found


def refused(dotted: str, value: str) -> str | None:
    """Return what is said of a value of an option, None if it is accepted."""
    option, _ = numeric_options()[dotted]
    text = f"[{value}, {value}]" if typing.get_args(option.kind) else value
    try:
        PARSER.parse(Node({"run_directory": Node("run", "here")}, "here"), [(dotted, text)])
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize("section", SECTIONS)
def test_what_no_option_of_a_configuration_can_mean(section: str) -> None:
    for dotted in numeric_options():
        if dotted.split(".")[0] == section:
            for value in NEVER:
                said = refused(dotted, value)
                assert said is not None, f"`{dotted}` takes {value}"
                assert dotted.rsplit(".", 1)[-1] in said, said
                assert "\n" not in said


@pytest.mark.parametrize("section", SECTIONS)
def test_what_most_options_of_a_configuration_cannot_mean(section: str) -> None:
    for dotted, (option, component) in numeric_options().items():
        if dotted.split(".")[0] != section:
            continue
        if option.name not in MAY_BE_NEGATIVE:
            for value in ("-1", "-3"):
                assert refused(dotted, value) is not None, f"`{dotted}` takes {value}"
        if option.kind is int and option.name not in ZERO_IS_PLAIN and refused(dotted, "0") is None:
            assert "0" in texts_of(component)[option.name], f"`{dotted}` takes 0, but does not say what that means"


@pytest.mark.parametrize("name", ["data.num_workers", "training.threads"])
def test_more_processes_than_any_machine_has(name: str) -> None:
    assert refused(name, "1025") is not None
    assert refused(name, "1024") is None


def test_numbers_of_components_that_a_program_makes() -> None:
    config: Any = PARSER.parse(Node({"run_directory": Node("run", "here")}, "here"), [("data.train.path", "x.tsv")])
    object.__setattr__(config, "optimizer", OptimizerOptions(learning_rate=math.nan))
    with pytest.raises(ValueError, match="`learning_rate` must be a finite number, but is nan"):
        check_config(config)
    with pytest.raises(ValueError, match="`betas` must be 0, or of"):
        check_numbers(OptimizerOptions(betas=(0.9, 1e-300)))


@pytest.mark.parametrize(
    ("value", "is_wrong"),
    [(0, False), (0.0, False), (1e12, False), (-1e-30, False), (2**63 - 1, False), (True, False)]
    + [(1.1e12, True), (1e-31, True), (2**63, True), (math.inf, True)],
)
def test_bounds_of_all_numbers(value: float, is_wrong: bool) -> None:
    assert (wrong_number(value) is not None) == is_wrong


# ---- the verbs that argparse reads -----------------------------------------------------------------------------------

GIVEN = {
    "decode": ["--model", "none"],
    "score": ["--hypothesis", "none", "--reference", "none"],
    "diagnose": ["--model", "none", "--source", "none", "--reference", "none"],
    "report": ["none"],
    "average": ["--model", "none", "none", "--output", "none"],
    "export": ["--model", "none", "--output", "none"],
    "info": [],
}
"""What each verb must be given."""


def numeric_actions(verb: str) -> Iterator[argparse.Action]:
    parser: VerbParser = parser_of(verb)
    for action in parser.actions():
        if callable(action.type) and action.type.__name__ in ("int", "float", "integer", "number"):
            yield action


@pytest.mark.parametrize("verb", GIVEN)
def test_what_no_option_of_a_verb_can_mean(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    for action in numeric_actions(verb):
        [flag] = action.option_strings
        for value in NEVER:
            assert main([verb, *GIVEN[verb], f"{flag}={value}"]) == 2
            said = capsys.readouterr().err
            assert flag in said, f"{verb} takes {flag} {value}: {said}"
            assert said.count("\n") == 1


@pytest.mark.parametrize("verb", [verb for verb in GIVEN if verb != "decode"])
def test_what_most_options_of_a_verb_cannot_mean(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before any work: not even the files are there."""
    for action in numeric_actions(verb):
        [flag] = action.option_strings
        assert main([verb, *GIVEN[verb], f"{flag}=-1"]) == 2
        assert flag in capsys.readouterr().err
