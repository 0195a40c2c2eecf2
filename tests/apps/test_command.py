"""The door of the command: verbs, help, mistakes, and readers that go away."""

import argparse
import importlib
import os
import re
import resource
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from safetensors import SafetensorError

from seq2seq import __version__
from seq2seq.apps import command, info
from seq2seq.apps.command import VERBS, main
from seq2seq.assembly.configuration import RunConfig
from seq2seq.assembly.flat_options import flat_options
from seq2seq.config.declaring import all_options, options_of, texts_of
from seq2seq.decoding import SEARCHES


def without_spaces(text: str) -> str:
    return "".join(text.split())


def helped(verb: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as leaving:
        main([verb, "--help"])
    assert leaving.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_usage_names_every_verb(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == (0 if arguments else 2)
    printed = capsys.readouterr().out
    assert [verb for verb, text in VERBS.items() if f"{verb:10} {text}" not in printed] == []
    assert "begin with:\n\n  seq2seq fit pairs.tsv" in printed


def test_every_verb_has_its_module() -> None:
    others = {"__init__", "command", "decode_export"}  # the last is `decode` with an export
    modules = {path.stem for path in Path(command.__file__).parent.glob("*.py")} - others
    runnable = {name for name in modules if hasattr(importlib.import_module(f"seq2seq.apps.{name}"), "run")}
    assert runnable == set(VERBS)


def test_an_unknown_verb_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transmogrify", "x"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "no verb `transmogrify`" in printed.err
    assert "decode" in printed.err


@pytest.mark.parametrize(
    ("word", "nearest"),
    [("trian", "train"), ("Decode", "decode"), ("prepair", "prepare"), ("--hlep", "--help"), ("version", "--version")],
)
def test_a_mistyped_verb_is_named_with_the_nearest(word: str, nearest: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word, "x"]) == 2
    error = capsys.readouterr().err
    assert error == (f"seq2seq: there is no verb `{word}`. Did you mean `{nearest}`? `seq2seq --help` lists all.\n")


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["seq2seq", "--version"], rf"seq2seq {re.escape(__version__)} \(torch \S+, transformers \S+\)\n"),
        (["seq2seq.apps.command", "-V"], rf"seq2seq {re.escape(__version__)} .*\n"),
        (["seq2seq", "--help"], r"usage: seq2seq VERB(.|\n)*"),
        (["seq2seq", "init"], r"usage: seq2seq init NAME(.|\n)* multi30k_en_de (.|\n)*"),
    ],
)
def test_what_needs_no_torch_is_answered_at_once_and_without_an_installation(
    words: list[str], answer: str, tmp_path: Path
) -> None:
    """A tree on the path of Python is no distribution, and torch takes seconds to import."""
    (tmp_path / "torch.py").write_text("raise AssertionError('torch is imported')")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{command.PACKAGE.parent}"}
    done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(answer, done.stdout)


@pytest.mark.parametrize("verb", VERBS)
def test_each_help_is_about_its_verb_and_has_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    printed = helped(verb, capsys)
    assert printed.startswith(f"usage: seq2seq {verb} ")
    assert re.search(rf"^ +seq2seq {verb} \S", printed.partition("\n\n")[2], flags=re.MULTILINE), "no example"
    assert [word for word in ("Raises:", "Args:", "Returns:", "configs/") if word in printed] == []
    first = str(importlib.import_module(f"seq2seq.apps.{verb}").__doc__).splitlines()[0]
    assert without_spaces(first) in without_spaces(printed)
    assert first.startswith("Train") == (verb == "train")


