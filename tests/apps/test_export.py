"""`seq2seq export` on the trained copy task: what is served, what a check prints, and mistakes in one line."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import seq2seq
from seq2seq.apps import export
from seq2seq.apps.command import main
from seq2seq.apps.export import load_for_export
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.models.transformer import Seq2SeqTransformer
from tests.models.test_pretrained import marian

ctranslate2 = pytest.importorskip("ctranslate2", reason="ctranslate2 is an optional package")


@pytest.fixture
def command(copy_task: Path, tmp_path: Path) -> list[str]:
    """Return arguments that export the copy task into `served`."""
    return ["--model", str(copy_task / "run"), "--format", "ctranslate2", "--output", str(tmp_path / "served")]


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line on standard error."""
    capsys.readouterr()  # progress bars of transformers, from what the test itself has loaded and saved
    assert main(["export", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("seq2seq export: error: ")
    assert error.count("\n") == 1, error
    return error


def rows_of(output: str) -> dict[str, str]:
    """Return the rows of a report by their names."""
    return dict(line.split("  ", maxsplit=1) for line in output.splitlines())


def served_texts(folder: Path, texts: list[str]) -> list[str]:
    """Return what a server says that has nothing but the exported folder."""
    tokenizer = TextTokenizer.load(folder / "tokenizer")
    decoding = json.loads((folder / "decoding.json").read_text())
    [search] = decoding["search"].values()
    tokens = json.loads((folder / "shared_vocabulary.json").read_text())
    sources = tokenizer.encode_sources([decoding["source_prefix"] + text for text in texts])
    results = ctranslate2.Translator(str(folder), device="cpu", intra_threads=1).translate_batch(
        [[tokens[index] for index in ids[:-1]] for ids in sources],
        beam_size=search["beam_width"],
        length_penalty=search["length_penalty"],
        max_decoding_length=search["max_length"],
    )
    return tokenizer.decode_batch([[tokens.index(token) for token in result.hypotheses[0]] for result in results])


def test_the_folder_serves_what_the_run_decodes(copy_task: Path, command: list[str], tmp_path: Path) -> None:
    assert main(["export", *command]) == 0
    texts = (copy_task / "test.txt").read_text().splitlines()
    generator = seq2seq.load(copy_task / "run", device="cpu", early_stopping=True)  # as CTranslate2 stops
    assert served_texts(tmp_path / "served", texts) == [hypotheses[0].text for hypotheses in generator(texts)]
    run = json.loads((copy_task / "run" / "model" / "decoding.json").read_text())
    assert json.loads((tmp_path / "served" / "decoding.json").read_text()) == run


@pytest.mark.parametrize(
    ("quantization", "compute_type", "least_equal", "largest_difference"),
    [
        ("float32", "float32", 37, 1e-5),
        # By CTranslate2's kernels: one model, on a processor with AVX2 alone, has 0.10 by oneDNN, which it takes there,
        # and 0.03 by MKL (`CT2_USE_MKL=1`). With 8-bit dot products it was below 0.1.
        ("int8", "int8_float32", 30, 0.2),
    ],
)
def test_a_check_reports_parity(
    quantization: str,
    compute_type: str,
    least_equal: int,
    largest_difference: float,
    copy_task: Path,
    command: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    check = ["--check", str(copy_task / "test.txt"), "--check-lines", "37", "--quantization", quantization]
    assert main(["export", *command, *check]) == 0
    captured = capsys.readouterr()
    rows = {name: value.strip() for name, value in rows_of(captured.out).items()}
    assert rows["lines"] == "37"
    equal, share = rows["same tokens"].split()
    assert least_equal <= int(equal) <= 37
    assert share == f"({int(equal) / 37:.1%})"
    assert 0 < float(rows["largest score difference among them"]) < largest_difference
    assert rows["seconds, this toolkit"].endswith(" (float32)")
    assert rows["seconds, CTranslate2"].endswith(f" ({compute_type})")
    assert captured.err == ""


def test_options_that_ctranslate2_cannot_follow_are_said(
    copy_task: Path, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(copy_task / "run" / "model", tmp_path / "model")
    decoding = json.loads((tmp_path / "model" / "decoding.json").read_text())
    decoding["search"]["beam"] |= {"max_length_ratio": 1.5, "length_normalization": "gnmt"}
    (tmp_path / "model" / "decoding.json").write_text(json.dumps(decoding))
    command[1] = str(tmp_path / "model")
    assert main(["export", *command, "--check", str(copy_task / "test.txt")]) == 0
    captured = capsys.readouterr()
    assert "cannot follow the run's `length_normalization: gnmt`, `max_length_ratio: 1.5`" in captured.err
    assert "53 (100.0%)" in captured.out


def test_a_model_of_another_library_is_refused(
    copy_task: Path, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marian().save_pretrained(tmp_path / "marian")
    TextTokenizer.load(copy_task / "run" / "model").save(tmp_path / "marian")
    command[1] = str(tmp_path / "marian")
    assert "marian holds a marian model; only this toolkit's own are exported" in error_of(command, capsys)
    assert not (tmp_path / "served").exists()


def test_a_folder_without_a_model(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command[1] = str(tmp_path)
    assert f"{tmp_path} holds no model" in error_of(command, capsys)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (None, [], "input.txt"),
        ("", [], "has no text in its first 200 lines"),
        ("\n \nabc\n", ["--check-lines", "2"], "has no text in its first 2 lines"),
        ("abc\n", ["--check-lines", "0"], "`--check-lines` must be at least 1, but is 0"),
        ("abc\n", ["--quantization", "int4"], "invalid choice: 'int4'"),
        ("abc\n", ["--format", "gguf"], "invalid choice: 'gguf'"),
    ],
)
def test_mistakes_are_known_before_anything_is_written(
    text: str | None,
    options: list[str],
    message: str,
    command: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if text is not None:
        (tmp_path / "input.txt").write_text(text)
    assert message in error_of([*command, "--check", str(tmp_path / "input.txt"), *options], capsys)
    assert not (tmp_path / "served").exists()


def test_a_missing_library_is_named(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    assert "CTranslate2 is not installed: `pip install seq2seq-toolkit[ctranslate2]`" in error_of(command, capsys)


def test_an_export_is_replaced_but_nothing_else(
    copy_task: Path, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert main(["export", *command]) == 0
        assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["served"]
    command[-1] = str(copy_task)
    assert "holds no CTranslate2 model; give a new name" in error_of(command, capsys)
    assert (copy_task / "run" / "model" / "model.safetensors").is_file()


def test_a_failure_leaves_nothing(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(TextTokenizer, "save", full)
    assert "served: no space left on device." in error_of(command, capsys)
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == []


def test_what_the_runtime_lacks_is_refused(
    copy_task: Path, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = Seq2SeqTransformer.from_pretrained(copy_task / "run" / "model")
    model.config.generation_order = "r2l"
    model.save_pretrained(tmp_path / "model")
    TextTokenizer.load(copy_task / "run" / "model").save(tmp_path / "model")
    command[1] = str(tmp_path / "model")
    assert "CTranslate2 has no counterpart for generation_order: r2l" in error_of(command, capsys)


def test_a_folder_of_onnx_says_what_the_run_says(
    copy_task: Path, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is an optional package")
    pytest.importorskip("onnx", reason="onnx is an optional package")
    command[3] = "onnx"
    assert main(["export", *command, "--check", str(copy_task / "test.txt")]) == 0
    rows = rows_of(capsys.readouterr().out)
    assert rows["same tokens"].strip() == "53 (100.0%)"
    assert float(rows["largest score difference among them"]) < 1e-4
    assert "(float32)" in rows["seconds, onnxruntime, line by line"]
    assert (tmp_path / "served" / "onnx" / "decoder_model_merged.onnx").is_file()


def test_what_else_ends_an_output_and_its_languages_are_written(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnx", reason="onnx is an optional package")

    def loaded(*arguments: Any) -> Any:
        generator, model = load_for_export(*arguments)
        generator.rules = replace(generator.rules, other_ends=(5,))
        return generator, model

    monkeypatch.setattr(export, "load_for_export", loaded)
    command[3] = "onnx"
    assert main(["export", *command, "--source-language", "en", "--target-language", "de=German"]) == 0
    assert capsys.readouterr().err == ""
    said = json.loads((tmp_path / "served" / "generation_config.json").read_text())
    assert said["eos_token_id"][1:] == [5]
    engine = json.loads((tmp_path / "served" / "engine.json").read_text())
    assert (engine["other_ends"], engine["languages"]) == ([5], {"sources": {"en": {}}, "targets": {"de": {}}})


def test_a_quantisation_that_onnx_has_not_is_named(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx", reason="onnx is an optional package")
    command[3] = "onnx"
    assert "must be one of float32, int8, but is 'int16'" in error_of([*command, "--quantization", "int16"], capsys)


def test_options_belong_to_their_format(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    english = ["--source-language", "en"]
    for form, options, message in (
        ("ctranslate2", english, "`--source-language` is nothing for `--format ctranslate2`"),
        ("transformers", ["--quantization", "int8"], "`--quantization` is nothing for `--format transformers`"),
        ("argos", ["--push-to-hub", "x"], "`--push-to-hub` is nothing for `--format argos`"),
        ("argos", english, "needs `--source-language` and `--target-language`"),
        ("argos", [*english, "--target-language", "xx"], "'xx' has no name here; give one too"),
        ("argos", [*english, "--target-language", "de"], "train with `tokenizer.kind: sentencepiece` and"),
    ):
        command[3] = form
        assert message in error_of([*command, *options], capsys)
    assert not (tmp_path / "served").exists()


def test_a_site_without_runtime_says_how_to_get_it(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnx", reason="onnx is an optional package")
    command[3] = "onnx"
    assert main(["export", *command, "--page"]) == 0
    output = capsys.readouterr().out
    assert "a site but for its runtime" in output
    assert "npm install --prefix web onnxruntime-web@1.30 @huggingface/tokenizers@0.2" in output
    assert (tmp_path / "served" / "index.html").is_file()
    assert json.loads((tmp_path / "served" / "engine.json").read_text())["name"] == "run"
    assert not (tmp_path / "served" / "runtime").exists()


@pytest.mark.parametrize(
    ("format", "options", "message"),
    [
        ("ctranslate2", ["--page"], "`--page` is nothing for `--format ctranslate2`"),
        ("argos", ["--runtime", "web"], "`--runtime` is nothing for `--format argos`"),
        ("onnx", ["--runtime", "web"], "`--runtime` is for a page in the browser; add `--page`"),
        ("onnx", ["--page", "--runtime", "nowhere"], "nowhere has no onnxruntime-web/dist/"),
    ],
)
def test_options_of_a_page_where_there_is_none(
    format: str, options: list[str], message: str, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnx", reason="onnx is an optional package")
    command[3] = format
    assert message in error_of([*command, *options], capsys)
