"""From pairs of text to a trained model, its hypotheses and their scores, by the commands that users type."""

import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer

import seq2seq
from seq2seq.apps.command import main
from seq2seq.decoding import BeamSearch
from seq2seq.generation.output import read_nbest
from seq2seq.models.transformer import Seq2SeqTransformer
from seq2seq.training.tracking import read_log
from tests.extras import is_installed
from tests.tiny_run import NUM_TEST

ENOUGH = 0.9 * NUM_TEST


def held_out(copy_task: Path) -> list[str]:
    return (copy_task / "test.txt").read_text().splitlines()


def num_equal(found: list[str], expected: list[str]) -> int:
    return sum(a == b for a, b in zip(found, expected, strict=True))


def feed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Put a text on standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def test_training_learns_to_copy_unseen_strings(copy_task: Path) -> None:
    generator = seq2seq.load(copy_task / "run", device="cpu")
    texts = held_out(copy_task)
    assert num_equal([best.text for best, *_ in generator(texts)], texts) > ENOUGH
    config = AutoConfig.from_pretrained(copy_task / "run" / "model")
    generator.model = Seq2SeqTransformer(config).eval()
    assert num_equal([best.text for best, *_ in generator(texts)], texts) == 0, "untrained, it must not be able to"


def test_run_directory_holds_what_the_design_names(copy_task: Path) -> None:
    run = copy_task / "run"
    names = {path.name for path in run.iterdir()}
    pictures = {"curves.png"} if is_installed("matplotlib") else set()
    assert names == {"config.yaml", "log.jsonl", *pictures, "checkpoints", "model", "tokenizer"}
    exported = {path.name for path in (run / "model").iterdir()}
    assert {"config.json", "generation_config.json", "model.safetensors", "decoding.json", "tokenizer.json"} <= exported
    assert not [path for path in run.rglob("*") if path.suffix == ".tmp"]
    log = read_log(run / "log.jsonl")
    assert [entry["step"] for entry in log if entry["kind"] == "train"] == list(range(20, 301, 20))
    assert [entry["step"] for entry in log if entry["kind"] == "validation"] == [100, 200, 300]
    best = max((entry for entry in log if entry["kind"] == "validation"), key=lambda entry: entry["exact_match"])
    assert best["exact_match"] > 90


def test_decode_from_file_to_file(copy_task: Path, tmp_path: Path) -> None:
    output = tmp_path / "output.txt"
    command = ["decode", "--model", str(copy_task / "run"), "--input", str(copy_task / "test.txt")]
    assert main([*command, "--output", str(output)]) == 0
    assert num_equal(output.read_text().splitlines(), held_out(copy_task)) > ENOUGH
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["output.txt"]


