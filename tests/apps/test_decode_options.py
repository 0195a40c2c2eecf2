"""Options of `seq2seq decode` that cannot be meant, or not there: one line that names them."""

from pathlib import Path

import pytest
import torch

from seq2seq.apps.command import main
from seq2seq.apps.verb_parser import parser_of
from tests.apps.conftest import error_of


def test_processes_on_a_device_that_has_none(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("seq2seq.apps.decode.can_fork", lambda: False)
    assert "`--processes` shares the work" in error_of([*command, "--processes", "2"], capsys)


def test_fewer_processes_than_none(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "`--processes` must be between 0 (one a core)" in error_of([*command, "--processes", "-1"], capsys)


@pytest.mark.parametrize(("name", "format_options"), [("o.txt", []), ("o.jsonl", ["--format", "text"])])
def test_several_hypotheses_in_plain_text(
    command: list[str], tmp_path: Path, name: str, format_options: list[str]
) -> None:
    command[-1] = str(tmp_path / name)
    with pytest.warns(UserWarning, match="for `--n-best` add `--format jsonl` or `moses`"):
        assert main(["decode", *command, "--n-best", "2", *format_options]) == 0


def test_a_number_of_processes_that_nobody_has_launched(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.warns(UserWarning, match="taken for the only process"):
        assert main(["decode", *command]) == 0
    assert (tmp_path / "output.txt").read_text() == "abc\ncab\nbac\n"


def test_text_has_room_for_the_best_alone(command: list[str], tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="one output a line; for `--n-best` add `--format jsonl`"):
        assert main(["decode", *command, "--n-best", "2"]) == 0
    assert len((tmp_path / "output.txt").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--threads", "1025"], "`--threads` must be between 0 (torch chooses) and 1,024, but is 1025"),
        (["--processes", "1000000"], "`--processes` must be between 0 (one a core) and 1,024"),
        (["--weights", "1", "2"], "`--weights` are as many positive numbers as there are models (1)"),
        (["--weights", "0"], "`--weights` are as many positive numbers"),
        (["--metrics", "bleu"], "`--metrics` is for scoring the output; give what to score it against"),
        (["--sentence-separator", "<n>"], "`--sentence-separator` is for scoring the output"),
        (["--sentence-separator", "<n>", "--reference", "x", "--metrics", "bleu"], "`sentence_separator` is no option"),
        (["--tune-steps", "3"], "`--tune-steps` is of a tuning; add `--tune-metric`"),
        (["--tune-steps", "0"], "`--tune-steps` must be at least 1"),
        (["--tune-output", "x"], "`--tune-output` is of a tuning"),
        (["--temperature", "1e308"], "--temperature: must be 0, or of 1e-30 to 1e+12 in size, but is 1e308"),
    ],
)
def test_options_that_cannot_be_meant(
    command: list[str], options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in error_of([*command, *options], capsys)


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="here the device can be used")
def test_a_device_that_is_not_there_is_no_page(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    error = error_of([*command, "--device", "mps"], capsys)
    assert "`device` 'mps' cannot be used: " in error
    assert len(error) < 300


def test_what_most_options_of_a_search_cannot_mean(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """-1, wherever an option has any effect; one that has none with its method is refused by its name as well."""
    may_be_negative = {"--length-penalty"}
    for action in parser_of("decode").actions():
        if not callable(action.type) or action.type.__name__ not in ("integer", "number"):
            continue
        [flag] = action.option_strings
        with_it = {"--mbr=chrf": ["num_samples", "mbr_epsilon"], "--method=sampling": ["temperature", "top_k", "top_p"]}
        given = [option for option, names in with_it.items() if action.dest in names]
        if flag not in may_be_negative:
            assert main(["decode", *command, *given, f"{flag}=-1"]) == 2, flag
            said = capsys.readouterr().err
            assert any(name in said for name in (flag, f"`{action.dest}`", f"`{action.dest.removeprefix('mbr_')}`")), (
                said
            )