@pytest.mark.parametrize("verb", ["train", "prepare"])
def test_help_of_a_configuration_has_every_text(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    printed = helped(verb, capsys)
    assert f"seq2seq {verb}" in printed
    close = without_spaces(printed)
    for name, option, owner in all_options(RunConfig):
        text = texts_of(owner)[option.name]
        assert len(text) > 3, name
        assert without_spaces(text) in close, name
        assert option.section is not None or f"--{name} " in printed, name
    assert {"data.train.path", "optimizer.betas", "objective.minimum_risk.candidates.sampling.top_k"} <= {
        name for name, _, _ in all_options(RunConfig)
    }


@pytest.mark.parametrize("verb", ["init", "decode", "score", "diagnose", "info"])
def test_help_has_every_option_with_its_text(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    printed = helped(verb, capsys)
    parser = argparse.ArgumentParser()
    importlib.import_module(f"seq2seq.apps.{verb}").add_arguments(parser)
    actions = [action for action in parser._actions if action.dest != "help"]
    assert actions
    for action in actions:
        assert len(action.help or "") > 10, action.dest
        beginning = (action.help or "").split("%")[0]
        assert without_spaces(beginning) in without_spaces(printed), action.dest
        assert all(option in printed for option in action.option_strings)


def test_help_of_decode_has_the_options_and_texts_of_every_search(capsys: pytest.CaptureFixture[str]) -> None:
    printed = without_spaces(helped("decode", capsys))
    options = {name: text for name, _, text in flat_options()}
    assert {"method", "rescore", "mbr", "beam_width", "length_penalty", "num_groups", "top_p"} <= options.keys()
    for name, text in options.items():
        assert f"--{name.replace('_', '-')}" in printed
        assert len(text) > 10, name
        assert without_spaces(text) in printed, name


def test_decode_has_every_option_of_a_search_of_one_model() -> None:
    flat = {name for name, _, _ in flat_options()}
    ranked_anew = {"rescored", "minimum_bayes_risk"}  # their own are `rescore`, `rescoring_weight`, `mbr` …
    assert {name for kind in SEARCHES.keys() - ranked_anew for name in options_of(SEARCHES[kind])} <= flat


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["decode"], "required: --model"),
        (["decode", "--model", "x", "--beam-width", "wide"], "argument --beam-width: invalid int value: 'wide'"),
        (["decode", "--model", "x", "--method", "breadth"], "invalid choice: 'breadth'"),
        (["decode", "--model", "x", "--traces", "3"], "no option `--traces` (did you mean `--trace`?)"),
        (["decode", "--model", "x", "--beam-widht=3"], "no option `--beam-widht` (did you mean `--beam-width`?)"),
        (["decode", "--modle", "x"], "no option `--modle` (did you mean `--model`?)"),
        (["decode", "--model", "x", "--tune-metirc", "bleu"], "(did you mean `--tune-metric`?)"),
        (["decode", "-m", "x"], "there is no option `-m` (did you mean `--model`?)"),
        (["decode", "--model", "x", "--help.bash"], "there is no option `--help.bash` (did you mean `--help`?)"),
        (["info", "-v"], "there is no option `-v`;"),
        (["score", "--hypotheses", "x"], "no option `--hypotheses` (did you mean `--hypothesis`?)"),
        (["init", "titles", "--vlaidation", "x"], "(did you mean `--validation`?)"),
        (["decode", "--model", "x", "--frobnicate", "3"], "there is no option `--frobnicate`;"),
        (["init", "titles", "--src", "x"], "there is no option `--src`;"),
        (["info", "--yaml"], "there is no option `--yaml`;"),
        (["info", "x", "y"], "unrecognized arguments: y"),
        (["score", "--hypothesis", "x"], "required: --reference"),
    ],
)
def test_wrong_options_end_in_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.startswith(f"seq2seq {arguments[0]}: error: ")
    assert printed.err.endswith(f"`seq2seq {arguments[0]} --help` describes the options.\n")
    assert printed.err.count("\n") == 1


LIMIT, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
FILES = f"too many files are open: `ulimit -n` allows {LIMIT}; raise it, or close others."
MEMORY = "seq2seq info: error: there is not enough memory ({}); use a machine with more.\n"


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ValueError("wrong\n  here"), 2, "seq2seq info: error: wrong here\n"),
        (FileNotFoundError(2, "No such file", "a b"), 2, "seq2seq info: error: a b: no such file.\n"),
        (OSError(28, "No space left on device"), 2, "seq2seq info: error: no space left on device.\n"),
        (OSError("Two\n  lines"), 2, "seq2seq info: error: Two lines\n"),
        (FloatingPointError("loss became nan"), 2, "seq2seq info: error: loss became nan\n"),
        (BrokenPipeError(32, "Broken pipe"), 2, "seq2seq info: error: broken pipe.\n"),
        (ChildProcessError("A process has gone."), 2, "seq2seq info: error: A process has gone.\n"),
        (SafetensorError("header too\n large"), 2, "seq2seq info: error: header too large\n"),
        (MemoryError(), 2, MEMORY.format("MemoryError")),
        (RuntimeError("CUDA out of memory.\nSee"), 2, MEMORY.format("CUDA out of memory.")),
        (RuntimeError("could not create a primitive"), 2, MEMORY.format("could not create a primitive")),
        (OSError(24, "Too many open files", "x"), 2, f"seq2seq info: error: {FILES}\n"),
        (KeyboardInterrupt(), 130, "seq2seq info: interrupted\n"),
    ],
)
def test_errors_become_one_line_and_a_code(
    error: BaseException, code: int, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(arguments: argparse.Namespace) -> int:
        raise error

    monkeypatch.setattr(info, "run", fail)
    assert main(["info"]) == code
    assert capsys.readouterr().err == line


def test_warnings_of_the_package_are_one_line_and_others_say_where(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, before = [], warnings.formatwarning

    def warn(arguments: argparse.Namespace) -> int:
        for file in (info.__file__, argparse.__file__):
            shown.append(warnings.formatwarning("slow", UserWarning, str(file), 7, "source"))
        return 0

    monkeypatch.setattr(info, "run", warn)
    assert main(["info"]) == 0
    assert shown == ["seq2seq info: warning: slow\n", f"{argparse.__file__}:7: UserWarning: slow\n  source\n"]
    assert warnings.formatwarning is before


def test_faults_of_our_own_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(arguments: argparse.Namespace) -> int:
        raise AssertionError("cannot be")

    monkeypatch.setattr(info, "run", fail)
    with pytest.raises(AssertionError, match="cannot be"):
        main(["info"])


@pytest.mark.parametrize("buffering", [1, 1 << 16], ids=["line by line", "all at the end"])
def test_a_reader_that_has_gone_is_no_error(
    buffering: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in `seq2seq info | head -0`: whether the pipe is found closed by a line or by the last flush."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", buffering=buffering) as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert main(["info"]) == 141
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
@pytest.mark.parametrize(("arguments", "name"), [(["--help"], "seq2seq"), (["info", "--help"], "seq2seq info")])
def test_help_that_cannot_be_written_is_one_line(arguments: list[str], name: str) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "seq2seq.apps.command", *arguments]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (2, f"{name}: error: no space left on device.\n")
