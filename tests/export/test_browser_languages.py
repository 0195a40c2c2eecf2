"""The languages of a page say what tokenizers say that are told them; on small models of families that have them."""

import json
from pathlib import Path
from typing import Any

import pytest

import seq2seq
from seq2seq.apps.command import main
from seq2seq.export.browser_languages import offered_languages
from tests.assembly.test_languages import CASES, TEXTS, model_of, pieces
from tests.export.sites import LOADED, Site, packages
from tests.export.untrained import tokenizer

pytest.importorskip("onnx", reason="onnx is an optional package")
__all__ = ["packages", "pieces", "tokenizer"]

ASKED = "request => window.seq2seqEngine.generate(request)"


def test_a_model_that_is_told_none_has_those_that_are_named(tokenizer: Any) -> None:
    assert offered_languages(tokenizer, (None, None)) == {"sources": {}, "targets": {}}
    assert offered_languages(tokenizer, ("en", "de")) == {"sources": {"en": {}}, "targets": {"de": {}}}


@pytest.mark.parametrize("name", CASES)
def test_each_language_says_what_the_tokenizer_does(name: str, pieces: Path, tmp_path: Path) -> None:
    _, _, source, target, _ = CASES[name]
    model_of(name, pieces, tmp_path / "model")
    generator = seq2seq.load(tmp_path / "model")
    offered = offered_languages(generator.tokenizer, (source, target))
    assert [next(iter(offered[side])) for side in ("sources", "targets")] == [source, target]
    assert set(offered["sources"]) == set(generator.tokenizer.languages.ids)
    own = {**offered["sources"][source], **offered["targets"][target]}
    spoken = generator.speaking(source, target).tokenizer
    before, behind = own["source_frame"]
    [text] = spoken.encode_sources(["fox"])
    assert (text[: len(before)], text[-len(behind) :]) == (before, behind)
    assert own.get("decoder_start_token_id", spoken.decoder_start_id) == spoken.decoder_start_id
    assert tuple(own.get("target_start", ())) == spoken.target_start


def test_a_command_names_the_languages_that_stand_first(pieces: Path, tmp_path: Path) -> None:
    model_of("nllb", pieces, tmp_path / "model")
    command = ["export", "--model", str(tmp_path / "model"), "--format", "onnx", "--output", str(tmp_path / "site")]
    assert main([*command, "--source-language", "fra_Latn", "--target-language", "deu_Latn"]) == 0
    engine = json.loads((tmp_path / "site" / "engine.json").read_text())
    first = [next(iter(engine["languages"][side])) for side in ("sources", "targets")]
    assert first == ["fra_Latn", "deu_Latn"]
    assert engine["source_frame"] == engine["languages"]["sources"]["fra_Latn"]["source_frame"]
    assert engine["target_start"] == engine["languages"]["targets"]["deu_Latn"]["target_start"]


@pytest.mark.parametrize("name", ["nllb", "mbart", "m2m100"])
def test_the_browser_speaks_them(name: str, pieces: Path, packages: Path, browser: Any, tmp_path: Path) -> None:
    model_of(name, pieces, tmp_path / "model")
    _, _, source, target, _ = CASES[name]
    command = ["export", "--model", str(tmp_path / "model"), "--format", "onnx", "--output", str(tmp_path / "site")]
    assert main([*command, "--page", "--runtime", str(packages)]) == 0
    site, context = Site(tmp_path / "site"), browser.new_context()
    page = context.new_page()
    page.goto(site.address)
    model = page.evaluate(LOADED)
    assert source in model["source_languages"]
    generator = seq2seq.load(tmp_path / "model", precision="fp32")
    for to in (target, source):
        for text in TEXTS:
            spoken = {"source_language": source, "target_language": to}
            found = page.evaluate(ASKED, {"text": text, **spoken})["hypotheses"][0]
            [expected] = generator(text, **spoken)
            assert (found["text"], tuple(found["tokens"])) == (expected.text, expected.tokens)
    script = "request => window.seq2seqEngine.generate(request).catch((error) => [error.reason, error.message])"
    refused = page.evaluate(script, {"text": "fox", "target_language": "toString"})
    assert refused == ["unknown_language", "toString is none of the languages of this model."]
    context.close()
    site.stop()
