import numpy
import pytest

from seq2seq.data.batch import IGNORED_LABEL
from seq2seq.data.collate import collate
from seq2seq.data.generation_order import Arranged, from_right, interleaved, turned
from seq2seq.data.sequences import Order, Sequences

EOS = 2
PADS = {"source_pad_id": 0, "target_pad_id": 0, "decoder_start_id": 1}


def in_order(order: Order, target: list[int]) -> list[int]:
    return Sequences.of([target]).padded(0, order=order)[0][0].tolist()


@pytest.mark.parametrize("length", range(51))
def test_no_token_is_lost_or_doubled_at_the_seam(length: int) -> None:
    target = [*range(10, 10 + length), EOS]
    found = in_order(interleaved, target)
    assert [*found[:-1:2], *reversed(found[1:-1:2])] == target[:-1]
    assert found[-1] == EOS
    assert from_right(in_order(turned(True), target)) == target
    assert from_right(from_right(target)) == target


def test_orders_written_out() -> None:
    assert in_order(interleaved, [11, 12, 13, 14, 15, EOS]) == [11, 15, 12, 14, 13, EOS]
    assert in_order(interleaved, [11, 12, 13, 14, EOS]) == [11, 14, 12, 13, EOS]
    assert in_order(turned(True), [11, 12, 13, EOS]) == from_right([11, 12, 13, EOS]) == [13, 12, 11, EOS]
    assert in_order(turned(False), [11, 12, 13, EOS]) == [11, 12, 13, EOS]
    assert in_order(interleaved, [EOS]) == in_order(turned(True), [EOS]) == from_right([EOS]) == [EOS]


def test_a_batch_of_both_directions() -> None:
    arrange = Arranged("bidirectional")
    targets = arrange(Sequences.of([[11, 12, 13, EOS], [14, EOS]]), numpy.array([3, 4]), epoch=0)
    batch = collate(Sequences.of([[5, EOS], [6, EOS]]), targets, [3, 4], **PADS)
    assert arrange.slots(numpy.array([4, 2]), numpy.array([3, 4])).tolist() == [8, 4]
    assert batch.decoder_input_ids.tolist() == [[1, 11, 12, 13], [1, 13, 12, 11], [1, 14, 2, 0], [1, 14, 2, 0]]
    assert batch.labels.tolist() == [[11, 12, 13, 2], [13, 12, 11, 2], [14, 2, -100, -100], [14, 2, -100, -100]]
    assert batch.sides is not None
    assert batch.sides.tolist() == [0, 1, 0, 1]
    assert batch.visible is None, "gold rows never see each other: the second half of each would hold its answers"
    assert len(batch) == 2
    assert batch.num_target_tokens == 12


@pytest.mark.parametrize(("target", "width"), [([11, 12, 13, EOS], 4), ([11, 12, 13, 14, EOS], 6), ([EOS], 2)])
def test_interleaved_batches_hold_whole_steps(target: list[int], width: int) -> None:
    targets = Arranged("interleaved")(Sequences.of([target]), numpy.array([0]), 0)
    batch = collate(Sequences.of([[5, EOS]]), targets, [0], **PADS)
    labels = batch.labels[0].tolist()
    assert len(labels) == width
    assert labels[: len(target)] == in_order(interleaved, target)
    assert set(labels[len(target) :]) <= {IGNORED_LABEL}, "beside end of sentence nothing is predicted"
    expected_inputs = [1, 1, *in_order(interleaved, target), 0][:width]
    assert batch.decoder_input_ids[0].tolist() == expected_inputs


def test_batches_of_all_orders_have_the_same_labels() -> None:
    targets = [[11, 12, 13, EOS], [14, 15, EOS]]
    for order in ("r2l", "interleaved"):
        rows = Arranged(order)(Sequences.of(targets), numpy.arange(2), 0)
        batch = collate(Sequences.of([[5, EOS]] * 2), rows, [0, 1], **PADS)
        found = [sorted(label for label in row if label != IGNORED_LABEL) for row in batch.labels.tolist()]
        assert found == [sorted(target) for target in targets]
