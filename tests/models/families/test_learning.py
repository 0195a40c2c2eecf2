from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq.models.loading import load_model
from seq2seq.models.transformer import Seq2SeqTransformer
from seq2seq.objectives.functional import label_smoothed_nll
from seq2seq.training.optimizer import build_optimizer
from tests.models.families.test_tables import saved
from tests.models.families.tiny_families import FAMILIES, random_batch, use_double_norms


@pytest.mark.parametrize("name", FAMILIES)
def test_fifty_steps_have_the_losses_of_transformers(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without dropout, under the same optimizer; ours has the loss that trains, by blocks of real rows."""
    use_double_norms(monkeypatch)
    theirs, ours = saved(name, tmp_path), load_model(tmp_path, trainable=True)
    assert isinstance(ours, Seq2SeqTransformer)
    options: dict[str, Any] = {
        "name": "adamw",
        "learning_rate": 1e-3,
        "betas": (0.9, 0.999),
        "epsilon": 1e-8,
        "weight_decay": 0.0,
    }
    optimizers = [build_optimizer(model, **options) for model in (theirs, ours)]
    for _ in range(50):
        batch = random_batch(theirs)
        expected = theirs(**batch).loss
        labels = batch.pop("labels")
        sums = ours(**batch, score=partial(label_smoothed_nll, labels=labels, label_smoothing=0.0)).loss
        found = sums.loss_sum / labels.numel()
        assert found.item() == pytest.approx(expected.item(), abs=1e-5)
        for loss, optimizer in zip((expected, found), optimizers, strict=True):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert torch.isfinite(found)
