"""Training and evaluation mode of a model."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Hold the model in evaluation mode while the block lasts."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
