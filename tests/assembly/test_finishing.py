"""What a run says at its end can be typed, does what the run was trained for, and is what the pages show."""

import shlex
from pathlib import Path

import pytest

from seq2seq.apps.command import main
from seq2seq.assembly.configuration import load_run_config
from seq2seq.assembly.finishing import next_commands
from seq2seq.assembly.search import changed_search, default_search
from tests.tiny_run import write_copy_task

PAGE = (Path(__file__).parents[2] / "docs" / "pairs.md").read_text(encoding="utf-8")


def test_the_page_has_the_same_commands() -> None:
    commands = next_commands(load_run_config(["--run_directory", "runs/pairs"]))
    assert "\n".join(commands) in PAGE


def test_the_directory_is_quoted_where_a_shell_needs_it() -> None:
    [decode, _] = next_commands(load_run_config(["--run_directory", "my runs/a&b"]))
    assert shlex.split(decode)[:4] == ["seq2seq", "decode", "--model", "my runs/a&b"]


@pytest.mark.parametrize(
    ("options", "is_said"),
    [
        (["--model.generation_order", "bidirectional"], True),
        (["--model.generation_order", "bidirectional", "--decoding", "synchronous"], True),
        (["--model.generation_order", "bidirectional", "--decoding.joint.beam_width", "6"], True),
        (["--model.generation_order", "bidirectional", "--decoding", "greedy"], False),
        (["--model.generation_order", "interleaved"], False),
        (["--model.generation_order", "r2l"], False),
        ([], False),
    ],
)
def test_both_ends_are_named_where_the_run_searches_from_both(options: list[str], is_said: bool) -> None:
    """The option changes nothing there: it says what the command does."""
    config = load_run_config(["--run_directory", "runs/x", *options])
    assert ("--bidirectional" in next_commands(config)[0]) == is_said
    if is_said:
        search = config.decoding or default_search("bidirectional")
        assert changed_search(config.decoding, {"generation_order": "bidirectional"}, "bidirectional") == search


def test_the_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_copy_task(tmp_path, training={"max_steps": 2})
    assert main(["train", config]) == 0
    printed = capsys.readouterr().out
    assert f"Exported step-00000002 to {tmp_path / 'run' / 'model'}\nDecode a test set, and score it, by\n" in printed
    monkeypatch.chdir(tmp_path)
    for name in ("test.source", "test.target"):
        (tmp_path / name).write_text("abc\nde\n")
    for command in printed.splitlines()[-2:]:
        assert main(shlex.split(command)[1:]) == 0
    assert len((tmp_path / "test.output").read_text().splitlines()) == 2