def test_decode_from_standard_input_keeps_order_and_empty_lines(
    copy_task: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = held_out(copy_task)
    texts[3:3], texts[11:11] = [""], ["  "]
    feed(monkeypatch, "\n".join(texts) + "\n")
    assert main(["decode", "--model", str(copy_task / "run")]) == 0
    printed = capsys.readouterr()
    lines = printed.out.removesuffix("\n").split("\n")
    assert len(lines) == len(texts)
    assert [number for number, line in enumerate(lines) if not line] == [3, 11]
    assert num_equal(lines, texts) > ENOUGH
    assert printed.err == ""


def test_decode_from_standard_input_scores_on_standard_error(
    copy_task: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    feed(monkeypatch, "".join(f"{text}\n" for text in held_out(copy_task)))
    command = ["decode", "--model", str(copy_task / "run"), "--reference", str(copy_task / "test.txt")]
    assert main([*command, "--metrics", "exact_match"]) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == NUM_TEST
    assert "exact_match" in printed.err
    assert "exact_match" not in printed.out


def test_n_best_lists_with_references_and_signed_scores(
    copy_task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, source = tmp_path / "nbest.jsonl", copy_task / "test.txt"
    command = ["decode", "--model", str(copy_task / "run"), "--input", str(source), "--output", str(output)]
    assert main([*command, "--reference", str(source), str(source), "--n-best", "3"]) == 0
    nbests = list(read_nbest(output))
    assert [nbest.source for nbest in nbests] == held_out(copy_task)
    for nbest in nbests:
        assert len(nbest.hypotheses) == 3
        ranks = [hypothesis.normalized_score for hypothesis in nbest.hypotheses]
        assert ranks == sorted(ranks, reverse=True)
        for hypothesis in nbest.hypotheses:
            assert hypothesis.score == pytest.approx(sum(hypothesis.token_log_probs), abs=1e-5)
            assert hypothesis.normalized_score == pytest.approx(hypothesis.score / len(hypothesis.tokens), abs=1e-5)
    printed = capsys.readouterr().out
    assert re.search(r"^BLEU +\d+\.\d\d +nrefs:2\|case:mixed.*\|version:", printed, re.MULTILINE | re.IGNORECASE)
    assert re.search(r"^chrF2? +9\d\.\d\d +nrefs:2", printed, re.MULTILINE | re.IGNORECASE)


def test_moses_lists_agree_with_json(copy_task: Path, tmp_path: Path) -> None:
    command = ["decode", "--model", str(copy_task / "run"), "--input", str(copy_task / "test.txt"), "--n-best", "2"]
    for name in ("nbest.jsonl", "nbest.moses"):
        assert main([*command, "--output", str(tmp_path / name)]) == 0
    rows = [line.split(" ||| ") for line in (tmp_path / "nbest.moses").read_text().splitlines()]
    expected = [(nbest.id, h) for nbest in read_nbest(tmp_path / "nbest.jsonl") for h in nbest.hypotheses]
    assert [(row[0], row[1]) for row in rows] == [(str(number), h.text) for number, h in expected]
    assert [float(row[3]) for row in rows] == pytest.approx([h.normalized_score for _, h in expected], abs=1e-5)


@pytest.mark.filterwarnings("ignore:Text has one output a line")
@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("greedy", []),
        ("beam", ["--beam-width", "5", "--length-normalization", "gnmt", "--length-penalty", "0.6"]),
        ("sampling", ["--n-best", "2", "--top-k", "3", "--temperature", "0.1"]),
        ("diverse_beam", ["--beam-width", "4", "--num-groups", "2", "--n-best", "2"]),
    ],
)
def test_every_method_copies(
    copy_task: Path, method: str, options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    texts = held_out(copy_task)
    feed(monkeypatch, "\n".join(texts))
    assert main(["decode", "--model", str(copy_task / "run"), "--method", method, *options]) == 0
    assert num_equal(capsys.readouterr().out.splitlines(), texts) > ENOUGH


def test_sampling_repeats_with_its_seed_alone(copy_task: Path) -> None:
    generator = seq2seq.load(copy_task / "run", device="cpu", method="sampling", temperature=2.0)
    texts = held_out(copy_task)
    first, again, other = ([best.text for best, *_ in generator(texts, seed=seed)] for seed in (5, 5, 7))
    assert first == again
    assert first != other


def test_loaded_model_takes_a_string_a_list_and_a_stream(copy_task: Path) -> None:
    generator = seq2seq.load(copy_task / "run" / "model", device="cpu")
    texts = held_out(copy_task)[:7]
    of_list = generator(texts, n_best=2)
    assert [len(hypotheses) for hypotheses in of_list] == [2] * 7
    of_string = generator(texts[0], n_best=2)
    assert [(h.text, h.tokens) for h in of_string] == [(h.text, h.tokens) for h in of_list[0]]
    assert [h.score for h in of_string] == pytest.approx([h.score for h in of_list[0]], abs=1e-4)
    of_stream = generator(iter(texts), n_best=2)
    assert isinstance(of_stream, Iterator)
    assert list(of_stream) == of_list


def test_target_prefixes_are_kept(copy_task: Path, tmp_path: Path) -> None:
    texts = held_out(copy_task)
    prefixes = [text[0] if number % 2 else "" for number, text in enumerate(texts)]
    (tmp_path / "prefixes.txt").write_text("".join(f"{prefix}\n" for prefix in prefixes))
    command = ["decode", "--model", str(copy_task / "run"), "--input", str(copy_task / "test.txt")]
    output = tmp_path / "output.txt"
    assert main([*command, "--output", str(output), "--prefixes", str(tmp_path / "prefixes.txt")]) == 0
    lines = output.read_text().splitlines()
    assert all(line.startswith(prefix) for line, prefix in zip(lines, prefixes, strict=True))
    assert num_equal(lines, texts) > ENOUGH


def test_exported_folder_generates_the_same_in_transformers(copy_task: Path) -> None:
    """Hypotheses and scores are those of `generate` with what was exported; the last source reaches the limit."""
    folder, texts = copy_task / "run" / "model", [*held_out(copy_task), "abcdefghij" * 3]
    model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(texts, padding=True, return_tensors="pt")
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    generator = seq2seq.load(folder, device="cpu")
    encoded = [row[: int(length)].tolist() for row, length in zip(ids, mask.sum(1), strict=True)]
    assert encoded == generator.tokenizer.encode_sources(texts)
    options = {"num_return_sequences": 3, "return_dict_in_generate": True, "output_scores": True}
    output = model.generate(input_ids=ids, attention_mask=mask, **options)
    found = BeamSearch(beam_width=3, n_best=3, max_length=13).search(generator.model, ids, mask.bool())
    flat = [hypothesis for hypotheses in found for hypothesis in hypotheses]
    assert max(len(hypothesis.tokens) for hypothesis in flat) == 13
    expected = tokenizer.batch_decode(output.sequences, skip_special_tokens=True)
    assert [generator.tokenizer.decode(hypothesis.tokens) for hypothesis in flat] == expected
    scores = torch.tensor([hypothesis.normalized_score for hypothesis in flat])
    torch.testing.assert_close(scores, output.sequences_scores, rtol=1e-5, atol=1e-5)
