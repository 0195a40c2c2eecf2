from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from seq2seq.apps.command import main
from seq2seq.assembly.configuration import load_run_config
from seq2seq.assembly.model import check_start, initialize_from
from seq2seq.models.loading import without_reports
from tests.models.test_pretrained import bart, marian
from tests.models.tiny import tiny_model
from tests.tiny_run import write_copy_task


def gpt2() -> PreTrainedModel:
    return GPT2LMHeadModel(GPT2Config(vocab_size=37, n_positions=41, n_embd=24, n_layer=1, n_head=2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"positions": "learned"},
            r"run has `positions: sinusoidal`, but this run `positions: learned`.*Set `model.pos",
        ),
        ({"num_heads": 8}, "has `num_heads: 2`, but this run `num_heads: 8`"),
        ({"activation": "gelu"}, "has `activation: relu`, but this run `activation: gelu`"),
        ({"norm_position": "post"}, "has `norm_position: pre`"),
        ({"tie_embeddings": "target"}, "has `tie_embeddings: all`"),
        ({"encoder_layers": 2}, "has `encoder_layers: 1`"),
        ({"d_model": 64, "num_heads": 4}, "has `d_model: 32`"),
    ],
)
def test_weights_of_another_architecture_are_refused_before_any_work(
    copy_task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: dict[str, Any], message: str
) -> None:
    written = write_copy_task(tmp_path, model=options)
    config = load_run_config([written, "--init-from", str(copy_task / "run")])
    with pytest.raises(ValueError, match=message):
        check_start(config)
    assert main(["train", written, "--init-from", str(copy_task / "run")]) == 2
    assert not (tmp_path / "run").exists()
    assert "`" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        {"dropout": 0.7, "attention_dropout": 0.1, "max_positions": 5},
        {"generation_order": "r2l"},
        {"generation_order": "bidirectional", "interaction": "tanh"},
        {"key_size": 16, "value_size": 16},
    ],
)
def test_what_is_learnt_anew_or_has_no_effect_may_differ(
    copy_task: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    check_start(load_run_config([write_copy_task(tmp_path, model=options), "--init-from", str(copy_task / "run")]))


@pytest.mark.parametrize("make", [bart, marian, gpt2])
def test_a_model_that_is_no_network_of_ours_is_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Callable[[], PreTrainedModel]
) -> None:
    """Nor is anything left behind."""
    with without_reports():
        make().save_pretrained(tmp_path / "other")
    capsys.readouterr()
    written = write_copy_task(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    for verb in ("train", "prepare"):
        assert main([verb, written, "--init-from", str(tmp_path / "other")]) == 2
        error = capsys.readouterr().err
        assert "can be decoded with at most, but not trained; those of this toolkit and of marian, " in error
        assert error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocab_size": 38}, "has `vocab_size: 37`, but this run `vocab_size: 38`"),
        ({"pad_token_id": 3}, "has `pad_token_id: 0`"),
        ({"positions": "learned"}, "has `positions: rotary`"),
    ],
)
def test_what_the_tokenizer_decides_is_compared_too(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    tiny_model().float().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=message):
        initialize_from(tiny_model(**options).float(), tmp_path)


def test_a_model_starts_with_the_weights_of_another(tmp_path: Path) -> None:
    saved = tiny_model(dropout=0.2).float()
    saved.save_pretrained(tmp_path)
    model = tiny_model().float()
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    initialize_from(model, tmp_path)
    assert all(torch.equal(weight, model.state_dict()[name]) for name, weight in saved.state_dict().items())
