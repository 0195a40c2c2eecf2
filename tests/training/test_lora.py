"""A training of adapters: what is trained beside them, what a checkpoint holds, and what is exported."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from seq2seq.models.transformer import Seq2SeqTransformer
from seq2seq.training.checkpoint import exported_weights
from seq2seq.training.checkpoint_folder import checkpoint_path
from seq2seq.training.freezing import Counts
from seq2seq.training.lora import LoraOptions, adapt
from tests.models.tiny import random_pairs, tiny_model
from tests.training.fakes import VOCAB_SIZE, make_trainer

pytest.importorskip("peft")


def trained_names(model: torch.nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_what_is_trained() -> None:
    model = tiny_model()
    adapt(model, LoraOptions())
    assert trained_names(model) == {name for name, _ in model.named_parameters()}
    adapt(model, LoraOptions(rank=2, also_train=("embeddings", "norms")))
    others = {name for name in trained_names(model) if ".lora_" not in name}
    assert others == {name for name, _ in model.named_parameters() if "norm" in name or "embeddings" in name}
    assert Counts.of(model).trained < Counts.of(model).all


def test_what_starts_afresh_in_another_order_is_trained() -> None:
    model = tiny_model(generation_order="bidirectional", interaction="gate")
    adapt(model, LoraOptions(rank=2))
    others = {name for name in trained_names(model) if ".lora_" not in name}
    assert others == {name for name, _ in model.named_parameters() if ".sides." in name or ".interaction." in name}
    assert len(others) > 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": -1}, "`rank` must be 0 or more"),
        ({"alpha": 16.0}, "`alpha` belongs to `rank: 1 or more`"),
        ({"targets": "attention"}, "`targets` belongs to"),
        ({"rank": 2, "alpha": 0.0}, "`alpha` must be positive"),
        ({"rank": 2, "dropout": 1.0}, "`dropout` must be at least 0 and below 1"),
        ({"rank": 2, "also_train": ("norm",)}, "`also_train` takes embeddings, .* but not 'norm'"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LoraOptions(**options)


def small(dropout: float) -> Any:
    torch.manual_seed(3)
    model = tiny_model(vocab_size=VOCAB_SIZE, dropout=dropout).float()
    adapt(model, LoraOptions(rank=2, dropout=0.2))
    return model


def test_checkpoints_hold_adapters_and_one_file_of_all_else(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, make_model=small, max_steps=3, checkpoint_every=1, ema_decay=0.9)
    trainer.run()
    paths = [checkpoint_path(tmp_path / "checkpoints", step) for step in (1, 2, 3)]
    parts = {name: [path / name for path in paths] for name in ("0-frozen.safetensors", "0-weights.safetensors")}
    assert len({path.stat().st_ino for path in parts["0-frozen.safetensors"]}) == 1
    assert all(".lora_" in name for name in load_file(parts["0-weights.safetensors"][0]))
    assert all(".lora_" in name for name in load_file(paths[0] / "2-averages.safetensors"))
    assert not any(".lora_" in name for name in load_file(parts["0-frozen.safetensors"][0]))
    sizes = [path.stat().st_size for path in parts["0-weights.safetensors"]]
    assert sizes[0] < parts["0-frozen.safetensors"][0].stat().st_size / 2


def test_what_is_exported_is_a_plain_model_that_computes_the_same(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, make_model=small, max_steps=3, ema_decay=0.9, validation_rows=None)
    trainer.run()
    weights = exported_weights(checkpoint_path(tmp_path / "checkpoints", 3))
    plain = tiny_model(vocab_size=VOCAB_SIZE).float()
    plain.load_state_dict(weights)
    pairs = random_pairs(VOCAB_SIZE)
    model: Seq2SeqTransformer = trainer.model.eval()  # type: ignore[assignment]
    assert trainer.ema is not None
    with trainer.ema.applied():
        expected = model.teacher_forced(*pairs)
    assert (plain.teacher_forced(*pairs) - expected).abs().max() < 1e-6 * expected.abs().max()
    start = small(0.0).state_dict()
    assert all(torch.equal(tensor, start[name]) for name, tensor in model.state_dict().items() if "lora_" not in name)


def test_a_file_of_frozen_weights_that_is_gone_is_written_again(tmp_path: Path) -> None:
    options: Any = {"make_model": small, "checkpoint_every": 1}
    make_trainer(tmp_path, max_steps=1, **options).run()
    trainer = make_trainer(tmp_path, max_steps=2, **options)
    (first := checkpoint_path(tmp_path / "checkpoints", 1) / "0-frozen.safetensors").read_bytes()
    save, before = trainer.checkpoints.save, first.read_bytes()

    def save_without(state: Any, **others: Any) -> Path:
        first.unlink(missing_ok=True)
        return save(state, **others)

    trainer.checkpoints.save = save_without  # type: ignore[method-assign]
    trainer.run()
    assert (checkpoint_path(tmp_path / "checkpoints", 2) / "0-frozen.safetensors").read_bytes() == before
