"""Mistakes in `seq2seq decode`: one line that names file and line, exit code 2, nothing half-written."""

import io
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from seq2seq.apps.command import main
from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig
from tests.apps.conftest import error_of


def assert_nothing_written(folder: Path) -> None:
    assert [path.name for path in folder.iterdir() if path.name.startswith("output")] == []


def test_a_folder_without_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"{tmp_path} holds no model" in error_of(["--model", str(tmp_path)], capsys)


def test_a_missing_input(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "input.txt").unlink()
    assert str(tmp_path / "input.txt") in error_of(command, capsys)
    assert_nothing_written(tmp_path)


def test_a_line_that_is_not_utf8(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "input.txt").write_bytes(b"abc\ncab\nb\xe9\nabc\n")
    assert f"{tmp_path / 'input.txt'}:3: not valid UTF-8" in error_of(command, capsys)
    assert_nothing_written(tmp_path)


def test_a_line_of_standard_input_that_is_not_utf8(
    copy_task: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"abc\nb\xe9\n")))
    assert "standard input:2: not valid UTF-8" in error_of(["--model", str(copy_task / "run")], capsys)


@pytest.mark.parametrize("option", ["--prefixes", "--reference"])
def test_files_that_are_not_aligned(
    command: list[str], tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.txt").write_text("abc\n")
    error = error_of([*command, option, str(tmp_path / "other.txt")], capsys)
    assert "input.txt" in error
    assert "3" in error
    assert "other.txt has 1" in error
    assert_nothing_written(tmp_path)


def test_an_unknown_metric_is_known_before_decoding(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = error_of([*command, "--reference", str(tmp_path / "input.txt"), "--metrics", "blue"], capsys)
    assert "There is no metric 'blue'; did you mean 'bleu'?" in error
    assert_nothing_written(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--beam-width", "2", "--n-best", "3"], "`beam_width` must be at least `n_best` (3), but is 2"),
        (["--method", "diverse_beam", "--beam-width", "5", "--num-groups", "2"], "`num_groups`"),
        (["--method", "sampling", "--temperature", "0"], "`temperature`"),
        (["--max-length", "0"], "`max_length` must be at least 1"),
        (["--device", "gpu"], "`device` 'gpu' cannot be used"),
        (["--device", "meta"], "`device` 'meta' cannot be used"),
        (["--threads", "-1"], "`--threads` must be between 0 (torch chooses) and 1,024, but is -1"),
        (["--batch-tokens", "0"], "`--batch-tokens` must be at least 1, but is 0"),
        (["--batch-tokens", "-1"], "`--batch-tokens` must be at least 1, but is -1"),
        (["--max-source-tokens", "1"], "`max_source_tokens` counts end of sentence too and must be at least 2"),
        (["--max-source-tokens", "-1"], "`max_source_tokens` counts end of sentence too and must be at least 2"),
        (["--method", "sampling", "--temperature", "nan"], "--temperature: must be a finite number, but is nan"),
        (["--method", "sampling", "--temperature", "inf"], "--temperature: must be a finite number, but is inf"),
        (["--length-penalty", "nan"], "--length-penalty: must be a finite number, but is nan"),
        (["--length-penalty", "1e9"], "`length_penalty` is 1000000000.0, by which scores"),
        (["--max-length-ratio", "1e9"], "`max_length_ratio` must be at most 1,000,000, but is 1000000000.0"),
        (["--seed", "9223372036854775808"], "--seed: must be an integer of 64 bits"),
        (["--threads", "9223372036854775808"], "--threads: must be an integer of 64 bits"),
        (["--weights", "nan"], "--weights: must be a finite number"),
        (["--trace", "page.html"], "`--trace` writes a page of one line's search and no more; leave out `--output`"),
        (["--mbr", "blue"], "There is no metric 'blue'; did you mean 'bleu'?"),
        (["--mbr", "chrf", "--num-samples", "0"], "`num_samples` must be at least 1"),
        (
            ["--mbr", "chrf", "--num-samples", "3", "--n-best", "4"],
            "`n_best` must be at least 1 and at most what is chosen from (3), but is 4",
        ),
        (["--mbr", "chrf", "--generation-order", "interleaved"], "in the order `interleaved`"),
    ],
)
def test_options_that_do_not_fit(
    command: list[str], tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in error_of([*command, *options], capsys)
    assert_nothing_written(tmp_path)


@pytest.mark.parametrize(
    ("name", "chosen", "first_line"),
    [
        ("output.jsonl", [], '{"id": 0, "source": "abc"'),
        ("output.moses", [], "0 ||| "),
        ("output.nbest", [], "0 ||| "),
        ("output.jsonl", ["--format", "moses"], "0 ||| "),
        ("output.txt", ["--format", "jsonl"], '{"id": 0'),
    ],
)
def test_the_format_goes_by_the_ending_unless_it_is_given(
    command: list[str], tmp_path: Path, name: str, chosen: list[str], first_line: str
) -> None:
    command[command.index(str(tmp_path / "output.txt"))] = str(tmp_path / name)
    assert main(["decode", *command, *chosen]) == 0
    assert (tmp_path / name).read_text().startswith(first_line)


def test_ensembles_and_precisions_decode(command: list[str], copy_task: Path, tmp_path: Path) -> None:
    command[1:1] = [str(copy_task / "run")]
    assert main(["decode", *command, "--precision", "bf16", "--weights", "3", "1"]) == 0
    assert len((tmp_path / "output.txt").read_text().splitlines()) == 3


@pytest.mark.parametrize("more", [[], ["--mbr-pairwise"], ["--mbr-candidates", "search"], ["--epsilon", "0.1"]])
def test_minimum_bayes_risk_decoding(command: list[str], tmp_path: Path, more: list[str]) -> None:
    (tmp_path / "input.txt").write_text("jabc\n\ncab\nbac\njihg\n")
    chosen = ["--mbr", "chrf", "--num-samples", "32", "--temperature", "1.9", "--n-best", "2", "--format", "jsonl"]
    found = []
    for sharing in (["--processes", "1"], ["--processes", "2", "--batch-tokens", "100"]):
        assert main(["decode", *command, *chosen, *sharing, *more]) == 0
        lists = [json.loads(line)["hypotheses"] for line in (tmp_path / "output.txt").read_text().splitlines()]
        found.append([[(h["text"], h["normalized_score"]) for h in hypotheses] for hypotheses in lists])
    assert found[0] == found[1]
    best = [hypotheses[0] for hypotheses in found[0]]
    assert [text for text, _ in best] == ["jabc", "", "cab", "bac", "jihg"]
    assert all(score > 30 for text, score in best if text)
    assert min(score for text, score in best if text) < 99


def test_it_reads_streams_and_ensembles(copy_task: Path, tmp_path: Path) -> None:
    pipe, output = tmp_path / "pipe", tmp_path / "output.txt"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("abc\n\nbac\n",))
    writer.start()
    models = ["--model", str(copy_task / "run"), str(copy_task / "run")]
    assert main(["decode", *models, "--input", str(pipe), "--output", str(output), "--mbr", "bleu"]) == 0
    writer.join()
    assert output.read_text() == "abc\n\nbac\n"


@pytest.mark.parametrize(("chosen", "value"), [([], True), (["true"], True), (["False"], False)])
def test_options_that_are_true_or_false(
    command: list[str], monkeypatch: pytest.MonkeyPatch, chosen: list[str], value: bool
) -> None:
    found = {}

    def loaded(*arguments: object, **options: object) -> None:
        found.update(options)
        raise ValueError

    monkeypatch.setattr("seq2seq.apps.decode.load", loaded)
    assert main(["decode", *command, "--early-stopping", *chosen]) == 2
    assert found["early_stopping"] is value


def test_an_option_that_is_neither_true_nor_false(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "must be true or false, but is 'perhaps'" in error_of([*command, "--early-stopping", "perhaps"], capsys)


def test_an_empty_input_gives_an_empty_output(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "input.txt").write_bytes(b"")
    assert main(["decode", *command]) == 0
    assert (tmp_path / "output.txt").read_bytes() == b""


def test_long_lines_are_cut_with_a_warning(
    command: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "input.txt").write_text("abc\nabcde\n")
    assert main(["decode", *command, "--max-source-tokens", "4"]) == 0
    lines = (tmp_path / "output.txt").read_text().splitlines()
    assert lines[0] == lines[1]
    assert "Line 2 has 6 tokens" in caplog.text


def test_a_pipe_is_read_once(copy_task: Path, tmp_path: Path) -> None:
    pipe, output = tmp_path / "pipe", tmp_path / "output.txt"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("ab\n\nba\n",))
    writer.start()
    assert main(["decode", "--model", str(copy_task / "run"), "--input", str(pipe), "--output", str(output)]) == 0
    writer.join()
    assert [bool(line) for line in output.read_text().split("\n")] == [True, False, True, False]


WITHOUT_TRAINING = """
import sys
from seq2seq.apps.command import main
status = main(sys.argv[1:])
heavy = {"accelerate", "datasets", "pandas", "sacrebleu", "torch._dynamo", "transformers"} & set(sys.modules)
print(*sorted(heavy), file=sys.stderr)
raise SystemExit(status)
"""


def test_decoding_loads_nothing_that_only_training_needs(command: list[str], tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", WITHOUT_TRAINING, "decode", *command, "--processes", "2"]
    completed = subprocess.run(arguments, check=True, capture_output=True, text=True)
    assert completed.stderr == "\n", "seconds of imports for what a decode does not use"
    assert (tmp_path / "output.txt").read_text() == "abc\ncab\nbac\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["bleu"], "give what to score it against as `--reference`"),
        (["bleu", "--reference", "input.txt"], "add `--rescore both`"),
        (["blue", "--reference", "input.txt"], "did you mean 'bleu'?"),
    ],
)
def test_a_weight_is_tuned_where_there_is_one(
    command: list[str], tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = [str(tmp_path / option) if option == "input.txt" else option for option in options]
    assert message in error_of([*command, "--tune-rescoring-weight", *chosen], capsys)
    assert_nothing_written(tmp_path)


def turned(model: Path, folder: Path) -> Path:
    """Return a copy of a model that takes itself for one that generates from the right."""
    shutil.copytree(model, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"generation_order": "r2l"}))
    return folder


