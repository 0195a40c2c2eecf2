"""What forced targets attend to: the weights of the ordinary forward, pair by pair."""

from typing import Any

import numpy
import pytest
import torch

from seq2seq.decoding.parts.forced_attention import forced_attention
from seq2seq.models.ensemble import Ensemble
from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig
from tests.fakes import PrefixModel

SOURCES = [[5, 6, 7, 8, 3], [9, 3], [4, 4, 6, 3]]
TARGETS = [[6, 3], [5, 7, 9, 4, 3], [3]]


def network(seed: int = 1) -> Any:
    torch.manual_seed(seed)
    config = Seq2SeqTransformerConfig(
        vocab_size=13,
        d_model=8,
        num_heads=2,
        encoder_layers=1,
        decoder_layers=3,
        ffn_size=11,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=3,
        decoder_start_token_id=1,
    )
    return Seq2SeqTransformer(config).eval()


def one_by_one(model: Any, layer: int) -> list[numpy.ndarray]:
    found = []
    for source, target in zip(SOURCES, TARGETS, strict=True):
        with torch.inference_mode():
            output = model(
                input_ids=torch.tensor([source]),
                attention_mask=torch.ones(1, len(source), dtype=torch.bool),
                decoder_input_ids=torch.tensor([[1, *target[:-1]]]),
                output_attentions=True,
            )
        found.append(output.cross_attentions[layer][0].mean(0).numpy())
    return found


@pytest.mark.parametrize(("layer", "index"), [(None, 1), (1, 0), (3, 2)])
@pytest.mark.parametrize("batch_tokens", [None, 1])
def test_weights_are_those_of_the_forward(layer: int | None, index: int, batch_tokens: int | None) -> None:
    model = network()
    found = forced_attention(model, SOURCES, TARGETS, layer=layer, batch_tokens=batch_tokens)
    for weights, expected in zip(found, one_by_one(model, index), strict=True):
        numpy.testing.assert_allclose(weights, expected, atol=1e-6)
        numpy.testing.assert_allclose(weights.sum(1), 1, atol=1e-5)


def test_of_an_ensemble_it_is_the_mean() -> None:
    models = [network(1), network(2)]
    expected = [sum(parts) / 2 for parts in zip(*(one_by_one(model, 1) for model in models), strict=True)]
    for weights, mean in zip(forced_attention(Ensemble(models), SOURCES, TARGETS), expected, strict=True):
        numpy.testing.assert_allclose(weights, mean, atol=1e-6)


def test_what_has_no_such_layer_is_refused() -> None:
    with pytest.raises(ValueError, match="between 1 and 3 in this model, but is 4"):
        forced_attention(network(), SOURCES, TARGETS, layer=4)
    other = PrefixModel(lambda source, prefix: torch.zeros(13), 13, 3)
    with pytest.raises(ValueError, match="a network of this toolkit"):
        forced_attention(other, SOURCES, TARGETS)
