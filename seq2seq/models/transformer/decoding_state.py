"""What `Seq2SeqTransformer` remembers between steps.

Keys and values of the source are held once per sentence. Those of the target are written once, each into a slot of its
sentence, and `ancestry` says which slots a hypothesis descends from; attention reads all slots of a sentence, and the
ancestry hides those of others. So choosing hypotheses moves a small table instead of the cache, and what they have in
common is stored once. Slots that no hypothesis descends from any more are cleared out now and then.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from seq2seq.models.transformer.attention import MASKED, KeysValues

STEPS_BETWEEN_CLEARINGS = 8
"""How often slots without descendants are counted, which waits for the device."""

CAPACITY_MULTIPLE = 32


def room_for(num_slots: int) -> int:
    """Return the capacity of a buffer that is to hold so many slots: a quarter more, and one of few."""
    return math.ceil(1.25 * num_slots / CAPACITY_MULTIPLE) * CAPACITY_MULTIPLE


class KeyValueBuffer:
    """Keys and values of B sentences in buffers with room for more slots: [B, H, K, capacity] and [B, H, capacity, V].

    What one head reads lies together, and keys as their product with queries wants them: laid out by position, products
    took two to three times as long on a CPU. Attention reads the buffers whole, slots not yet written as zeros that its
    bias hides: of a part of a buffer every product would make a copy, and kernels for each length anew.

    Args:
        dtype: what is kept is rounded to it.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.num_slots = 0
        self._keys = self._values = torch.empty(0, 0, 0, 0, dtype=dtype)

    def capacity_after(self, num_slots: int) -> int:
        """Return how many slots there are room for once so many more are appended."""
        end, capacity = self.num_slots + num_slots, self._values.shape[2]
        return capacity if end <= capacity else room_for(end)

    def append(self, keys: Tensor, values: Tensor) -> KeysValues:
        """Write into W more slots; return all, as views [B, H, capacity, K or V].

        Args:
            keys: [B, H, W, K].
            values: [B, H, W, V].
        """
        keys, values = keys.to(self.dtype).transpose(-2, -1), values.to(self.dtype)
        capacity = self.capacity_after(values.shape[2])
        if capacity > self._values.shape[2]:
            used = self._used() if self.num_slots else (keys[..., :0], values[:, :, :0])
            self._keep(*used, capacity)
        start, end = self.num_slots, self.num_slots + values.shape[2]
        self._keys[..., start:end] = keys
        self._values[:, :, start:end] = values
        self.num_slots = end
        return self._keys.transpose(-2, -1), self._values

    def of_sentences(self, sentences: Tensor) -> "KeyValueBuffer":
        """Return a copy that holds the given sentences, int64 [B']; `self` stays as it is."""
        copy = KeyValueBuffer(self.dtype)
        if self.num_slots == 0:
            return copy
        copy._keys, copy._values = self._keys.index_select(0, sentences), self._values.index_select(0, sentences)
        copy.num_slots = self.num_slots
        return copy

    def of_slots(self, slots: Tensor) -> "KeyValueBuffer":
        """Return a copy that holds the given slots of each sentence, int64 [B, slots']; `self` stays as it is."""
        keys, values = self._used()
        keys = keys.gather(3, slots[:, None, None, :].expand(*keys.shape[:3], -1))
        values = values.gather(2, slots[:, None, :, None].expand(*values.shape[:2], -1, values.shape[3]))
        return KeyValueBuffer(self.dtype)._keep(keys, values, room_for(slots.shape[1]))

    def _used(self) -> tuple[Tensor, Tensor]:
        """Return keys [B, H, K, slots] and values [B, H, slots, V] so far."""
        return self._keys[..., : self.num_slots], self._values[:, :, : self.num_slots]

    def _keep(self, keys: Tensor, values: Tensor, capacity: int) -> "KeyValueBuffer":
        """Hold these slots in buffers of this capacity; return self."""
        self.num_slots = values.shape[2]
        self._keys = keys.new_zeros(*keys.shape[:3], capacity)
        self._values = values.new_zeros(*values.shape[:2], capacity, values.shape[3])
        self._keys[..., : self.num_slots] = keys
        self._values[:, :, : self.num_slots] = values
        return self


