import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

from seq2seq.decoding import BeamSearch
from seq2seq.models.loading import load_model
from seq2seq.models.pretrained import PretrainedSeq2Seq
from seq2seq.models.transformer import Seq2SeqTransformer
from seq2seq.models.transformer.inference import InferenceTransformer
from seq2seq.models.transformer.packing import HalfLinear, can_halve, can_quantize
from tests.models.test_pretrained import marian
from tests.models.tiny import random_pairs, tiny_model


@pytest.mark.parametrize("trainable", [True, False])
@pytest.mark.parametrize("tie_embeddings", ["all", "target", "none"])
def test_our_models_come_back_as_they_are(trainable: bool, tie_embeddings: str, tmp_path: Path) -> None:
    model, pairs = tiny_model(dropout=0.5, tie_embeddings=tie_embeddings, positions="learned"), random_pairs()
    model.save_pretrained(tmp_path)
    loaded = load_model(tmp_path, trainable=trainable)
    assert isinstance(loaded, Seq2SeqTransformer if trainable else InferenceTransformer)
    assert {weight.dtype for weight in loaded.parameters()} == {torch.float64}
    torch.testing.assert_close(loaded.teacher_forced(*pairs), model(*pairs).logits, rtol=0, atol=1e-12)
    assert all(torch.equal(loaded.state_dict()[name], weight) for name, weight in model.state_dict().items())
    half = load_model(tmp_path, dtype=torch.bfloat16, trainable=True)
    assert isinstance(half, Seq2SeqTransformer)
    assert half.dtype == torch.bfloat16


@pytest.mark.parametrize("options", [{}, {"norm_position": "post", "activation": "gelu"}])
def test_a_model_for_search_finds_what_the_saved_one_does(options: dict[str, Any], tmp_path: Path) -> None:
    model, pairs = tiny_model(**options).float(), random_pairs()
    model.save_pretrained(tmp_path)
    search = BeamSearch(beam_width=3, n_best=3, max_length=11)
    expected = search.search(model, pairs.input_ids, pairs.attention_mask)
    found = search.search(load_model(tmp_path), pairs.input_ids, pairs.attention_mask)
    for mine, theirs in zip(found, expected, strict=True):
        assert [h.tokens for h in mine] == [h.tokens for h in theirs]
        assert [h.score for h in mine] == pytest.approx([h.score for h in theirs], abs=1e-4)


def test_eight_bits_are_for_our_own_models_on_machines_that_have_products_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marian().save_pretrained(tmp_path / "marian")
    with pytest.raises(ValueError, match="8-bit integers are for search with models whose network is ours"):
        load_model(tmp_path / "marian", dtype=torch.int8)
    tiny_model().save_pretrained(tmp_path / "ours")
    monkeypatch.setattr("seq2seq.models.loading.can_quantize", lambda device: False)
    with pytest.raises(ValueError, match="no fast products of 8-bit integers"):
        load_model(tmp_path / "ours", dtype=torch.int8)


@pytest.mark.skipif(not can_halve("cpu"), reason="this processor has no products of weights in 16 bits")
def test_16_bits_are_of_the_weights_of_our_own_models_alone_on_cpus(tmp_path: Path) -> None:
    model, pairs = tiny_model().float(), random_pairs()
    model.save_pretrained(tmp_path / "ours")
    loaded: Any = load_model(tmp_path / "ours", dtype=torch.float16)
    assert isinstance(loaded.lm_head, HalfLinear)
    assert {weight.dtype for weight in loaded.parameters()} == {torch.float32}
    found, expected = loaded.teacher_forced(*pairs), model.teacher_forced(*pairs)
    torch.testing.assert_close(found, expected, rtol=0.01, atol=0.01)
    marian().save_pretrained(tmp_path / "marian")
    for name, trainable in (("ours", True), ("marian", False)):
        other: Any = load_model(tmp_path / name, dtype=torch.float16, trainable=trainable)
        whole = other.model if name == "marian" else other
        assert {weight.dtype for weight in whole.parameters()} == {torch.float32}


def test_other_encoder_decoders_are_wrapped(tmp_path: Path) -> None:
    model, pairs = marian().eval(), random_pairs()
    model.save_pretrained(tmp_path)
    loaded = load_model(str(tmp_path))
    assert isinstance(loaded, PretrainedSeq2Seq)
    torch.testing.assert_close(loaded.teacher_forced(*pairs), PretrainedSeq2Seq(model).teacher_forced(*pairs))


