"""Token ids of some rows become the tensors of one micro-batch.

Lists of ids of different lengths enter, a `Batch` padded on the right leaves.
"""

from collections.abc import Sequence
from itertools import chain

import numpy
import torch
from torch import Tensor

from seq2seq.data.batch import IGNORED_LABEL, Batch


def pad_right(sequences: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Return int64 [B, longest] with `pad_id` behind each sequence, and bool [B, longest], True = real."""
    lengths = numpy.fromiter(map(len, sequences), dtype=numpy.int64, count=len(sequences))
    mask = numpy.arange(lengths.max(initial=0)) < lengths[:, None]
    padded = numpy.full(mask.shape, pad_id, dtype=numpy.int64)
    padded[mask] = numpy.fromiter(chain.from_iterable(sequences), dtype=numpy.int64, count=int(lengths.sum()))
    return torch.from_numpy(padded), torch.from_numpy(mask)


def collate(
    source_ids: Sequence[Sequence[int]],
    target_ids: Sequence[Sequence[int]],
    rows: Sequence[int] | numpy.ndarray,
    *,
    source_pad_id: int,
    target_pad_id: int,
    decoder_start_id: int,
) -> Batch:
    """Return the batch of these pairs; targets end with end of sentence and have nothing in front.

    Args:
        rows: each pair's number in its corpus.
    """
    input_ids, attention_mask = pad_right(source_ids, source_pad_id)
    targets, target_mask = pad_right(target_ids, target_pad_id)
    start = targets.new_full((len(targets), 1), decoder_start_id)
    return Batch(
        input_ids=input_ids,
        attention_mask=attention_mask,
        decoder_input_ids=torch.cat([start, targets[:, :-1]], dim=1),
        labels=targets.masked_fill(~target_mask, IGNORED_LABEL),
        rows=torch.as_tensor(numpy.asarray(rows, dtype=numpy.int64)),
    )
