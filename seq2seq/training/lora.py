"""A training of adapters: which weights get them, and what else is trained."""

import re
from dataclasses import dataclass

from torch import nn

from seq2seq.config.declaring import refuse_unused
from seq2seq.models.transformer.adapters import Targets, add_adapters
from seq2seq.training.freezing import GROUPS, check_groups

STARTS_AFRESH = r".*\.(sides|interaction)\..*"
"""What another order of generation adds to a model, at 0: with these weights frozen it would never come to be."""


@dataclass(frozen=True)
class LoraOptions:
    """Low-rank adapters (LoRA, Hu et al. 2022) beside the weights of a trained model, which stay as they are; made by
    peft. The exported model has them merged into its weights.

    Raises:
        ValueError: an option is out of range, or would do nothing.
    """

    rank: int = 0
    """Rank of the adapters; 0 = none: all weights are trained."""
    alpha: float = 32.0
    """What the adapters add counts alpha / rank times."""
    dropout: float = 0.0
    """Dropout of what enters the adapters."""
    targets: Targets = "all_linear"
    """Which linear layers have one: all in the layers of both stacks, or those of attention or of the feed-forward
    networks."""
    also_train: tuple[str, ...] = ()
    """Groups, as of `training.freeze`, that are trained as they are beside the adapters, such as `embeddings` for new
    tokens, or `norms`."""

    def __post_init__(self) -> None:
        if self.rank < 0:
            raise ValueError(f"`rank` must be 0 or more, but is {self.rank}.")
        refuse_unused(self, ("alpha", "dropout", "targets", "also_train"), "rank: 1 or more", applies=self.rank > 0)
        if self.alpha <= 0:
            raise ValueError(f"`alpha` must be positive, but is {self.alpha}.")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"`dropout` must be at least 0 and below 1, but is {self.dropout}.")
        check_groups(self.also_train, "also_train")


def adapt(model: nn.Module, options: LoraOptions) -> None:
    """Put adapters into a model and freeze the rest, but for what is to be trained besides; without a rank, nothing.

    Raises:
        ValueError: peft is not installed, or the model has nothing of a group.
    """
    if not options.rank:
        return
    named = dict(model.named_parameters(remove_duplicate=False))
    add_adapters(model, rank=options.rank, alpha=options.alpha, dropout=options.dropout, targets=options.targets)
    for group in options.also_train:
        if not any(re.fullmatch(GROUPS[group], name) for name in named):
            raise ValueError(f"The model has no parameters for `also_train: [{group}]`; leave it out.")
    patterns = [STARTS_AFRESH, *(GROUPS[group] for group in options.also_train)]
    for name, parameter in named.items():
        if any(re.fullmatch(pattern, name) for pattern in patterns):
            parameter.requires_grad_(True)
