import math
from typing import Any

import pytest
import torch
from torch import Tensor

from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig

H, D = 4, 256


def model(**options: Any) -> Any:
    sizes: dict[str, Any] = {"vocab_size": 503, "d_model": D, "num_heads": H, "ffn_size": 512}
    sizes |= {"encoder_layers": 1, "decoder_layers": 1}
    return Seq2SeqTransformer(Seq2SeqTransformerConfig(**sizes, **options))


def self_attention_parts(transformer: Any) -> list[Tensor]:
    projection = transformer.decoder.layers[0].self_attention.queries_keys_values
    return list(projection.weight.split(projection.sizes))


def test_projections_keep_the_variance_of_separate_matrices() -> None:
    for part in self_attention_parts(model()):
        assert part.std().item() == pytest.approx(D**-0.5, rel=0.02)
        assert abs(part.mean().item()) < 5 * D**-0.5 / D


def test_bounds_are_those_of_one_projection() -> None:
    bound = math.sqrt(6 / (D + D))
    for part in self_attention_parts(model()):
        assert 0.99 * bound < part.abs().max().item() <= bound


@pytest.mark.parametrize("tie_embeddings", ["all", "target", "none"])
def test_embeddings_enter_and_logits_leave_with_unit_variance(tie_embeddings: str) -> None:
    transformer = model(tie_embeddings=tie_embeddings, positions="rotary").eval()
    for weight in (
        transformer.encoder.embeddings.tokens.weight,
        transformer.decoder.embeddings.tokens.weight,
        transformer.lm_head.weight,
    ):
        assert weight.std().item() == pytest.approx(D**-0.5, rel=0.02)
    ids = torch.randint(3, 503, (7, 11))
    assert transformer.encoder.embeddings(ids).std().item() == pytest.approx(1, rel=0.05)
    assert transformer(ids, None, ids).logits.std().item() == pytest.approx(1, rel=0.2)


def test_biases_and_norms() -> None:
    transformer = model(norm="rms_norm")
    for name, parameter in transformer.named_parameters():
        if name.endswith("bias"):
            assert (parameter == 0).all(), name
        elif "norm" in name:
            assert (parameter == 1).all(), name