def test_a_second_model_ranks_the_hypotheses_of_the_first(copy_task: Path, command: list[str], tmp_path: Path) -> None:
    """The second was trained on the strings as they are read, so that by it those turned round are the likely ones."""
    right = str(turned(copy_task / "run" / "model", tmp_path / "right"))
    both = [*command, "--right-model", right, "--rescore", "both"]
    assert main(["decode", *both, "--rescoring-weight", "0"]) == 0
    assert (tmp_path / "output.txt").read_text() == "abc\ncab\nbac\n"
    assert main(["decode", *both, "--rescoring-weight", "1"]) == 0
    assert (tmp_path / "output.txt").read_text() == "cba\nbac\ncab\n"
    assert main(["decode", *both, "--rescoring-weight", "1", "--rescoring-margin", "99"]) == 0
    assert (tmp_path / "output.txt").read_text() == "cba\nbac\ncab\n"


def test_several_models_from_the_right(
    copy_task: Path, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = copy_task / "run" / "model"
    right = str(turned(model, tmp_path / "right"))
    both = [*command, "--rescore", "both", "--rescoring-weight", "1", "--right-model"]
    assert main(["decode", *both, right, right]) == 0
    assert (tmp_path / "output.txt").read_text() == "cba\nbac\ncab\n"
    (tmp_path / "output.txt").unlink()
    assert "must share target vocabulary and generation order" in error_of([*both, right, str(model)], capsys)
    assert_nothing_written(tmp_path)


def test_a_second_model_without_rescoring_and_rescoring_without_one(
    copy_task: Path, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right = str(turned(copy_task / "run" / "model", tmp_path / "right"))
    assert "add `--rescore both`" in error_of([*command, "--right-model", right], capsys)
    assert "`--right-model`" in error_of([*command, "--rescore", "both"], capsys)
    assert "at least 0" in error_of(
        [*command, "--right-model", right, "--rescore", "r2l", "--rescoring-margin", "-1"], capsys
    )
    assert_nothing_written(tmp_path)


@pytest.fixture
def interleaved(copy_task: Path, tmp_path: Path) -> str:
    """Return a model of the copy task's shape and tokenizer that is interleaved and has learned nothing."""
    folder = tmp_path / "interleaved"
    shutil.copytree(copy_task / "run" / "model", folder)
    config = Seq2SeqTransformerConfig.from_pretrained(folder)
    config.generation_order = "interleaved"
    torch.manual_seed(3)
    Seq2SeqTransformer(config).save_pretrained(folder)
    return str(folder)


def test_a_model_from_the_left_ranks_what_an_interleaved_one_generates(
    copy_task: Path, command: list[str], interleaved: str, tmp_path: Path
) -> None:
    def decoded(*options: str) -> tuple[list[str], list[float]]:
        """Return the texts of the second line, best first, and their scores."""
        files = [*command[2:4], "--output", str(tmp_path / "output.jsonl")]
        assert main(["decode", "--model", interleaved, *files, "--beam-width", "4", "--n-best", "4", *options]) == 0
        found = json.loads((tmp_path / "output.jsonl").read_text().splitlines()[1])["hypotheses"]
        return [h["text"] for h in found], [h["normalized_score"] for h in found]

    ranking = ["--left-model", str(copy_task / "run"), "--rescore", "l2r", "--rescoring-weight"]
    (texts, scores), (own_texts, own_scores) = decoded(), decoded(*ranking, "0")
    assert own_texts == texts
    assert own_scores == pytest.approx(scores, abs=1e-5)
    left_texts, left_scores = decoded(*ranking, "1")
    assert sorted(left_texts) == sorted(texts)
    assert left_texts != texts
    assert left_scores == sorted(left_scores, reverse=True)
    assert left_scores != pytest.approx(scores, abs=1e-2)


def test_what_cannot_rank_what_an_interleaved_model_generates(
    copy_task: Path, command: list[str], interleaved: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, files = str(copy_task / "run"), command[2:]
    left = ["--model", interleaved, *files, "--left-model", run]
    assert "add `--rescore l2r`" in error_of(left, capsys)
    assert "give one as `--left-model`" in error_of(["--model", interleaved, *files, "--rescore", "l2r"], capsys)
    assert "must be `l2r`, but is `both`" in error_of([*left, "--rescore", "both"], capsys)
    assert "order `interleaved`" in error_of([*command, "--left-model", run, "--rescore", "l2r"], capsys)
    assert "give one" in error_of([*left, "--right-model", run, "--rescore", "l2r"], capsys)
    assert_nothing_written(tmp_path)


@pytest.mark.parametrize("processes", ["1", "2"])
def test_what_the_model_cannot_do_is_one_error(
    command: list[str], interleaved: str, processes: str, capsys: pytest.CaptureFixture[str]
) -> None:
    models = ["--model", interleaved, interleaved]
    assert "takes a single model" in error_of([*models, *command[2:], "--processes", processes], capsys)
