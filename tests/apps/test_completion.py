"""Completion scripts, run by the shells that they are for where these are installed."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from seq2seq.apps.command import VERBS, main
from seq2seq.apps.completion import all_verbs
from seq2seq.apps.completion_scripts import SCRIPTS, Verb, groups
from seq2seq.assembly.configuration import RunConfig
from seq2seq.config.declaring import all_options

CASES = [
    ("seq2seq tr", {"train"}),
    ("seq2seq ", {*VERBS}),
    ("seq2seq --vers", {"--version"}),
    ("seq2seq train --training.max_s", {"--training.max_steps"}),
    ("seq2seq train x.yaml --seed 3 --data.train.head", {"--data.train.header"}),
    ("seq2seq train --training.precision b", {"bf16"}),
    ("seq2seq prepare --data.train.header ", {"true", "false"}),
    ("seq2seq prepare --objective.gold.rew", {"--objective.gold.reward"}),
    ("seq2seq train --objective r_", {"r_drop"}),
    ("seq2seq train --init-f", {"--init-from"}),
    ("seq2seq train --print", {"--print-config"}),
    ("seq2seq decode --method di", {"diverse_beam"}),
    ("seq2seq decode --model a --beam-w", {"--beam-width"}),
    ("seq2seq score --metrics bleu ter ch", {"chrf", "chrf++", "character_error_rate"}),
    ("seq2seq init sp", {"spelling"}),
    ("seq2seq completion ", {"bash", "zsh", "fish"}),
    ("seq2seq train pai", {"pairs.tsv"}),
    ("seq2seq train --data.train.path pai", {"pairs.tsv"}),
    ("seq2seq init titles --train pai", {"pairs.tsv"}),
    ("seq2seq info ru", {"runs"}),
]
each_shell = pytest.mark.parametrize("shell", SCRIPTS)


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the scripts, and files to complete."""
    folder = tmp_path_factory.mktemp("completion")
    verbs = all_verbs()
    for shell, script in SCRIPTS.items():
        (folder / shell).write_text(script(verbs), encoding="utf-8")
    (folder / "pairs.tsv").touch()
    (folder / "runs").mkdir()
    return folder


def in_bash(script: Path, line: str) -> str:
    words = shlex.split(line) + [""] * line.endswith(" ")
    quoted = " ".join(map(shlex.quote, words))
    asked = f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _seq2seq"
    files = f"compgen -f -- {shlex.quote(words[-1])}"  # what `-o default` does where there is no word
    return f'{asked}; if ((${{#COMPREPLY[@]}})); then printf "%s\\n" "${{COMPREPLY[@]}}"; else {files}; fi'


def in_zsh(script: Path, line: str) -> str:
    words = shlex.split(line) + [""] * line.endswith(" ")
    quoted = " ".join(map(shlex.quote, words))
    stand_ins = (
        "compdef() { :; }; compset() { :; }; _files() { print -rl -- *(N); }; compadd() { shift; print -rl -- $@; }; "
    )
    return f"{stand_ins} source {script}; words=({quoted}); CURRENT={len(words)}; _seq2seq"


def in_fish(script: Path, line: str) -> str:
    return f"complete -C {shlex.quote(line)}"


ASKED: dict[str, Callable[[Path, str], str]] = {"bash": in_bash, "zsh": in_zsh, "fish": in_fish}


def completed(shell: str, folder: Path, line: str) -> set[str]:
    """Return what a shell offers at the end of a line."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell} here")
    asked = ASKED[shell](folder / shell, line)
    command = [program, "-c", asked if shell == "zsh" else f"source {folder / shell}; {asked}"]
    environment = os.environ | {"HOME": str(folder)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
    assert done.stderr == ""
    offered = {entry.split("\t")[0].rstrip("/") for entry in done.stdout.splitlines()}
    last = line.rsplit(" ", 1)[1]
    return {word for word in offered if word.startswith(last)}  # zsh leaves this to `compadd`


@each_shell
@pytest.mark.parametrize(("line", "expected"), CASES, ids=[line for line, _ in CASES])
def test_a_line_is_completed(shell: str, line: str, expected: set[str], scripts: Path) -> None:
    offered = completed(shell, scripts, line)
    assert offered - ({"--help", "--version"} - expected) == expected


def test_bash_takes_the_value_behind_an_equals_sign_for_a_word_of_its_own(scripts: Path) -> None:
    assert completed("bash", scripts, "seq2seq train --training.precision = fp1") == {"fp16"}
    assert completed("bash", scripts, "seq2seq train --training.precision =") == set()


@each_shell
def test_a_script_is_printed_with_every_option(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    dash = "-l " if shell == "fish" else "--"
    assert [verb for verb in VERBS if not re.search(rf"\b{verb}\b", script)] == []
    for name, option, _ in all_options(RunConfig):
        assert option.section is not None or f"{dash}{name}" in script, name


def test_verbs_of_the_same_words_stand_together() -> None:
    verbs = all_verbs()
    assert list(verbs) == list(VERBS)
    assert ["train", "prepare"] in [names for names, _ in groups(verbs)]
    assert verbs["score"].repeated == {"--reference", "--metrics"}
    assert verbs["score"].options["--json"] is None


@pytest.mark.parametrize("arguments", [["completion"], ["completion", "tcsh"]])
def test_a_shell_must_be_one_of_three(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_word_that_a_shell_would_change_is_refused() -> None:
    verbs = all_verbs()
    verbs["info"] = Verb("", {"--a b": ()}, {"--a b": ""}, frozenset(), ())
    with pytest.raises(AssertionError, match="would not leave"):
        SCRIPTS["bash"](verbs)
