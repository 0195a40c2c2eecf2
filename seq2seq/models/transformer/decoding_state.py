"""What `Seq2SeqTransformer` remembers between steps.

Keys and values of the source are held once per sentence, those of the target once per hypothesis in buffers that grow
by doubling, so that a step writes one position and copies nothing. Choosing hypotheses copies only what is in use.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from seq2seq.models.transformer.attention import KeysValues

SMALLEST_BUFFER = 16


class KeyValueBuffer:
    """Keys and values of R hypotheses, in buffers [capacity, R, H, K or V] with room for more positions.

    Time comes first: what is in use is one block of memory, so that appending writes one slice and choosing rows
    copies no unused room.
    """

    def __init__(self) -> None:
        self.length = 0
        self._buffers: list[Tensor] = []

    def append(self, keys: Tensor, values: Tensor) -> KeysValues:
        """Write new positions behind the others; return all keys and values so far, as views.

        Args:
            keys: [R, H, T, K].
            values: [R, H, T, V].
        """
        new = [part.permute(2, 0, 1, 3) for part in (keys, values)]
        start, end = self.length, self.length + keys.shape[2]
        if not self._buffers or end > self._buffers[0].shape[0]:
            self._grow(new, max(SMALLEST_BUFFER, 1 << (end - 1).bit_length()))
        for buffer, part in zip(self._buffers, new, strict=True):
            buffer[start:end] = part
        self.length = end
        all_keys, all_values = (buffer[:end].permute(1, 2, 0, 3) for buffer in self._buffers)
        return all_keys, all_values

    def select(self, rows: Tensor) -> "KeyValueBuffer":
        """Return a copy that holds the given rows; `self` stays as it is."""
        chosen = KeyValueBuffer()
        chosen.length = self.length
        for buffer in self._buffers:
            copy = buffer.new_empty(buffer.shape[0], rows.shape[0], *buffer.shape[2:])
            torch.index_select(buffer[: self.length], 1, rows, out=copy[: self.length])
            chosen._buffers.append(copy)
        return chosen

    def _grow(self, like: list[Tensor], capacity: int) -> None:
        grown = [part.new_empty(capacity, *part.shape[1:]) for part in like]
        for buffer, room in zip(self._buffers, grown, strict=False):
            room[: self.length] = buffer[: self.length]
        self._buffers = grown


@dataclass
class DecodingState:
    """The state of B sentences with W hypotheses each; row b*W + w of a buffer is hypothesis (b, w)."""

    source: list[KeysValues]
    """Per layer: keys [B, H, S, K] and values [B, H, S, V] of the encoder's output."""
    source_bias: Tensor | None
    """[B, 1, 1, S]"""
    buffers: list[KeyValueBuffer]
    """Per layer: keys and values of the tokens fed so far."""
    width: int
    """W"""
    cross_queries: Tensor | None = None
    """[B, H, W, K]: the last layer's queries of the latest step, from which its attention can be had on demand."""

    @property
    def num_sentences(self) -> int:
        return self.source[0][0].shape[0]

    @property
    def length(self) -> int:
        """Tokens fed so far."""
        return self.buffers[0].length

    def reorder(self, beams: Tensor | None, sentences: Tensor | None) -> "DecodingState":
        """Return the state of the chosen hypotheses and sentences (see `Seq2Seq.reorder`); `self` stays valid."""
        source, bias, queries = self.source, self.source_bias, self.cross_queries
        device = source[0][0].device
        if sentences is not None:
            source = [(keys.index_select(0, sentences), values.index_select(0, sentences)) for keys, values in source]
            bias = None if bias is None else bias.index_select(0, sentences)
            queries = None if queries is None else queries.index_select(0, sentences)
        else:
            sentences = torch.arange(self.num_sentences, device=device)
        if beams is None:
            beams = torch.arange(self.width, device=device).expand(sentences.shape[0], -1)
        elif queries is not None:
            queries = queries.take_along_dim(beams[:, None, :, None], dim=2)
        rows = (sentences[:, None] * self.width + beams).flatten()
        buffers = [buffer.select(rows) for buffer in self.buffers]
        return DecodingState(source, bias, buffers, beams.shape[1], queries)
