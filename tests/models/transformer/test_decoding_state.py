import torch

from seq2seq.models.transformer.decoding_state import SMALLEST_BUFFER, DecodingState, KeyValueBuffer

B, H, W, K, V = 3, 2, 5, 7, 11


def filled(num_positions: int) -> tuple[KeyValueBuffer, torch.Tensor, torch.Tensor]:
    """Return a buffer, and the keys [B, H, length, W, K] and values that it was given."""
    buffer = KeyValueBuffer()
    keys, values = torch.randn(B, H, num_positions, W, K), torch.randn(B, H, num_positions, W, V)
    for t in range(num_positions):
        buffer.append(keys[:, :, t], values[:, :, t])
    return buffer, keys, values


def test_a_buffer_returns_all_that_was_appended() -> None:
    buffer, keys, values = filled(2 * SMALLEST_BUFFER + 1)
    new_keys, new_values = torch.randn(B, H, W, K), torch.randn(B, H, W, V)
    all_keys, all_values = buffer.append(new_keys, new_values)
    assert torch.equal(all_keys, torch.cat([keys.flatten(2, 3), new_keys], dim=2))
    assert torch.equal(all_values, torch.cat([values.flatten(2, 3), new_values], dim=2))
    assert buffer.length == 2 * SMALLEST_BUFFER + 2


def test_a_selection_lives_apart() -> None:
    buffer, keys, values = filled(3)
    sentences, slots = torch.tensor([2, 0]), torch.randint(0, W, (2, 3, 4))
    chosen = buffer.select(sentences, slots)
    all_keys, all_values = chosen.append(torch.zeros(2, H, 4, K), torch.zeros(2, H, 4, V))
    for b, sentence in enumerate(sentences):
        for t in range(3):
            for w in range(4):
                slot = slots[b, t, w]
                assert torch.equal(all_keys[b, :, t * 4 + w], keys[sentence, :, t, slot])
                assert torch.equal(all_values[b, :, t * 4 + w], values[sentence, :, t, slot])
    old_keys, _ = buffer.append(keys[:, :, 0], values[:, :, 0])
    assert torch.equal(old_keys, torch.cat([keys.flatten(2, 3), keys[:, :, 0]], dim=2))


def test_growth_is_rare() -> None:
    buffer = KeyValueBuffer()
    storages = set()
    for _ in range(200):
        all_keys, _ = buffer.append(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1))
        storages.add(all_keys.untyped_storage().nbytes())
    assert len(storages) == 5  # 16, 32, 64, 128, 256 positions


def test_competing_hypotheses_leave_the_cache_where_it_is() -> None:
    buffer, keys, values = filled(1)
    state = DecodingState([(keys[:, :, 0], values[:, :, 0])], None, [buffer], width=W)
    state.lengthen_ancestry(keys)
    chosen = state.reorder(torch.randint(0, W, (B, W)), None)
    assert chosen.buffers[0] is buffer


def test_ancestry_by_hand() -> None:
    state = DecodingState([(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1))], None, [KeyValueBuffer()], width=2)
    state.lengthen_ancestry(torch.zeros(1))
    state = state.reorder(torch.tensor([[1, 1]]), None)
    bias = state.lengthen_ancestry(torch.zeros(1))
    assert bias is not None
    # both come from the second slot of the first position, and each has its own of the second
    assert ((bias == 0).int()).tolist() == [[[[0, 1, 1, 0], [0, 1, 0, 1]]]]
