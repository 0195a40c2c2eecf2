"""Exports of models that are told languages say what the models say, in whatever language is asked for."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

import seq2seq
from seq2seq.apps.command import main
from seq2seq.assembly.generator import TextGenerator
from seq2seq.engines.ctranslate2_engine import CTranslate2Engine
from seq2seq.generation.engine import DECODING_FILE
from seq2seq.models.loading import without_reports
from tests.assembly.test_languages import CASES, TEXTS, model_of, pieces
from tests.models.families.tiny_families import FAMILIES

pytest.importorskip("ctranslate2", reason="ctranslate2 is an optional package")

__all__ = ["pieces"]

SEARCH: dict[str, Any] = {"max_length": 15, "length_penalty": 1.0}


def exported(name: str, pieces: Path, folder: Path, *arguments: str) -> tuple[Path, Path]:
    """Return the folder of a random model, and that of its export."""
    model_of(name, pieces, folder / "model")
    served = folder / "served"
    command = ["export", "--model", str(folder / "model"), "--format", "ctranslate2", "--output", str(served)]
    assert main([*command, *arguments]) == 0
    return folder / "model", served


def assert_same(engine: CTranslate2Engine, generator: TextGenerator, **options: Any) -> None:
    """Compare what both say; CTranslate2 ends a sentence when as many hypotheses as beams have finished."""
    found = engine(TEXTS, **SEARCH, **options)
    expected = generator(TEXTS, **SEARCH, early_stopping=True, **options)
    for theirs, ours in zip(found, expected, strict=True):
        assert [(h.text, h.tokens) for h in theirs] == [(h.text, h.tokens) for h in ours]
        for one, other in zip(theirs, ours, strict=True):
            assert one.token_log_probs == pytest.approx(other.token_log_probs, abs=2e-5)
            assert one.normalized_score == pytest.approx(other.normalized_score, abs=2e-5)


@pytest.mark.parametrize("beam_width", [1, 3])
@pytest.mark.parametrize("name", ["nllb", "m2m100", "mbart50"])
def test_each_language_begins_what_is_said_in_it(name: str, beam_width: int, pieces: Path, tmp_path: Path) -> None:
    model, served = exported(name, pieces, tmp_path)
    _, _, english, german, _ = CASES[name]
    engine = CTranslate2Engine(served, "cpu")
    generator = seq2seq.load(model, precision="fp32")
    for source, target in ((english, german), (german, english)):
        assert_same(engine.speaking(source, target), generator.speaking(source, target), beam_width=beam_width)
        [first] = engine(TEXTS[0], source_language=source, target_language=target)
        assert target in first.tokens[0]


def test_ranks_without_scores_of_tokens_are_the_same(pieces: Path, tmp_path: Path) -> None:
    model, served = exported("nllb", pieces, tmp_path)
    engine = CTranslate2Engine(served, "cpu").speaking("eng_Latn", "deu_Latn")
    generator = seq2seq.load(model, precision="fp32", source_language="eng_Latn", target_language="deu_Latn")
    options = {**SEARCH, "beam_width": 3, "n_best": 3}
    expected = generator(TEXTS, early_stopping=True, **options)
    found = list(engine.stream(TEXTS, searcher=engine.searcher(token_scores=False, **options)))
    for nbest, ours in zip(found, expected, strict=True):
        assert [h.tokens for h in nbest.hypotheses] == [h.tokens for h in ours]


def test_a_prefix_follows_the_language(pieces: Path, tmp_path: Path) -> None:
    model, served = exported("nllb", pieces, tmp_path)
    engine = CTranslate2Engine(served, "cpu").speaking("eng_Latn", "deu_Latn")
    generator = seq2seq.load(model, precision="fp32", source_language="eng_Latn", target_language="deu_Latn")
    prefixes = ["fox" if i % 2 else "the quick dog" for i in range(len(TEXTS))]
    theirs = list(engine.stream(TEXTS, prefixes, beam_width=1, **SEARCH))
    ours = list(generator.stream(TEXTS, prefixes, beam_width=1, **SEARCH))
    for one, other in zip(theirs, ours, strict=True):
        assert one.hypotheses[0].tokens == other.hypotheses[0].tokens
        assert one.hypotheses[0].score == pytest.approx(other.hypotheses[0].score, abs=1e-4)


def decoded(folder: Path, texts: Path, *arguments: str) -> list[str]:
    """Return the lines that the command writes."""
    output = texts.with_suffix(".out")
    command = ["decode", "--model", str(folder), "--input", str(texts), "--output", str(output), "--precision", "fp32"]
    assert main([*command, "--beam-width", "1", "--device", "cpu", *arguments]) == 0
    return output.read_text(encoding="utf-8").splitlines()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_command_writes_the_lines_of_the_model(
    pieces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = tmp_path / "texts"
    texts.write_text("".join(f"{text}\n" for text in TEXTS), encoding="utf-8")
    model, served = exported("mbart50", pieces, tmp_path, "--check", str(texts))
    assert "4 (100.0%)" in capsys.readouterr().out
    said = {}
    for language in ("de_DE", "fr_XX"):
        languages = ("--source-language", "en_XX", "--target-language", language)
        said[language] = decoded(served, texts, *languages)
        assert said[language] == decoded(model, texts, *languages)
    assert said["de_DE"] != said["fr_XX"]


def test_languages_of_the_training_are_those_of_the_export(pieces: Path, tmp_path: Path) -> None:
    model_of("nllb", pieces, tmp_path / "model")
    languages = {"source_language": "eng_Latn", "target_language": "deu_Latn"}
    (tmp_path / "model" / DECODING_FILE).write_text(json.dumps(languages))
    command = ["export", "--model", str(tmp_path / "model"), "--format", "ctranslate2", "--output"]
    assert main([*command, str(tmp_path / "served")]) == 0
    engine = CTranslate2Engine(tmp_path / "served", "cpu")
    assert engine.languages == ("eng_Latn", "deu_Latn")
    assert_same(engine, seq2seq.load(tmp_path / "model", precision="fp32"), beam_width=1)
    assert engine.speaking(None, "fra_Latn").languages == ("eng_Latn", "fra_Latn")


def test_a_start_that_is_no_language_is_kept(pieces: Path, tmp_path: Path) -> None:
    network, _ = model_of("nllb", pieces, tmp_path / "model")
    network.generation_config.forced_bos_token_id = 9
    network.generation_config.save_pretrained(tmp_path / "model")
    command = ["export", "--model", str(tmp_path / "model"), "--format", "ctranslate2", "--output"]
    assert main([*command, str(tmp_path / "served")]) == 0
    engine, generator = (
        CTranslate2Engine(tmp_path / "served", "cpu"),
        seq2seq.load(tmp_path / "model", precision="fp32"),
    )
    assert engine.tokenizer.target_start == (9,)
    assert_same(engine, generator, beam_width=1)


def test_a_model_that_starts_from_its_language_is_refused(
    pieces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model_of("mbart", pieces, tmp_path / "model")
    command = ["export", "--model", str(tmp_path / "model"), "--format", "ctranslate2", "--output"]
    assert main([*command, str(tmp_path / "served")]) == 2
    assert "starts all targets from one token, and this model starts each from its language" in capsys.readouterr().err
    assert not (tmp_path / "served").exists()


def test_a_language_that_there_is_not_is_named(pieces: Path, tmp_path: Path) -> None:
    _, served = exported("nllb", pieces, tmp_path)
    with pytest.raises(ValueError, match="`target_language` 'deu' is none of the .* such as"):
        CTranslate2Engine(served, "cpu").speaking(None, "deu")


@pytest.mark.parametrize("family", ["marian", "bart", "pegasus"])
def test_families_without_languages_are_exported(family: str, tmp_path: Path) -> None:
    torch.manual_seed(3)
    network = FAMILIES[family](max_position_embeddings=60, init_std=0.5).eval()
    network.generation_config.update(max_length=15, forced_eos_token_id=None)
    if network.final_logits_bias is not None:
        network.final_logits_bias.normal_()
    with without_reports():
        network.save_pretrained(tmp_path / "model")
    config = network.config
    special = {config.pad_token_id: "<pad>", config.eos_token_id: "</s>", 3: "<unk>"}
    words = {special.get(i, f"w{i}"): i for i in range(config.vocab_size)}
    backend = Tokenizer(WordLevel(words, unk_token="<unk>"))
    backend.pre_tokenizer = WhitespaceSplit()
    names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=backend, **names).save_pretrained(tmp_path / "model")
    command = ["export", "--model", str(tmp_path / "model"), "--format", "ctranslate2", "--output"]
    assert main([*command, str(tmp_path / "served")]) == 0
    texts = ["w5 w6 w7", "w11", "w20 w21 w9 w8 w13 w30"]
    generator = seq2seq.load(tmp_path / "model", precision="fp32", beam_width=1, **SEARCH)
    found = CTranslate2Engine(tmp_path / "served", "cpu")(texts, beam_width=1, **SEARCH)
    for [theirs], [ours] in zip(found, generator(texts), strict=True):
        assert theirs.tokens == ours.tokens
        assert theirs.token_log_probs == pytest.approx(ours.token_log_probs, abs=2e-5)
