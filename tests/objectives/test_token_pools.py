import pytest
import torch

from seq2seq.objectives.token_pools import drawn_from_rows, drawn_from_vocabulary, replaceable
from tests.objectives.batches import SPECIAL_IDS, VOCAB_SIZE, random_batch


def test_words_of_a_target_may_be_replaced_and_nothing_else() -> None:
    batch = random_batch()
    may = replaceable(batch, SPECIAL_IDS)
    assert torch.equal(may.sum(1), (batch.labels > 0).sum(1) - 1), "all words, but not the start"
    assert bool((batch.decoder_input_ids[may] > 2).all())
    assert not bool(may[:, 0].any())


def test_rows_whose_labels_do_not_count_keep_their_words() -> None:
    batch = random_batch(num_sources=3)
    batch.labels[1] = -100
    assert replaceable(batch, SPECIAL_IDS).any(1).tolist() == [True, False, True]


def test_rows_are_drawn_from_uniformly() -> None:
    pools = torch.tensor([[7, 0, 8, 9], [0, 5, 0, 0], [4, 4, 0, 6]])
    drawn = drawn_from_rows(pools, pools > 0, 30000, torch.Generator().manual_seed(1))
    shares = [torch.bincount(row, minlength=10) / 30000 for row in drawn]
    expected = torch.zeros(3, 10)
    expected[0, [7, 8, 9]] = 1 / 3
    expected[1, 5] = 1.0
    expected[2, [4, 6]] = torch.tensor([2 / 3, 1 / 3])
    # Three standard deviations of a share at p = 1/3 and n = 30000 are 0.0082.
    torch.testing.assert_close(torch.stack(shares), expected, atol=0.0082, rtol=0)


def test_a_row_with_nothing_to_draw_does_no_harm() -> None:
    pools = torch.tensor([[0, 0], [0, 3]])
    drawn = drawn_from_rows(pools, pools > 0, 5, torch.Generator())
    assert drawn.tolist() == [[0] * 5, [3] * 5]


@pytest.mark.parametrize("special_ids", [(), (0, 1, 2), (0, 35, 36), (5, 17, 5)])
def test_the_vocabulary_is_drawn_from_uniformly_without_special_tokens(special_ids: tuple[int, ...]) -> None:
    drawn = drawn_from_vocabulary(torch.Size([137, 211]), VOCAB_SIZE, special_ids, torch.Generator().manual_seed(1))
    counts = torch.bincount(drawn.flatten(), minlength=VOCAB_SIZE)
    ordinary = [i for i in range(VOCAB_SIZE) if i not in special_ids]
    assert counts.shape == (VOCAB_SIZE,)
    assert not counts[list(special_ids)].any()
    expected = drawn.numel() / len(ordinary)
    assert float((counts[ordinary] - expected).abs().max()) < 4 * expected**0.5
