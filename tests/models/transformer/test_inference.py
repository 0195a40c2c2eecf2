from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from seq2seq.models.transformer.inference import InferenceTransformer
from tests.models.tiny import tiny_model


def test_weights_without_a_place_are_refused(tmp_path: Path) -> None:
    """A folder of a deeper model whose config.json says otherwise."""
    tiny_model(decoder_layers=3).save_pretrained(tmp_path / "deeper")
    tiny_model(decoder_layers=2).save_pretrained(tmp_path / "model")
    InferenceTransformer.load(tmp_path / "model")
    weights = load_file(tmp_path / "deeper" / "model.safetensors")
    save_file(weights, tmp_path / "model" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"not those of its config.json; without a place: decoder\.layers\.2\."):
        InferenceTransformer.load(tmp_path / "model")
    del weights["decoder.layers.1.feed_forward.expand.weight"]
    weights["decoder.layers.0.feed_forward.expand.weight"] = torch.zeros(3)
    save_file(weights, tmp_path / "model" / "model.safetensors", metadata={"format": "pt"})
    message = r"misshapen: decoder\.layers\.0\.feed_forward\.expand\.weight, decoder\.layers\.1.*; without a place: d"
    with pytest.raises(ValueError, match=message):
        InferenceTransformer.load(tmp_path / "model")
