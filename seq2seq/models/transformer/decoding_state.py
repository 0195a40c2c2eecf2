"""What `Seq2SeqTransformer` remembers between steps.

Keys and values of the source are held once per sentence. Those of the target are written once and not moved while
hypotheses compete: each position of a sentence has one slot per hypothesis, and `ancestry` says which slot of each
position a hypothesis descends from. Attention reads all slots of a sentence, and the ancestry hides those of others. So
choosing hypotheses moves a small table instead of the cache, whose copies cost as much time as attention itself.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seq2seq.models.transformer.attention import KeysValues, attention_bias

SMALLEST_BUFFER = 16


class KeyValueBuffer:
    """Keys and values of B sentences, in buffers [B, capacity, W, H, K or V] with room for more positions."""

    def __init__(self) -> None:
        self.length = 0
        self._buffers: list[Tensor] = []

    def append(self, keys: Tensor, values: Tensor) -> KeysValues:
        """Write one position behind the others; return all so far, as views [B, H, length*W, K or V].

        Args:
            keys: [B, H, W, K].
            values: [B, H, W, V].
        """
        new = [part.transpose(1, 2) for part in (keys, values)]
        if not self._buffers or self.length == self._buffers[0].shape[1]:
            self._grow(new, max(SMALLEST_BUFFER, 2 * self.length))
        for buffer, part in zip(self._buffers, new, strict=True):
            buffer[:, self.length] = part
        self.length += 1
        all_keys, all_values = (buffer[:, : self.length].flatten(1, 2).transpose(1, 2) for buffer in self._buffers)
        return all_keys, all_values

    def select(self, sentences: Tensor, slots: Tensor | None = None) -> "KeyValueBuffer":
        """Return a copy that holds the given sentences; `self` stays as it is.

        Args:
            sentences: int64 [B'].
            slots: int64 [B', length, W'], for each slot of the copy the one of its sentence and position that it holds;
                by default all stay.
        """
        chosen = KeyValueBuffer()
        chosen.length = self.length
        for buffer in self._buffers:
            used = buffer[sentences, : self.length]
            if slots is not None:
                used = used.take_along_dim(slots[..., None, None], dim=2)
            copy = used.new_empty(used.shape[0], buffer.shape[1], *used.shape[2:])
            copy[:, : self.length] = used
            chosen._buffers.append(copy)
        return chosen

    def _grow(self, like: list[Tensor], capacity: int) -> None:
        grown = [part.new_empty(part.shape[0], capacity, *part.shape[1:]) for part in like]
        for buffer, room in zip(self._buffers, grown, strict=False):
            room[:, : self.length] = buffer
        self._buffers = grown


@dataclass
class DecodingState:
    """The state of B sentences with W hypotheses each."""

    source: list[KeysValues]
    """Per layer: keys [B, H, S, K] and values [B, H, S, V] of the encoder's output."""
    source_bias: Tensor | None
    """[B, 1, 1, S]"""
    buffers: list[KeyValueBuffer]
    """Per layer: keys and values of the tokens fed so far."""
    width: int
    """W"""
    ancestry: Tensor | None = None
    """bool [B, W, length, W], whether hypothesis (b, w) descends from a slot of a position; None for W = 1, where the
    only slot is everyone's."""
    cross_queries: Tensor | None = None
    """[B, H, W, K]: the last layer's queries of the latest step, from which its attention can be had on demand."""

    @property
    def num_sentences(self) -> int:
        return self.source[0][0].shape[0]

    @property
    def length(self) -> int:
        """Tokens fed so far."""
        return self.buffers[0].length

    def lengthen_ancestry(self, like: Tensor) -> Tensor | None:
        """Let each hypothesis descend from its own slot of the next position; return the bias [B, 1, W, length*W]."""
        if self.width == 1:
            return None
        own = _own_slots(self.num_sentences, 1, self.width, like.device)
        self.ancestry = own if self.ancestry is None else torch.cat([self.ancestry, own], dim=2)
        return attention_bias(self.ancestry.flatten(2).unsqueeze(1), like.dtype)

    def reorder(self, beams: Tensor | None, sentences: Tensor | None) -> "DecodingState":
        """Return the state of the chosen hypotheses and sentences (see `Seq2Seq.reorder`)."""
        state = self if sentences is None else self._of_sentences(sentences)
        if beams is None:
            return state
        state = state._of_beams(beams) if beams.shape[1] == self.width else state._of_width(beams)
        if self.cross_queries is not None and state.cross_queries is not None:
            state.cross_queries = state.cross_queries.take_along_dim(beams[:, None, :, None], dim=2)
        return state

    def _of_sentences(self, sentences: Tensor) -> "DecodingState":
        def chosen(part: Tensor | None) -> Tensor | None:
            return None if part is None else part.index_select(0, sentences)

        source = [(keys.index_select(0, sentences), values.index_select(0, sentences)) for keys, values in self.source]
        buffers = [buffer.select(sentences) for buffer in self.buffers]
        bias, ancestry, queries = chosen(self.source_bias), chosen(self.ancestry), chosen(self.cross_queries)
        return DecodingState(source, bias, buffers, self.width, ancestry, queries)

    def _of_beams(self, beams: Tensor) -> "DecodingState":
        """Hypotheses change their ancestors; what is cached stays where it is."""
        if self.ancestry is None:
            return replace(self)
        return replace(self, ancestry=self.ancestry.take_along_dim(beams[:, :, None, None], dim=1))

    def _of_width(self, beams: Tensor) -> "DecodingState":
        """Another number of hypotheses needs another number of slots: each gets its whole past in its own ones."""
        num_sentences, width = beams.shape
        if self.ancestry is None:
            slots = beams.new_zeros(num_sentences, self.length, width)
        else:
            slots_of_all = self.ancestry.byte().argmax(-1)  # [B, W, length]
            slots = slots_of_all.take_along_dim(beams[:, :, None], dim=1).transpose(1, 2)
        everyone = torch.arange(num_sentences, device=beams.device)
        buffers = [buffer.select(everyone, slots) for buffer in self.buffers]
        ancestry = None if width == 1 else _own_slots(num_sentences, self.length, width, beams.device)
        return replace(self, buffers=buffers, width=width, ancestry=ancestry)


def _own_slots(num_sentences: int, length: int, width: int, device: torch.device) -> Tensor:
    """Return the ancestry of hypotheses that each have a slot of their own, bool [B, W, length, W]."""
    own = torch.eye(width, dtype=torch.bool, device=device)[None, :, None, :]
    return own.expand(num_sentences, width, length, width)
