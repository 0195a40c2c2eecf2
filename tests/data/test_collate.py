import torch

from seq2seq.data.batch import IGNORED_LABEL
from seq2seq.data.collate import collate, pad_right
from seq2seq.data.generation_order import TargetRows
from seq2seq.data.sequences import Sequences


def test_batch_written_out() -> None:
    batch = collate(
        Sequences.of([[11, 12, 2], [13, 2], [2]]), TargetRows(Sequences.of([[21, 2], [22, 23, 24, 2], [2]])), [7, 5, 3],
        source_pad_id=9, target_pad_id=0, decoder_start_id=1,
    )  # fmt: skip
    assert batch.input_ids.tolist() == [[11, 12, 2], [13, 2, 9], [2, 9, 9]]
    assert batch.attention_mask.tolist() == [[True, True, True], [True, True, False], [True, False, False]]
    assert batch.decoder_input_ids.tolist() == [[1, 21, 2, 0], [1, 22, 23, 24], [1, 2, 0, 0]]
    assert batch.labels.tolist() == [[21, 2, -100, -100], [22, 23, 24, 2], [2, -100, -100, -100]]
    assert batch.rows.tolist() == [7, 5, 3]
    assert batch.num_target_tokens == 7
    assert {tensor.dtype for tensor in (batch.input_ids, batch.labels, batch.rows)} == {torch.int64}


def test_labels_equal_to_padding_are_kept() -> None:
    targets = TargetRows(Sequences.of([[0, 5, 0]]))
    batch = collate(Sequences.of([[0, 2]]), targets, [0], source_pad_id=0, target_pad_id=0, decoder_start_id=0)
    assert batch.labels.tolist() == [[0, 5, 0]]
    assert IGNORED_LABEL not in batch.labels


def test_pad_right_of_nothing() -> None:
    ids, mask = pad_right([[], []], pad_id=3)
    assert ids.shape == mask.shape == (2, 0)
