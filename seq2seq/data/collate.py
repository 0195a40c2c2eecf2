"""Token ids of some rows become the tensors of one micro-batch.

Lists of ids of different lengths enter, a `Batch` padded on the right leaves.
"""

from collections.abc import Sequence
from itertools import chain

import numpy
import torch
from torch import Tensor

from seq2seq.data.batch import IGNORED_LABEL, Batch
from seq2seq.data.generation_order import TargetRows


def pad_right(sequences: Sequence[Sequence[int]], pad_id: int, multiple: int = 1) -> tuple[Tensor, Tensor]:
    """Return int64 [B, longest] with `pad_id` behind each sequence, and bool [B, longest], True = real.

    Args:
        multiple: of which the length should be one.
    """
    lengths = numpy.fromiter(map(len, sequences), dtype=numpy.int64, count=len(sequences))
    mask = numpy.arange(-(-lengths.max(initial=0) // multiple) * multiple) < lengths[:, None]
    padded = numpy.full(mask.shape, pad_id, dtype=numpy.int64)
    padded[mask] = numpy.fromiter(chain.from_iterable(sequences), dtype=numpy.int64, count=int(lengths.sum()))
    return torch.from_numpy(padded), torch.from_numpy(mask)


def collate(
    source_ids: Sequence[Sequence[int]],
    targets: TargetRows,
    rows: Sequence[int] | numpy.ndarray,
    *,
    source_pad_id: int,
    target_pad_id: int,
    decoder_start_id: int,
) -> Batch:
    """Return the batch of these pairs.

    Args:
        targets: rows that end with end of sentence and have nothing in front.
        rows: each pair's number in its corpus.
    """
    input_ids, attention_mask = pad_right(source_ids, source_pad_id)
    ids, mask = pad_right(targets.ids, target_pad_id, targets.num_starts)
    starts = ids.new_full((len(ids), targets.num_starts), decoder_start_id)
    is_scored = mask if targets.is_scored is None else mask & torch.tensor(targets.is_scored).unsqueeze(1)
    return Batch(
        input_ids=input_ids,
        attention_mask=attention_mask,
        decoder_input_ids=torch.cat([starts, ids[:, : -targets.num_starts]], dim=1),
        labels=ids.masked_fill(~is_scored, IGNORED_LABEL),
        rows=torch.as_tensor(numpy.asarray(rows, dtype=numpy.int64)),
        sides=None if targets.sides is None else torch.tensor(targets.sides),
        visible=None if targets.is_visible is None else mask & torch.tensor(targets.is_visible).unsqueeze(1),
    )
