import math
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq.assembly.generator import TextGenerator
from seq2seq.assembly.search import changed_search
from seq2seq.decoding.algorithms.beam import BeamSearch
from seq2seq.decoding.algorithms.greedy import Greedy
from seq2seq.decoding.algorithms.minimum_bayes_risk import MinimumBayesRisk
from seq2seq.decoding.algorithms.rescoring import Rescored
from seq2seq.export import ctranslate2_parity
from seq2seq.export.ctranslate2_export import export_ctranslate2
from seq2seq.export.ctranslate2_parity import comparable_search, different_options, encoded_sources, measure_parity
from tests.export.untrained import MAX_LENGTH, TEXTS, random_model, tokenizer

pytest.importorskip("ctranslate2", reason="ctranslate2 is an optional package")

__all__ = ["tokenizer"]


@pytest.fixture
def generator(tokenizer: Any) -> TextGenerator:
    return TextGenerator(random_model(tokenizer), tokenizer, BeamSearch(max_length=MAX_LENGTH, beam_width=3))


def exported(generator: TextGenerator, folder: Path, quantization: str = "float32") -> Path:
    export_ctranslate2(folder, generator.model, generator.tokenizer, generator.search, quantization=quantization)  # type: ignore[arg-type]
    return folder


@pytest.mark.parametrize(
    "options",
    [{}, {"length_penalty": 0.0}, {"method": "greedy"}, {"beam_width": 7, "length_penalty": 0.6}, {"batch_tokens": 1}],
    ids=str,
)
def test_a_model_and_its_export_say_the_same(options: dict[str, Any], generator: TextGenerator, tmp_path: Path) -> None:
    generator.batch_tokens = options.pop("batch_tokens", generator.batch_tokens)
    generator.search = changed_search(generator.search, options, "l2r")
    parity = measure_parity(exported(generator, tmp_path / "served"), generator, [*TEXTS, "", " \t"])
    assert (parity.num_lines, parity.num_equal) == (len(TEXTS), len(TEXTS)), "blank lines do not count"
    assert parity.largest_score_difference < 2e-5
    assert parity.compute_type == "float32"
    assert min(parity.seconds, parity.ctranslate2_seconds) > 0


def test_another_models_export_is_noticed(generator: TextGenerator, tmp_path: Path) -> None:
    folder = exported(generator, tmp_path / "served")
    with torch.no_grad():
        generator.model.lm_head.weight.neg_()  # type: ignore[union-attr]
    parity = measure_parity(folder, generator, TEXTS)
    assert parity.num_equal == 0
    assert math.isnan(parity.largest_score_difference)


def test_quantised_weights_are_near(generator: TextGenerator, tmp_path: Path) -> None:
    parity = measure_parity(exported(generator, tmp_path / "served", "int8"), generator, TEXTS)
    assert parity.compute_type == "int8_float32"
    assert 0 < parity.num_equal < len(TEXTS)
    assert 1e-4 < parity.largest_score_difference < 1


def test_long_sources_are_cut_where_ctranslate2_cuts_them(
    generator: TextGenerator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ctranslate2_parity, "MAX_POSITIONS", 4)
    generator.source_prefix = "a"
    eos = generator.tokenizer.source.eos_id
    cut, whole = encoded_sources(generator, ["", "bcdef", "b"])
    assert [len(cut), cut[-1], len(whole)] == [4, eos, 3]
    assert "Line 2 has 7 tokens" in caplog.text


def test_nothing_to_compare_is_said(generator: TextGenerator) -> None:
    with pytest.raises(ValueError, match="no line holds any text"):
        encoded_sources(generator, ["", "  "])


def test_the_search_is_one_that_both_have() -> None:
    greedy = Greedy(length_penalty=0.6, max_length=7, min_length=3)
    assert comparable_search(greedy) == BeamSearch(1, length_penalty=0.6, max_length=7, early_stopping=True)
    beam = BeamSearch(5, length_penalty=0.0, max_length=7, min_length=3, early_stopping=True)
    searches = [beam, Rescored(candidates=beam), MinimumBayesRisk(candidates=beam)]
    for search in searches:
        assert comparable_search(search) == BeamSearch(5, length_penalty=0.0, max_length=7, early_stopping=False)


def test_options_that_are_left_out_are_named(generator: TextGenerator) -> None:
    assert different_options(generator.search) == {}
    changed = {"length_normalization": "gnmt", "max_length_ratio": 1.5, "min_length": 3}
    diverse = changed_search(generator.search, {**changed, "method": "diverse_beam", "num_groups": 3}, "l2r")
    assert different_options(diverse) == {"search": "diverse_beam", **changed}
    assert different_options(Rescored(candidates=BeamSearch(min_length=3))) == {"search": "rescored", "min_length": 3}
