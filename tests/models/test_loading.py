from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

from seq2seq.models.loading import load_model
from seq2seq.models.pretrained import PretrainedSeq2Seq
from seq2seq.models.transformer import Seq2SeqTransformer
from tests.models.test_pretrained import marian
from tests.models.tiny import random_pairs, tiny_model


def test_our_models_come_back_as_they_are(tmp_path: Path) -> None:
    model, pairs = tiny_model(dropout=0.5), random_pairs()
    model.save_pretrained(tmp_path)
    loaded = load_model(tmp_path)
    assert isinstance(loaded, Seq2SeqTransformer)
    assert loaded.dtype == torch.float64
    assert torch.equal(loaded.teacher_forced(*pairs), model.teacher_forced(*pairs))
    half = load_model(tmp_path, dtype=torch.bfloat16)
    assert isinstance(half, Seq2SeqTransformer)
    assert half.dtype == torch.bfloat16


def test_other_encoder_decoders_are_wrapped(tmp_path: Path) -> None:
    model, pairs = marian().eval(), random_pairs()
    model.save_pretrained(tmp_path)
    loaded = load_model(str(tmp_path))
    assert isinstance(loaded, PretrainedSeq2Seq)
    torch.testing.assert_close(loaded.teacher_forced(*pairs), PretrainedSeq2Seq(model).teacher_forced(*pairs))


def test_folders_without_a_model_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no config.json"):
        load_model(tmp_path)
    GPT2LMHeadModel(GPT2Config(vocab_size=37, n_embd=8, n_layer=1, n_head=2)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="holds a gpt2 model, which is no encoder-decoder"):
        load_model(tmp_path)


@pytest.mark.parametrize("damage", ["absent", "misshapen"])
def test_incomplete_weights_are_refused(damage: str, tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    name = "decoder.layers.1.self_attention.output.weight"
    if damage == "absent":
        del weights[name]
    else:
        weights[name] = weights[name][:5].clone()
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=name):
        load_model(tmp_path)
