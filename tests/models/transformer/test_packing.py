"""A packed model computes what the ordinary one does."""

from copy import deepcopy
from typing import Any

import pytest
import torch

from seq2seq.models.transformer.packing import PackedLinear, can_pack, decoding_copy, pack
from tests.models.tiny import random_pairs, tiny_model

TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 0.05}


@pytest.mark.parametrize("dtype", list(TOLERANCES))
@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_tanh", "swiglu"])
@pytest.mark.parametrize(
    "options", [{}, {"positions": "rotary", "talking_heads": True}, {"key_size": 6, "num_heads": 3}]
)
def test_packed_equals_ordinary(activation: str, options: dict[str, Any], dtype: torch.dtype) -> None:
    if not can_pack(torch.zeros(1, dtype=dtype)):
        pytest.skip(f"oneDNN has no kernels for {dtype} on this machine")
    model, pairs = tiny_model(activation=activation, **options).to(dtype), random_pairs()
    with torch.no_grad():
        expected = model.teacher_forced(*pairs)
        packed = pack(deepcopy(model))
        assert any(isinstance(module, PackedLinear) for module in packed.modules())
        torch.testing.assert_close(
            packed.teacher_forced(*pairs), expected, rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype]
        )


def test_double_precision_stays_as_it_is() -> None:
    model = tiny_model().double()
    assert pack(model) is model
    assert not any(isinstance(module, PackedLinear) for module in model.modules())


def test_a_decoding_copy_leaves_the_trained_model_alone() -> None:
    model = tiny_model().float().train()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    copy = decoding_copy(model, torch.bfloat16)
    assert model.training
    assert not copy.training
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert {p.dtype for p in copy.parameters()} == {torch.bfloat16}
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, before[name])
