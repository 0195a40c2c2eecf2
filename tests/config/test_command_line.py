from pathlib import Path

import pytest

from seq2seq.config.command_line import help_text, read_configuration, split_arguments
from seq2seq.config.declaring import all_options
from seq2seq.config.parsing import Parser
from tests.config.zoo import Zoo


@pytest.mark.parametrize(
    "words",
    [
        ["x.yaml", "--a.b", "1", "--c=2", "--print-config"],
        ["--a.b", "1", "x.yaml", "--print-config", "--c", "2"],
        ["--print-config", "--config", "x.yaml", "--a.b=1", "--c=2"],
    ],
)
def test_the_file_stands_anywhere(words: list[str]) -> None:
    given = split_arguments(words)
    assert given.file == Path("x.yaml")
    assert given.overrides == [("a.b", "1"), ("c", "2")]
    assert given.wishes == {"print-config"}


def test_short_names_and_values_that_look_like_options() -> None:
    assert split_arguments(["--init-from", "runs/x"]).overrides == [("training.initialize_from", "runs/x")]
    assert split_arguments(["--a", "-1"]).overrides == [("a", "-1")]


@pytest.mark.parametrize(
    ("words", "message"),
    [(["-x", "3"], "`-x`: there is no such option"), (["x.yaml", "y.yaml"], "Two files are named, x.yaml and y.yaml")],
)
def test_words_that_are_no_command(words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split_arguments(words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--name"], "`--name` has no value; write `--name VALUE`"),
        (["--nmae"], "Did you mean `name`"),
        (["--help.bash"], "there is no option `help.bash`. Did you mean `--help`"),
        (["--hlep"], "Did you mean `--help`"),
        (["--print-confg", "x.yaml"], "Did you mean `--print-config`"),
        (["--init-form", "runs/x"], "Did you mean `--init-from`"),
        (["--print-config=true"], "`--print-config` takes no value"),
        (["x.yaml", "--config"], "`--config` has no value"),
    ],
)
def test_mistyped_options_are_named_with_the_nearest(words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_configuration(split_arguments(words), Parser(Zoo))


def test_what_is_no_file_of_a_configuration_says_what_to_give(tmp_path: Path) -> None:
    (tmp_path / "pairs.txt").write_text("a\tb\n")
    for name, message in (
        (".", r"is a folder; give .*config\.yaml"),
        ("pairs.txt", r"--data\.train\.path .*pairs\.txt --data\.train\.format tsv"),
        ("configs/tsv.yaml", "`seq2seq init tsv` writes"),
        ("titles", "`seq2seq init titles` writes"),
        ("x.yaml", "`seq2seq init` writes one"),
    ):
        with pytest.raises(ValueError, match=message):
            read_configuration(split_arguments([str(tmp_path / name)]), Parser(Zoo))


def test_a_missing_file_is_named_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "zoo.yaml").write_text("name: a")
    with pytest.raises(ValueError, match=r"zo\.yaml: no such file.*Did you mean .*zoo\.yaml"):
        read_configuration(split_arguments([str(tmp_path / "zo.yaml")]), Parser(Zoo))


def test_help_names_every_option_with_its_text() -> None:
    text = help_text("zoo", "What it does.", Zoo)
    for name, option, _ in all_options(Zoo):
        assert (f"--{name} " if option.section is None else f"{name}: ") in text
    assert "how many are left. (default: 9)" in text
