"""Token ids of some rows become the tensors of one micro-batch.

Rows of ids of different lengths enter, a `Batch` padded on the right leaves.
"""

from collections.abc import Sequence

import numpy
import torch
from torch import Tensor

from seq2seq.data.batch import IGNORED_LABEL, Batch
from seq2seq.data.generation_order import TargetRows
from seq2seq.data.sequences import Order, Sequences


def pad_right(sequences: Sequence[Sequence[int]], pad_id: int, multiple: int = 1) -> tuple[Tensor, Tensor]:
    """Return int64 [B, longest] with `pad_id` behind each sequence, and bool [B, longest], True = real.

    Args:
        multiple: of which the length should be one.
    """
    return _tensors(Sequences.of(sequences), pad_id, multiple)


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
    input_ids, attention_mask = _tensors(source_ids, source_pad_id)
    ids, mask = _tensors(targets.ids, target_pad_id, targets.num_starts, targets.order)
    starts = ids.new_full((len(ids), targets.num_starts), decoder_start_id)
    is_scored = mask if targets.is_scored is None else mask & torch.from_numpy(targets.is_scored).unsqueeze(1)
    return Batch(
        input_ids=input_ids,
        attention_mask=attention_mask,
        decoder_input_ids=torch.cat([starts, ids[:, : -targets.num_starts]], dim=1),
        labels=ids.masked_fill(~is_scored, IGNORED_LABEL),
        rows=torch.as_tensor(numpy.asarray(rows, dtype=numpy.int64)),
        sides=None if targets.sides is None else torch.from_numpy(targets.sides),
        visible=None if targets.is_visible is None else mask & torch.from_numpy(targets.is_visible).unsqueeze(1),
    )


def _tensors(ids: Sequences, pad_id: int, multiple: int = 1, order: Order | None = None) -> tuple[Tensor, Tensor]:
    padded, mask = ids.padded(pad_id, multiple, order)
    return torch.from_numpy(padded), torch.from_numpy(mask)
