"""Sizes that the weights do not have are refused before anything of that size is made."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq.models.foreign_sizes import check_sizes, further_layers
from seq2seq.models.loading import load_model
from tests.models.test_pretrained import bart, marian, t5

SHAPES = {"shared.weight": (37, 24), "encoder.block.0.weight": (24, 19), "encoder.block.1.weight": (24, 19)}


@pytest.mark.parametrize(
    "options",
    [
        {"d_model": 24, "num_layers": 2, "vocab_size": 37, "n_positions": 4096, "decoder": {"d_model": 24}},
        {"num_layers": 90, "length_penalty": float("nan"), "bad_words_ids": [[65_000]]},
    ],
)
def test_sizes_of_the_weights_are_let_pass(options: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(options))
    check_sizes(tmp_path / "config.json", SHAPES)


@pytest.mark.parametrize(
    "options",
    [
        *({"d_model": 25}, {"decoder": {"hidden_size": 10**9}}, {"num_layers": 1_000_000}, {"encoder_layers": 101}),
        *({"max_position_embeddings": 10**8}, {"vocab_size": 10**12}, {"d_kv": -(10**30)}, {"heads": [1e308]}),
        {"num_experts": 5000},
    ],
)
def test_sizes_that_no_weights_have_are_refused(options: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(options))
    with pytest.raises(ValueError, match=rf"{re.escape(str(tmp_path / 'config.json'))}: `\w+` is "):
        check_sizes(tmp_path / "config.json", SHAPES)


@pytest.mark.parametrize("make", [marian, bart, t5])
@pytest.mark.parametrize(
    "changes",
    [
        *(
            {"vocab_size": 1_000_000},
            {"encoder_ffn_dim": 900_000, "d_ff": 900_000},
            {"d_model": "a"},
            {"pad_token_id": 99},
        ),
        *({"encoder_layers": "a", "num_layers": "a"}, {"decoder_start_token_id": 10_000}, {"eos_token_id": "a"}),
        *({"d_model": 10**9}, {"dtype": "int64"}, {"dtype": []}, {"model_type": 3}, {"is_encoder_decoder": "a"}),
    ],
)
def test_a_folder_whose_configuration_is_not_of_its_weights_is_named(
    make: Any, changes: dict[str, Any], tmp_path: Path
) -> None:
    make().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    generation = json.loads((tmp_path / "generation_config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | changes))
    ids = {name: value for name, value in changes.items() if name in generation}
    (tmp_path / "generation_config.json").write_text(json.dumps(generation | ids))
    message = refusal(tmp_path)
    assert message is None or str(tmp_path) in message
    assert "\n" not in str(message)


def refusal(folder: Path) -> str | None:
    """Return what is said of a folder that is refused; whatever else it raises is a fault."""
    try:
        load_model(folder)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize("make", [bart, t5])
def test_a_configuration_of_fewer_layers_is_refused(make: Any, tmp_path: Path) -> None:
    make().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    fewer = {"decoder_layers": 1, "num_decoder_layers": 1}
    (tmp_path / "config.json").write_text(json.dumps(config | {name: 1 for name in fewer if name in config}))
    with pytest.raises(ValueError, match=rf"{re.escape(str(tmp_path))}.*without a place: .*(layers|block)\.1\."):
        load_model(tmp_path)


def test_only_further_layers_are_without_a_place() -> None:
    expected = ["decoder.layers.0.weight", "decoder.layers.1.weight", "head.weight"]
    unexpected = ["decoder.layers.2.weight", "pooler.weight", "decoder.layers.2.position_ids"]
    assert further_layers(unexpected, expected) == ["decoder.layers.2.weight"]


def test_numbers_that_are_none_are_named(tmp_path: Path) -> None:
    model = t5()
    with torch.no_grad():
        model.get_output_embeddings().weight[1, 2] = torch.nan
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=rf"{re.escape(str(tmp_path))}: .* holds NaN or infinity"):
        load_model(tmp_path)
