import pytest
import torch

from seq2seq.decoding.parts.largest import BLOCK, largest, largest_sums


@pytest.mark.parametrize("vocab_size", [7, BLOCK, 40 * BLOCK, 40 * BLOCK + 1, 60 * BLOCK - 1])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_as_topk(vocab_size: int, count: int) -> None:
    values = torch.randperm(15 * vocab_size).view(3, 5, vocab_size).float()
    found, index = largest(values, count)
    expected = values.topk(count)
    assert torch.equal(found, expected.values)
    assert torch.equal(index, expected.indices)


def test_the_largest_of_one_block() -> None:
    values = torch.arange(100.0 * BLOCK)
    found, index = largest(values, 5)
    assert found.tolist() == index.tolist() == [6399.0, 6398.0, 6397.0, 6396.0, 6395.0]


def test_forbidden_entries_come_last() -> None:
    values = torch.full((1, 1, 80 * BLOCK + 3), -torch.inf)
    values[0, 0, [5, 700]] = torch.tensor([1.0, 2.0])
    found, index = largest(values, 3)
    assert found.tolist() == [[[2.0, 1.0, -torch.inf]]]
    assert index[0, 0, :2].tolist() == [700, 5]


@pytest.mark.parametrize("vocab_size", [7, 40 * BLOCK, 40 * BLOCK + 1, 60 * BLOCK - 1])
@pytest.mark.parametrize("count", [1, 7])
def test_the_largest_sums_of_several_rows(vocab_size: int, count: int) -> None:
    values, offsets = torch.randn(3, 5, vocab_size), 2 * torch.randn(3, 5)
    offsets[1, 2:] = -torch.inf
    sums, index = largest_sums(values.clone(), offsets, count)
    expected = (values + offsets.unsqueeze(-1)).flatten(1).topk(count)
    assert torch.equal(sums, expected.values)
    assert torch.equal(index, expected.indices)
