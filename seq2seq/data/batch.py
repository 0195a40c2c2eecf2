"""The tensors of one micro-batch, and the shape legend of the whole toolkit.

Shape letters, everywhere: `B` batch, `S` source length, `T` target length, `D` model width, `F` feed-forward width,
`H` heads, `K` size of one head, `V` vocabulary, `W` beam width, `N` candidates per source, `L` layers.
Masks are True where a token is real and may be attended.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

IGNORED_LABEL = -100


@dataclass(frozen=True)
class Batch:
    """Pairs padded on the right.

    `decoder_input_ids` are the labels shifted right behind the decoder's start token, so position t predicts
    `labels[:, t]`; labels end with end of sentence and hold `IGNORED_LABEL` on padding.
    """

    input_ids: Tensor
    """int64 [B, S]"""
    attention_mask: Tensor
    """bool [B, S]"""
    decoder_input_ids: Tensor
    """int64 [B, T]"""
    labels: Tensor
    """int64 [B, T]"""
    rows: Tensor
    """int64 [B], each pair's number in its corpus"""

    def __post_init__(self) -> None:
        num_pairs, source_length = self.input_ids.shape
        assert self.attention_mask.shape == (num_pairs, source_length), "attention_mask must be [B, S]"
        assert self.attention_mask.dtype == torch.bool, "attention_mask must be boolean, True = real"
        assert self.decoder_input_ids.shape == self.labels.shape, "decoder_input_ids and labels must both be [B, T]"
        assert self.labels.shape[0] == num_pairs == self.rows.shape[0], "all tensors must have the same B"

    def __len__(self) -> int:
        return self.input_ids.shape[0]

    @property
    def num_target_tokens(self) -> int:
        """Tokens that are predicted: padding is not counted, end of sentence is."""
        return int((self.labels != IGNORED_LABEL).sum())

    @property
    def num_slots(self) -> int:
        """Source and target positions, padding included: what `batch_tokens` limits."""
        return self.input_ids.numel() + self.labels.numel()

    def model_inputs(self) -> dict[str, Tensor]:
        """Return the keyword arguments of a teacher-forced forward."""
        names = ("input_ids", "attention_mask", "decoder_input_ids")
        return {name: getattr(self, name) for name in names}

    def to(self, device: torch.device | str) -> "Batch":
        return Batch(**{f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)})
