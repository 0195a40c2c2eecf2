"""Names of other toolkits: each leads to an option that there is, in Python, on the command line and in YAML."""

import argparse
from collections.abc import Callable

import pytest

import seq2seq
from seq2seq.apps.command import main
from seq2seq.apps.decode import add_arguments
from seq2seq.assembly.configuration import RunConfig, load_run_config
from seq2seq.assembly.flat_options import check_flat_options, flat_options
from seq2seq.assembly.foreign_names import (
    OF_DECODING,
    OF_THE_COMMAND,
    OF_TRAINING,
    instead_of_words,
    ours_instead,
)
from seq2seq.config.declaring import all_options

FLAT = {name: values for name, values, _ in flat_options()}


def options_of_decode() -> set[str]:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return set(vars(parser.parse_args(["--model", "x"])))


def test_what_is_named_is_there_and_nothing_of_ours_is_taken_for_anothers() -> None:
    ours = options_of_decode()
    assert {found.option for found in (OF_DECODING | OF_THE_COMMAND).values()} - ours - {""} == set()
    assert ours.isdisjoint(OF_DECODING | OF_THE_COMMAND)
    of_runs = {name for name, _, _ in all_options(RunConfig)}
    assert {found.option for found in OF_TRAINING.values()} - of_runs - {""} == set()
    assert {name.rsplit(".", 1)[-1] for name in of_runs}.isdisjoint(OF_TRAINING)
    for found in (OF_DECODING | OF_THE_COMMAND | OF_TRAINING).values():
        assert found.option or found.note
        assert not found.value or found.option in of_runs or found.value in FLAT[found.option]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("num_beams", "There is no search option `num_beams`. `num_beams` of other toolkits is `beam_width` here."),
        ("do_sample", '`method="sampling"` here'),
        ("max_new_tokens", r"`max_length` here \(end of sentence counts\)"),
        ("repetition_penalty", "nothing like it here: `no_repeat_ngram` forbids what repeats"),
        ("dtype", "`precision` here"),
        ("nonsense", "There are .*beam_width"),
    ],
)
def test_unknown_options_in_python(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_flat_options({name: 4})


def test_loading_and_calling_say_so(copy_task) -> None:
    generator = seq2seq.load(copy_task / "run")
    calls: list[Callable[[], object]] = [
        lambda: generator("abc", num_beams=4),
        lambda: generator(iter(["abc"]), num_beams=4),
        lambda: seq2seq.load(copy_task / "run", num_beams=4),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="`beam_width` here"):
            call()
    with pytest.raises(ValueError, match="`precision` here"):
        seq2seq.load(copy_task / "run", dtype="float16")


@pytest.mark.parametrize(
    ("option", "value", "wanted"),
    [
        ("beam_width", 2.5, "a whole number"),
        ("beam_width", True, "a whole number"),
        ("length_penalty", "wu", "a number"),
        ("early_stopping", "never", "True or False"),
        ("method", "mcmc", "one of greedy, beam"),
        ("mbr", 1, "a text"),
    ],
)
def test_values_of_other_types_are_refused(option: str, value: object, wanted: str) -> None:
    with pytest.raises(ValueError, match=f"`{option}` must be {wanted}"):
        check_flat_options({option: value})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--num-beams", "4"], "`--num-beams` of other toolkits is `--beam-width` here"),
        (["--beam", "4"], "`--beam-width` here"),
        (["--nbest=4"], "`--n-best` here"),
        (["--sampling"], "`--method sampling` here"),
        (["--src", "x"], "`--input` here"),
        (["--frobnicate"], "`seq2seq decode --help` describes the options"),
    ],
)
def test_unknown_options_of_decode(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "--model", "x", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_words_that_are_no_options_say_nothing() -> None:
    assert instead_of_words("num-beams 4 --frobnicate") is None
    assert ours_instead("frobnicate", OF_DECODING) is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lr", "1"], "there is no option `lr`. `lr` of other toolkits is `optimizer.learning_rate` here."),
        (["--training.num_train_epochs", "1"], "`training.max_epochs` here"),
        (["--decoding.beam.num_beams", "4"], "`beam_width` here"),
        (["--decoding.sampling.max_new_tokens", "4"], "`max_length` here"),
    ],
)
def test_unknown_options_of_a_run(words: list[str], message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        load_run_config(["--run_directory", "x", *words])
    assert message in str(error.value)
