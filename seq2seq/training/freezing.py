"""Weights that stay as they are: groups of a model's parameters, by what users call them.

A model enters; the parameters of the named groups need no gradient any more, so that no optimizer, average or
gradient rule sees them. A tensor that several modules share is frozen where any of them is.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

GROUPS = {
    "embeddings": r"(encoder|decoder)\.embeddings\..*",
    "output_layer": r"lm_head\..*",
    "encoder": r"encoder\..*",
    "decoder": r"decoder\..*",
    "self_attention": r"(encoder|decoder)\.layers\.\d+\.self_attention\..*",
    "cross_attention": r"decoder\.layers\.\d+\.cross_attention\..*",
    "feed_forward": r"(encoder|decoder)\.layers\.\d+\.feed_forward\..*",
    "norms": r"(.*\.)?norm\..*",
    "biases": r"(.*\.)?bias",
}
"""Each group, and the whole names of the parameters in it."""


class Counts(NamedTuple):
    """Numbers of a model."""

    trained: int
    all: int

    @classmethod
    def of(cls, model: nn.Module) -> "Counts":
        parameters = list(model.parameters())
        return cls(sum(p.numel() for p in parameters if p.requires_grad), sum(p.numel() for p in parameters))

    def __str__(self) -> str:
        if self.trained == self.all:
            return f"{self.all:,} parameters"
        return f"{self.all:,} parameters, {self.trained:,} of them ({self.trained / self.all:.1%}) in training"


def check_groups(groups: Sequence[str], option: str) -> None:
    """Raise ValueError for a group that there is not, or that is named twice."""
    for group in groups:
        if group not in GROUPS:
            raise ValueError(f"`{option}` takes {', '.join(GROUPS)}, but not {group!r}.")
        if groups.count(group) > 1:
            raise ValueError(f"`{option}` names {group!r} twice.")


def freeze(model: nn.Module, groups: Sequence[str], *, encoder_layers: int = 0, decoder_layers: int = 0) -> None:
    """Freeze groups of parameters.

    Args:
        groups: names of `GROUPS`.
        encoder_layers, decoder_layers: so many of a stack's first layers are frozen besides; what is before and behind
            the layers is not.

    Raises:
        ValueError: the model has nothing of what is to be frozen, or nothing else.
    """
    wanted = {f"`freeze: [{group}]`": GROUPS[group] for group in groups}
    for stack, count in (("encoder", encoder_layers), ("decoder", decoder_layers)):
        for layer in range(count):
            wanted[f"layer {layer + 1} of `freeze_{stack}_layers`"] = rf"{stack}\.layers\.{layer}\..*"
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for what, pattern in wanted.items():
        found = [parameter for name, parameter in parameters.items() if re.fullmatch(pattern, name)]
        if not found:
            raise ValueError(f"The model has no parameters for {what}; leave it out.")
        for parameter in found:
            parameter.requires_grad_(False)
    if wanted and not Counts.of(model).trained:
        raise ValueError(f"Nothing is left to train: {', '.join(wanted)} freeze all of the model. Leave something out.")