@pytest.mark.parametrize("kind", ["for search", "in 8 bits", "trainable", "of transformers"])
def test_a_loaded_model_stays_what_it_is_when_another_is_copied_over_its_file(kind: str, tmp_path: Path) -> None:
    """As by `cp`, which writes into the file that is there, so that what is mapped would change with it."""
    if kind == "in 8 bits" and not can_quantize("cpu"):
        pytest.skip("this processor has no products of 8-bit integers")
    (marian() if kind == "of transformers" else tiny_model().float()).save_pretrained(tmp_path)
    dtype, pairs = torch.int8 if kind == "in 8 bits" else None, random_pairs()
    loaded = load_model(tmp_path, dtype=dtype, trainable=kind == "trainable")
    expected = loaded.teacher_forced(*pairs)
    file = tmp_path / "model.safetensors"
    size, weights = file.stat().st_size, load_file(file)
    before = torch.cat([weight.flatten() for weight in weights.values()]).sum()
    with file.open("r+b") as opened:
        opened.seek(size // 8)
        opened.write(bytes(size - size // 8))
    assert torch.cat([weight.flatten() for weight in weights.values()]).sum() != before, "these are mapped"
    assert torch.equal(loaded.teacher_forced(*pairs), expected)


def test_folders_without_a_model_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no config.json"):
        load_model(tmp_path)
    GPT2LMHeadModel(GPT2Config(vocab_size=37, n_embd=8, n_layer=1, n_head=2)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="holds a gpt2 model, which is no encoder-decoder"):
        load_model(tmp_path)


@pytest.mark.parametrize("trainable", [True, False])
@pytest.mark.parametrize("damage", ["absent", "misshapen"])
def test_incomplete_weights_are_refused(damage: str, trainable: bool, tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    name = "decoder.layers.1.self_attention.output.weight"
    if damage == "absent":
        del weights[name]
    else:
        weights[name] = weights[name][:5].clone()
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=name):
        load_model(tmp_path, trainable=trainable)


@pytest.mark.parametrize("trainable", [True, False])
@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", "[" * 100_000, "\x00"),
        *('{"d_model": "64"}', '{"d_model": null}', '{"d_model": 1e300}', '{"d_model": 23.5}', '{"d_model": true}'),
        *('{"dropout": "a"}', '{"dropout": null}', '{"dropout": NaN}', '{"positions": ["rotary"]}', '{"norm": {}}'),
        *('{"pad_token_id": null}', '{"interaction_weight": "1"}', '{"interaction_weight": Infinity}'),
        *('{"encoder_layers": 1000000}', '{"vocab_size": 1000000000000}', '{"num_heads": 0}', '{"key_size": -1}'),
        *('{"talking_heads": true}', '{"activation": "swiglu"}'),
    ],
)
def test_damaged_configurations_are_named(text: str, trainable: bool, tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    changes = json.loads(text) if text.startswith('{"') else None
    file.write_text(text if changes is None else json.dumps(json.loads(file.read_text()) | changes))
    with pytest.raises(ValueError, match=re.escape(str(file))) as caught:
        load_model(tmp_path, trainable=trainable)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("trainable", [True, False])
@pytest.mark.parametrize("size", [0, 5, 100, 0.5, 0.99])
def test_weights_that_are_cut_are_named(size: float, trainable: bool, tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path)
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: int(size if size >= 1 else size * len(whole))])
    with pytest.raises(ValueError, match=re.escape(str(tmp_path))):
        load_model(tmp_path, trainable=trainable)


@pytest.mark.parametrize("tie_embeddings", ["all", "none"])
def test_weights_that_are_no_weights_are_named(tie_embeddings: str, tmp_path: Path) -> None:
    tiny_model(tie_embeddings=tie_embeddings).save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    weights = load_file(file)
    save_file({name: weight.long() for name, weight in weights.items()}, file, {"format": "pt"})
    with pytest.raises(ValueError, match=r"model.safetensors: .* is of torch.int64, which is no type of weights"):
        load_model(tmp_path)
    save_file({"other": torch.zeros(1)}, file, {"format": "pt"})
    with pytest.raises(ValueError, match="decoder.embeddings.tokens.weight"):
        load_model(tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "../model.safetensors", "/tmp/model.safetensors", 3])
def test_an_index_of_anything_but_safetensors_beside_it_is_refused(name: Any, tmp_path: Path) -> None:
    model, folder = marian(), tmp_path / "model"
    model.save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").rename(tmp_path / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin")
    index = {"metadata": {}, "weight_map": dict.fromkeys(weights, name)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"model\.safetensors\.index\.json"):
        load_model(folder)
    (tmp_path / "model.safetensors").rename(folder / "shard.safetensors")
    index["weight_map"] = dict.fromkeys(weights, "shard.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert isinstance(load_model(folder), PretrainedSeq2Seq)


@pytest.mark.parametrize("kind", ["ours to search", "ours to train", "another's"])
def test_damaged_weights_are_named(kind: str, tmp_path: Path) -> None:
    """As an interrupted copy leaves them."""
    (marian() if kind == "another's" else tiny_model()).save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ValueError, match=f"{tmp_path}.* damaged.*anew"):
        load_model(tmp_path, trainable=kind == "ours to train")


@pytest.mark.parametrize("trainable", [True, False])
@pytest.mark.parametrize("number", [torch.nan, torch.inf, -torch.inf])
def test_weights_that_are_no_numbers_are_refused_by_name(number: float, trainable: bool, tmp_path: Path) -> None:
    model, name = tiny_model(), "decoder.layers.1.self_attention.output.weight"
    with torch.no_grad():
        model.get_parameter(name)[2, 3] = number
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=rf"{re.escape(str(tmp_path))}.*: {re.escape(name)} holds NaN or infinity"):
        load_model(tmp_path, trainable=trainable)


def test_large_weights_are_numbers(tmp_path: Path) -> None:
    model = tiny_model()
    with torch.no_grad():
        model.get_output_embeddings().weight.fill_(1e308)
    model.save_pretrained(tmp_path)
    assert (load_model(tmp_path).get_output_embeddings().weight == 1e308).all()


def test_weights_of_several_types_are_refused(tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights["encoder.norm.weight"] = weights["encoder.norm.weight"].half()
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"of several types, torch.float16, torch.float64"):
        load_model(tmp_path)


def test_an_output_layer_that_the_configuration_ties_away_is_refused(tmp_path: Path) -> None:
    tiny_model(tie_embeddings="none").save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"tie_embeddings": "all"}))
    with pytest.raises(ValueError, match=r"without a place: encoder.embeddings.tokens.weight, lm_head.weight"):
        load_model(tmp_path)
