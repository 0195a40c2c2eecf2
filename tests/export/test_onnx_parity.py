import math
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq.assembly.generation_config import TargetRules
from seq2seq.assembly.generator import TextGenerator
from seq2seq.decoding.algorithms.beam import BeamSearch
from seq2seq.decoding.parts.constraints import (
    Constraint,
    ForcedEnd,
    Renormalized,
    SuppressedTokens,
    forbidden_sequences,
    repetition_penalty,
)
from seq2seq.export.onnx_export import export_onnx
from seq2seq.export.onnx_parity import OnnxModel, measure_onnx_parity
from tests.export.untrained import MAX_LENGTH, TEXTS, random_model, tokenizer

pytest.importorskip("onnx", reason="onnx is an optional package")
pytest.importorskip("onnxruntime", reason="onnxruntime is an optional package")

__all__ = ["tokenizer"]


@pytest.fixture
def generator(tokenizer: Any) -> TextGenerator:
    return TextGenerator(random_model(tokenizer), tokenizer, BeamSearch(max_length=MAX_LENGTH, beam_width=3))


def exported(generator: TextGenerator, folder: Path, quantization: str = "float32") -> Path:
    export_onnx(folder, generator.model, generator.tokenizer, generator.search, quantization=quantization)  # type: ignore[arg-type]
    return folder


def test_a_model_and_its_export_say_the_same(generator: TextGenerator, tmp_path: Path) -> None:
    parity = measure_onnx_parity(exported(generator, tmp_path / "site"), generator, [*TEXTS, "", " \t"])
    assert (parity.num_lines, parity.num_equal) == (len(TEXTS), len(TEXTS)), "blank lines do not count"
    assert parity.largest_score_difference < 2e-4
    assert min(parity.seconds, parity.onnx_seconds) > 0


def test_both_sides_begin_with_what_is_forced(tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search = BeamSearch(max_length=MAX_LENGTH)
    generator = TextGenerator(random_model(tokenizer), tokenizer, search, rules=TargetRules(start=(7,)))
    folder = exported(generator, tmp_path / "site")
    parity = measure_onnx_parity(folder, generator, TEXTS)
    assert parity.num_equal == len(TEXTS)
    assert parity.largest_score_difference < 2e-4, "what is forced costs nothing"
    source = tokenizer.encode_sources(TEXTS[:1])[0]
    theirs = OnnxModel(folder).greedy(source, MAX_LENGTH)
    [ours] = generator(TEXTS[0], beam_width=1)
    assert theirs.tokens[0] == 7
    assert theirs.score == pytest.approx(ours.score, abs=2e-4)
    monkeypatch.setattr(generator.tokenizer, "target_start", ())
    assert measure_onnx_parity(folder, generator, TEXTS).num_equal < len(TEXTS), "without it they differ"


RULES: list[tuple[Constraint, ...]] = [
    (SuppressedTokens((5, 9)), SuppressedTokens((6, 7, 8), at_step=0)),
    (repetition_penalty(1.7, 1), ForcedEnd(2)),
    (forbidden_sequences([[7, 8], [5, 6, 7], [1, 9]], 1), Renormalized()),
    (SuppressedTokens(tuple(range(25))),),
]


@pytest.mark.parametrize("constraints", RULES, ids=str)
def test_both_sides_keep_to_the_rules_of_a_folder(
    constraints: tuple[Constraint, ...], tokenizer: Any, tmp_path: Path
) -> None:
    search, rules = BeamSearch(max_length=7), TargetRules(constraints, other_ends=(10, 11))
    generator = TextGenerator(random_model(tokenizer), tokenizer, search, rules=rules)
    export_onnx(tmp_path / "site", generator.model, tokenizer, search, rules=rules)  # type: ignore[arg-type]
    parity = measure_onnx_parity(tmp_path / "site", generator, TEXTS)
    assert parity.num_equal == len(TEXTS)
    assert parity.largest_score_difference < 2e-4
    export_onnx(tmp_path / "free", generator.model, tokenizer, search)  # type: ignore[arg-type]
    assert measure_onnx_parity(tmp_path / "free", generator, TEXTS).num_equal < len(TEXTS), "without them they differ"


def test_another_models_export_is_noticed(generator: TextGenerator, tmp_path: Path) -> None:
    folder = exported(generator, tmp_path / "site")
    with torch.no_grad():
        generator.model.lm_head.weight.neg_()  # type: ignore[union-attr]
    parity = measure_onnx_parity(folder, generator, TEXTS)
    assert parity.num_equal == 0
    assert math.isnan(parity.largest_score_difference)


def test_rounded_weights_are_near(generator: TextGenerator, tmp_path: Path) -> None:
    parity = measure_onnx_parity(exported(generator, tmp_path / "site", "int8"), generator, TEXTS)
    assert parity.num_equal > 0
    assert 1e-4 < parity.largest_score_difference < 3


def test_nothing_to_compare_is_said(generator: TextGenerator, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no line holds any text"):
        measure_onnx_parity(exported(generator, tmp_path / "site"), generator, ["", "  "])
