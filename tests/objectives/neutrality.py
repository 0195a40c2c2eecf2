"""What an objective does to a model: for tests that two of them do the same to the last bit."""

import torch
from torch import Tensor

from seq2seq.objectives.base import Objective
from seq2seq.objectives.cross_entropy import CrossEntropy
from tests.training.fakes import TinyModel, make_batch


def effects(objective: Objective, seed: int = 5) -> dict[str, Tensor]:
    """Return loss, weight, logs, gradients and the state of torch's generator after one backward with dropout."""
    model, batch = TinyModel(dropout=0.3).train(), make_batch([0, 1, 2, 3, 4])
    torch.manual_seed(seed)
    loss = objective(model, batch, step=1)
    loss.loss_sum.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    sums = {"loss_sum": loss.loss_sum.detach(), "weight": loss.weight, **loss.logs}
    return sums | gradients | {"generator": torch.get_rng_state()}


def assert_is_cross_entropy(objective: Objective, label_smoothing: float) -> None:
    """Compare all effects with those of plain cross-entropy, bit by bit."""
    found, expected = effects(objective), effects(CrossEntropy(label_smoothing=label_smoothing))
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name
