"""Adapters that peft puts into the network: what they add, and that nothing is lost when they are merged."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from seq2seq.decoding.algorithms.beam import BeamSearch
from seq2seq.models.transformer import adapters
from seq2seq.models.transformer.adapters import add_adapters, merge_adapters, merged, scaling_of
from seq2seq.models.transformer.packing import decoding_copy
from tests.models.tiny import random_pairs, tiny_model

pytest.importorskip("peft")

NETWORKS: list[dict[str, Any]] = [
    {"tie_embeddings": "all", "positions": "rotary"},
    {"tie_embeddings": "none", "norm": "rms_norm", "norm_position": "post"},
    {"generation_order": "interleaved"},
]


def adapted(targets: Any = "all_linear", dropout: float = 0.0, **options: Any) -> Any:
    """Return a model whose adapters have learnt something."""
    torch.manual_seed(1)
    model = tiny_model(**options).float()
    add_adapters(model, rank=3, alpha=7.5, dropout=dropout, targets=targets)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    return model


def test_new_adapters_add_nothing() -> None:
    torch.manual_seed(1)
    model = tiny_model()
    expected = model.teacher_forced(*(pairs := random_pairs()))
    add_adapters(model, rank=3, alpha=7.5, dropout=0.0, targets="all_linear")
    assert torch.equal(model.teacher_forced(*pairs), expected)


def test_an_adapter_adds_its_product_by_hand() -> None:
    model = adapted()
    layer = model.decoder.layers[1].cross_attention.source_keys_values
    hidden = torch.randn(2, 5, 23)
    down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    expected = layer.base_layer(hidden) + 7.5 / 3 * (hidden @ down.T) @ up.T
    torch.testing.assert_close(layer(hidden), expected)
    assert scaling_of(model) == 2.5
    assert layer.sizes == (12, 21)
    assert scaling_of(tiny_model()) is None


@pytest.mark.parametrize(
    ("targets", "kinds"),
    [
        ("all_linear", {"self_attention", "cross_attention", "feed_forward"}),
        ("attention", {"self_attention", "cross_attention"}),
        ("feed_forward", {"feed_forward"}),
    ],
)
def test_targets(targets: str, kinds: set[str]) -> None:
    model = adapted(targets)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {name for name, _ in model.named_parameters() if ".lora_" in name}
    assert {name.split(".")[3] for name in trained} == kinds


@pytest.mark.parametrize("options", NETWORKS)
def test_a_merged_model_computes_the_same_under_the_names_of_before(options: dict[str, Any]) -> None:
    model, pairs = adapted(**options), random_pairs()
    pairs = pairs._replace(decoder_input_ids=pairs.decoder_input_ids[:, :12])  # interleaved rows are even
    expected = model.teacher_forced(*pairs)
    plain = tiny_model(**options).float()
    plain.load_state_dict(merged(model.state_dict(), scaling_of(model)))  # type: ignore[arg-type]
    in_place = copy.deepcopy(model)
    merge_adapters(in_place)
    for other in (plain, in_place, decoding_copy(model, torch.float32)):
        assert (other.teacher_forced(*pairs) - expected).abs().max() < 1e-6 * expected.abs().max()
    assert in_place.state_dict().keys() == plain.state_dict().keys()
    assert type(in_place.encoder.layers[0].feed_forward.expand) is type(plain.encoder.layers[0].feed_forward.expand)
    assert scaling_of(model) == 2.5, "a copy was merged, not the model"


def test_a_search_runs_over_adapters_as_over_what_they_are_merged_into() -> None:
    model, pairs = adapted(), random_pairs()
    search = BeamSearch(beam_width=3, n_best=2, max_length=7)
    found, expected = (
        search.search(each, pairs.input_ids, pairs.attention_mask)
        for each in (model, decoding_copy(model, torch.float32))
    )
    assert [[h.tokens for h in nbest] for nbest in found] == [[h.tokens for h in nbest] for nbest in expected]


def test_dropout_is_for_training() -> None:
    model = adapted(dropout=0.5)
    pairs = random_pairs()
    assert torch.equal(model.teacher_forced(*pairs), model.teacher_forced(*pairs))
    model.train()
    assert not torch.equal(model.teacher_forced(*pairs), model.teacher_forced(*pairs))


def test_without_peft_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r'^`lora` needs peft: pip install "seq2seq-toolkit\[lora\]".$'):
        add_adapters(nn.Linear(2, 2), rank=1, alpha=1.0, dropout=0.0, targets="attention")