def laid_out(part: KeysValues, dtype: torch.dtype) -> KeysValues:
    """Return keys and values of the source in the order in which a buffer holds them."""
    keys, values = part
    return keys.to(dtype).transpose(-2, -1).contiguous().transpose(-2, -1), values.to(dtype).contiguous()


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
    """bool [B, W, slots], whether a hypothesis descends from a slot; None where every slot is every hypothesis's."""
    length: int = 0
    """Tokens fed so far."""
    side: int = 0
    """The end of the target that all hypotheses began at: 0 left, 1 right."""
    slot_steps: Tensor | None = None
    """int64 [1 or B, slots], the step in which each slot was written, for a model that looks at distances."""

    @property
    def num_sentences(self) -> int:
        return self.source[0][0].shape[0]

    def lengthen(self, like: Tensor, new_slots: Tensor | None = None) -> Tensor:
        """Make room for one more token of each hypothesis; return the bias [B, 1, W, capacity] of its attention.

        Args:
            like: gives type and device.
            new_slots: bool, broadcasts to [B, W, W]: which of the new slots a hypothesis sees; by default its own.
        """
        self.length += 1
        if self.slot_steps is not None:
            added = self.slot_steps.new_full((len(self.slot_steps), self.width), self.length - 1)
            self.slot_steps = torch.cat([self.slot_steps, added], dim=1)
        num_slots = self.buffers[0].num_slots
        if self.width == 1 and self.ancestry is None:
            bias = like.new_full((1, 1, 1, self.buffers[0].capacity_after(1)), MASKED)
            bias[..., : num_slots + 1] = 0
            return bias
        if new_slots is None:
            new_slots = torch.eye(self.width, dtype=torch.bool, device=like.device)
        new_slots = new_slots.expand(self.num_sentences, -1, -1)
        earlier = self.ancestry
        if earlier is None:
            earlier = new_slots.new_ones(self.num_sentences, self.width, num_slots)
        self.ancestry = torch.cat([earlier, new_slots], dim=2)
        return self.bias_of(self.ancestry, like)

    def bias_of(self, ancestry: Tensor, like: Tensor) -> Tensor:
        """Return the bias [B, 1, W, capacity] that shows the slots of a table [B, W, slots], new ones included."""
        capacity = self.buffers[0].capacity_after(ancestry.shape[2] - self.buffers[0].num_slots)
        bias = like.new_full((len(ancestry), 1, ancestry.shape[1], capacity), MASKED)
        bias[..., : ancestry.shape[2]].masked_fill_(ancestry.unsqueeze(1), 0)
        return bias

    def key_steps(self) -> Tensor | None:
        """Return the steps of all keys that attention reads, int64 [1 or B, capacity], those of this step included."""
        if self.slot_steps is None:
            return None
        num_slots = self.slot_steps.shape[1]
        capacity = self.buffers[0].capacity_after(num_slots - self.buffers[0].num_slots)
        return functional.pad(self.slot_steps, (0, capacity - num_slots))

    def reorder(self, beams: Tensor | None, sentences: Tensor | None) -> "DecodingState":
        """Return the state of the chosen hypotheses and sentences (see `Seq2Seq.reorder`)."""
        state = self if sentences is None else self._of_sentences(sentences)
        if beams is not None:
            state = state._of_beams(beams)
        is_due = self.length % STEPS_BETWEEN_CLEARINGS == 0
        return state._cleared() if is_due else state

    def _of_sentences(self, sentences: Tensor) -> "DecodingState":
        def chosen(part: Tensor | None) -> Tensor | None:
            return None if part is None else part.index_select(0, sentences)

        return replace(
            self,
            source=[
                (keys.index_select(0, sentences), values.index_select(0, sentences)) for keys, values in self.source
            ],
            source_bias=chosen(self.source_bias),
            buffers=[buffer.of_sentences(sentences) for buffer in self.buffers],
            ancestry=chosen(self.ancestry),
            slot_steps=self.slot_steps if self._has_common_steps else chosen(self.slot_steps),
        )

    @property
    def _has_common_steps(self) -> bool:
        """Whether the slots of all sentences were written in the same steps, if that is known at all."""
        return self.slot_steps is None or len(self.slot_steps) == 1

    def _of_beams(self, beams: Tensor) -> "DecodingState":
        """Hypotheses change their ancestors; what is cached stays where it is."""
        ancestry = self.ancestry
        if ancestry is not None:
            ancestry = ancestry.gather(1, beams[:, :, None].expand(-1, -1, ancestry.shape[2]))
        return replace(self, width=beams.shape[1], ancestry=ancestry)

    def _cleared(self) -> "DecodingState":
        """Return the state without slots from which no hypothesis descends, if they are half or more of all."""
        if self.ancestry is None:
            return self
        used = self.ancestry.any(1)
        num_used = int(used.sum(1).max())
        if 2 * num_used > used.shape[1]:
            return self
        # A sentence that uses fewer keeps some unused ones, which its ancestry hides.
        slots = used.byte().argsort(dim=1, descending=True, stable=True)[:, :num_used]
        ancestry = self.ancestry.gather(2, slots[:, None, :].expand(-1, self.width, -1))
        steps = self.slot_steps
        if steps is not None:
            steps = steps.expand(len(slots), -1).gather(1, slots)
        buffers = [buffer.of_slots(slots) for buffer in self.buffers]
        return replace(self, ancestry=ancestry, buffers=buffers, slot_steps=steps)
