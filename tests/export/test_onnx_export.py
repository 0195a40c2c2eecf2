"""The folder of an ONNX export: what is in it, what is refused, and how it is replaced."""

import json
import sys
from copy import copy
from pathlib import Path
from typing import Any

import pytest

from seq2seq.assembly.generation_config import TargetRules
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.decoding.algorithms.beam import BeamSearch
from seq2seq.decoding.parts.constraints import (
    Constraint,
    ForcedEnd,
    Renormalized,
    SuppressedTokens,
    forbidden_sequences,
    repetition_penalty,
)
from seq2seq.export import onnx_export
from seq2seq.export.onnx_export import export_onnx
from tests.export.untrained import SEARCH, TEXTS, random_model, tokenizer

onnx = pytest.importorskip("onnx", reason="onnx is an optional package")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is an optional package")

__all__ = ["tokenizer"]


def test_a_folder_holds_all_that_its_readers_ask_for(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    export_onnx(folder, random_model(tokenizer, positions="rotary"), tokenizer, SEARCH, "a: ", max_source_tokens=31)
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {
        *("onnx/encoder_model.onnx", "onnx/decoder_model_merged.onnx"),
        *("config.json", "generation_config.json", "decoding.json", "engine.json"),
        *(f"{side}_tokenizer/tokenizer.json" for side in ("source", "target")),
        *(f"{side}_tokenizer/tokenizer_config.json" for side in ("source", "target")),
    }
    config = json.loads((folder / "config.json").read_text())
    assert [config[name] for name in ("model_type", "decoder_layers", "eos_token_id")] == ["marian", 2, 2]
    assert json.loads((folder / "generation_config.json").read_text())["max_length"] == SEARCH.max_length + 1
    engine = json.loads((folder / "engine.json").read_text())
    assert engine["source_frame"] == [[], [tokenizer.source.eos_id]]
    assert engine["source_prefix"] == "a: "
    assert engine["max_source_tokens"] == 31
    assert engine["search"]["beam_width"] == SEARCH.beam_width


def test_transformers_js_is_told_what_outputs_begin_and_end_with(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    def said(name: str, spoken: TextTokenizer, **options: Any) -> dict[str, Any]:
        export_onnx(tmp_path / name, random_model(tokenizer), spoken, SEARCH, **options)
        return dict(json.loads((tmp_path / name / "generation_config.json").read_text()))

    plain = said("plain", tokenizer)
    assert (plain["eos_token_id"], "forced_bos_token_id" in plain) == (tokenizer.eos_id, False)
    spoken = copy(tokenizer)
    spoken.target_start = (7,)
    rules: list[Constraint] = [
        repetition_penalty(1.5, tokenizer.decoder_start_id),
        SuppressedTokens((5,)),
        forbidden_sequences([[3, 4]], tokenizer.decoder_start_id),
        ForcedEnd(tokenizer.eos_id),
        SuppressedTokens((6,)),
        SuppressedTokens((8,), at_step=1),
        Renormalized(),
    ]
    found = said("spoken", spoken, rules=TargetRules(tuple(rules), other_ends=(8, 9)))
    assert found == plain | {
        "eos_token_id": [tokenizer.eos_id, 8, 9],
        "forced_bos_token_id": 7,
        "forced_eos_token_id": tokenizer.eos_id,
        "suppress_tokens": [5, 6],
        "begin_suppress_tokens": [8],
        "bad_words_ids": [[3, 4]],
        "repetition_penalty": 1.5,
        "renormalize_logits": True,
    }


def test_rules_of_a_users_own_are_refused(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    rules = TargetRules((lambda step, token_ids, log_probs: log_probs,))
    with pytest.raises(ValueError, match="has no counterpart in ONNX; decode with `seq2seq decode`"):
        export_onnx(tmp_path / "site", random_model(tokenizer), tokenizer, SEARCH, rules=rules)
    assert list(tmp_path.iterdir()) == []


def test_one_tokenizer_stands_where_transformers_js_looks_for_it(tmp_path: Path) -> None:
    shared = TextTokenizer.train(TEXTS, TEXTS, kind="characters", vocab_size=60)
    export_onnx(tmp_path / "site", random_model(shared, tie_embeddings="all"), shared, SEARCH, quantization="int8")
    assert (tmp_path / "site" / "tokenizer.json").is_file()
    names = {path.name for path in (tmp_path / "site" / "onnx").iterdir()}
    assert names == {"encoder_model_quantized.onnx", "decoder_model_merged_quantized.onnx"}


def test_weights_of_a_large_graph_stand_beside_it(
    tokenizer: TextTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_export, "LARGEST_FILE", 20_000)
    folder = tmp_path / "site"
    export_onnx(folder, random_model(tokenizer), tokenizer, SEARCH)
    for name in ("encoder_model", "decoder_model_merged"):
        assert (folder / "onnx" / f"{name}.onnx_data").stat().st_size > 10_000
        onnxruntime.InferenceSession(str(folder / "onnx" / f"{name}.onnx"), providers=["CPUExecutionProvider"])
    config = json.loads((folder / "config.json").read_text())
    assert config["transformers.js_config"] == {"use_external_data_format": True}


@pytest.mark.parametrize("order", ["r2l", "bidirectional", "interleaved"])
def test_other_orders_are_refused(order: str, tokenizer: TextTokenizer, tmp_path: Path) -> None:
    model = random_model(tokenizer, generation_order=order)
    with pytest.raises(ValueError, match=f"trained in the order `{order}`.*`seq2seq serve`"):
        export_onnx(tmp_path / "site", model, tokenizer, BeamSearch())
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_quantization_is_refused(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be one of float32, int8, but is 'int16'"):
        export_onnx(tmp_path / "site", random_model(tokenizer), tokenizer, SEARCH, quantization="int16")


def test_a_missing_library_is_named(tokenizer: TextTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ValueError, match=r"onnx is not installed: `pip install \"seq2seq-toolkit\[onnx\]\"`"):
        export_onnx(tmp_path / "site", random_model(tokenizer), tokenizer, SEARCH)


def test_only_an_earlier_export_is_replaced(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    folder, model = tmp_path / "site", random_model(tokenizer)
    export_onnx(folder, model, tokenizer, SEARCH)
    (folder / "stale").touch()
    export_onnx(folder, model, tokenizer, SEARCH)
    assert not (folder / "stale").exists()
    (folder / "engine.json").unlink()
    with pytest.raises(ValueError, match="site is there and holds no ONNX export"):
        export_onnx(folder, model, tokenizer, SEARCH)


def test_the_configuration_says_nothing_of_weights_that_are_inside(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    export_onnx(tmp_path / "site", random_model(tokenizer), tokenizer, SEARCH)
    config: dict[str, Any] = json.loads((tmp_path / "site" / "config.json").read_text())
    assert "transformers.js_config" not in config
