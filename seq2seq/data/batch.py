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
    """Sources with one target row each, or with as many successive rows each, padded on the right.

    `decoder_input_ids` are the labels shifted right behind the decoder's start token, so position t predicts
    `labels[:, t]`; labels end with end of sentence and hold `IGNORED_LABEL` on padding. The rows of one source may be
    its target from the left and from the right; `generation_order` says how.
    """

    input_ids: Tensor
    """int64 [B, S]"""
    attention_mask: Tensor
    """bool [B, S]"""
    decoder_input_ids: Tensor
    """int64 [B * G, T], G rows for each source, by default one"""
    labels: Tensor
    """int64 [B * G, T]"""
    rows: Tensor
    """int64 [B], each pair's number in its corpus"""
    sides: Tensor | None = None
    """int64 [B * G], the end of the target that a row begins with: 0 left, 1 right; None where all rows begin left"""
    visible: Tensor | None = None
    """bool [B * 2, T], the positions of a row that the other row of its source may attend to; None: no row attends to
    another"""
    source_perturbation: Tensor | None = None
    """floating point [B, S, D], added to the token vectors of the source; None: nothing is"""
    target_perturbation: Tensor | None = None
    """floating point [B * G, T, D], added to those of the decoder inputs"""

    def __post_init__(self) -> None:
        num_pairs, source_length = self.input_ids.shape
        assert self.attention_mask.shape == (num_pairs, source_length), "attention_mask must be [B, S]"
        assert self.attention_mask.dtype == torch.bool, "attention_mask must be boolean, True = real"
        assert self.decoder_input_ids.shape == self.labels.shape, "decoder_input_ids and labels must both be [B, T]"
        assert num_pairs == self.rows.shape[0], "input_ids and rows must have the same B"
        assert self.labels.shape[0] % num_pairs == 0, "each source must have as many target rows"
        assert self.sides is None or self.sides.shape == self.labels.shape[:1], "sides must be [B * G]"
        assert self.visible is None or self.visible.shape == self.labels.shape, "visible must be [B * G, T]"

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
        names = [f.name for f in fields(self) if f.name not in ("labels", "rows")]
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def repeated(self, times: int) -> "Batch":
        """Return a batch of all pairs, then all again, and so on; the rows of a source stay together."""
        return Batch(**{name: torch.cat([value] * times) for name, value in self._tensors().items()})

    def to(self, device: torch.device | str) -> "Batch":
        return Batch(**{name: value.to(device, non_blocking=True) for name, value in self._tensors().items()})

    def _tensors(self) -> dict[str, Tensor]:
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}
