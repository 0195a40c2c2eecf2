import torch

from seq2seq.models.transformer.decoding_state import SMALLEST_BUFFER, KeyValueBuffer


def test_a_buffer_returns_all_that_was_appended() -> None:
    buffer = KeyValueBuffer()
    keys, values = torch.randn(3, 2, 41, 5), torch.randn(3, 2, 41, 7)
    start = 0
    for length in (1, 2, SMALLEST_BUFFER, 1, 21):
        new = slice(start, start + length)
        all_keys, all_values = buffer.append(keys[:, :, new], values[:, :, new])
        start += length
        assert torch.equal(all_keys, keys[:, :, :start])
        assert torch.equal(all_values, values[:, :, :start])
    assert buffer.length == start == 41


def test_selected_rows_live_apart() -> None:
    buffer = KeyValueBuffer()
    keys, values = torch.randn(3, 2, 5, 7), torch.randn(3, 2, 5, 11)
    buffer.append(keys, values)
    rows = torch.tensor([2, 2, 0, 1])
    chosen = buffer.select(rows)
    new_keys, new_values = torch.randn(4, 2, 1, 7), torch.randn(4, 2, 1, 11)
    all_keys, all_values = chosen.append(new_keys, new_values)
    assert torch.equal(all_keys, torch.cat([keys[rows], new_keys], dim=2))
    assert torch.equal(all_values, torch.cat([values[rows], new_values], dim=2))
    old_keys, _ = buffer.append(keys[:, :, :1], values[:, :, :1])
    assert torch.equal(old_keys, torch.cat([keys, keys[:, :, :1]], dim=2))


def test_growth_is_rare() -> None:
    buffer = KeyValueBuffer()
    storages = set()
    for _ in range(200):
        all_keys, _ = buffer.append(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1))
        storages.add(all_keys.untyped_storage().nbytes())
    assert len(storages) == 5  # 16, 32, 64, 128, 256 positions
