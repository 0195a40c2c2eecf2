"""Token ids of some rows become the tensors of one micro-batch.

Rows of ids of different lengths enter, a `Batch` padded on the right leaves.
"""

from collections.abc import Sequence

import numpy
import torch
from torch import Tensor

from seq2seq.data.batch import IGNORED_LABEL, Batch
from seq2seq.data.generation_order import TargetRows
from seq2seq.data.sequences import Sequences


def pad_right(sequences: Sequence[Sequence[int]], pad_id: int, multiple: int = 1) -> tuple[Tensor, Tensor]:
    """Return int64 [B, longest] with `pad_id` behind each sequence, and bool [B, longest], True = real.

    Args:
        multiple: of which the length should be one.
    """
    ids, mask = Sequences.of(sequences).padded(pad_id, multiple)
    return torch.from_numpy(ids), torch.from_numpy(mask)


def collate(
    source_ids: Sequences,
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
    input_ids, attention_mask = source_ids.padded(source_pad_id)
    num_starts = targets.num_starts
    ids, mask = targets.ids.padded(target_pad_id, num_starts, targets.order)
    decoder_input_ids = numpy.empty_like(ids)
    decoder_input_ids[:, :num_starts] = decoder_start_id
    decoder_input_ids[:, num_starts:] = ids[:, :-num_starts]
    is_scored = mask if targets.is_scored is None else mask & targets.is_scored[:, None]
    return Batch(
        input_ids=torch.from_numpy(input_ids),
        attention_mask=torch.from_numpy(attention_mask),
        decoder_input_ids=torch.from_numpy(decoder_input_ids),
        labels=torch.from_numpy(numpy.where(is_scored, ids, IGNORED_LABEL)),
        rows=torch.as_tensor(numpy.asarray(rows, dtype=numpy.int64)),
        sides=None if targets.sides is None else torch.from_numpy(targets.sides),
        visible=None if targets.is_visible is None else torch.from_numpy(mask & targets.is_visible[:, None]),
    )
