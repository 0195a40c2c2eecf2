import torch

from seq2seq.models.transformer.decoding_state import (
    CAPACITY_MULTIPLE,
    STEPS_BETWEEN_CLEARINGS,
    DecodingState,
    KeyValueBuffer,
    laid_out,
    room_for,
)

B, H, W, K, V = 3, 2, 5, 7, 11


def filled(num_positions: int) -> tuple[KeyValueBuffer, torch.Tensor, torch.Tensor]:
    """Return a buffer, and the keys [B, H, slots, K] and values that it was given, W at a time."""
    buffer = KeyValueBuffer(torch.float32)
    keys, values = torch.randn(B, H, num_positions * W, K), torch.randn(B, H, num_positions * W, V)
    for t in range(num_positions):
        slots = slice(t * W, (t + 1) * W)
        buffer.append(keys[:, :, slots], values[:, :, slots])
    return buffer, keys, values


def test_a_buffer_returns_all_that_was_appended() -> None:
    buffer, keys, values = filled(2 * CAPACITY_MULTIPLE + 1)
    new_keys, new_values = torch.randn(B, H, W, K), torch.randn(B, H, W, V)
    all_keys, all_values = buffer.append(new_keys, new_values)
    num_slots = (2 * CAPACITY_MULTIPLE + 2) * W
    assert torch.equal(all_keys[:, :, :num_slots], torch.cat([keys, new_keys], dim=2))
    assert torch.equal(all_values[:, :, :num_slots], torch.cat([values, new_values], dim=2))
    assert buffer.num_slots == num_slots
    assert not all_keys[:, :, num_slots:].any()
    assert not all_values[:, :, num_slots:].any()


def test_products_over_a_buffer_copy_nothing() -> None:
    buffer, keys, values = filled(3)
    for part in buffer.append(keys[:, :, :W], values[:, :, :W]):
        assert part.is_contiguous() or part.transpose(-2, -1).is_contiguous()
    for part in laid_out((keys.transpose(1, 2).contiguous().transpose(1, 2), values), torch.float64):
        assert part.dtype == torch.float64
        assert part.is_contiguous() or part.transpose(-2, -1).is_contiguous()


def test_selections_live_apart() -> None:
    buffer, keys, values = filled(3)
    sentences, slots = torch.tensor([2, 0]), torch.randint(0, 3 * W, (B, 4))
    for chosen, index in ((buffer.of_sentences(sentences), None), (buffer.of_slots(slots), slots)):
        num_sentences = B if index is not None else len(sentences)
        all_keys, all_values = chosen.append(torch.zeros(num_sentences, H, 1, K), torch.zeros(num_sentences, H, 1, V))
        for b in range(num_sentences):
            for place in range(chosen.num_slots - 1):
                slot = place if index is None else index[b, place]
                sentence = sentences[b] if index is None else b
                assert torch.equal(all_keys[b, :, place], keys[sentence, :, slot])
                assert torch.equal(all_values[b, :, place], values[sentence, :, slot])
    old_keys, _ = buffer.append(keys[:, :, :W], values[:, :, :W])
    assert torch.equal(old_keys[:, :, : 4 * W], torch.cat([keys, keys[:, :, :W]], dim=2))


def test_growth_is_rare() -> None:
    buffer = KeyValueBuffer(torch.float32)
    storages = set()
    for _ in range(400):
        all_keys, _ = buffer.append(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1))
        storages.add(all_keys.untyped_storage().nbytes())
    assert len(storages) < 12
    assert max(storages) < 1.5 * 400 * torch.float32.itemsize
    assert all(num_slots <= room_for(num_slots) <= 1.25 * num_slots + 32 for num_slots in range(1, 300))


def state_of(buffer: KeyValueBuffer, num_sentences: int, width: int, **fields: object) -> DecodingState:
    source = (torch.zeros(num_sentences, H, 1, K), torch.zeros(num_sentences, H, 1, V))
    return DecodingState([source], None, [buffer], width, **fields)  # type: ignore[arg-type]


def test_competing_hypotheses_leave_the_cache_where_it_is() -> None:
    buffer, keys, _ = filled(1)
    state = state_of(buffer, B, W, length=1)
    state.ancestry = torch.eye(W, dtype=torch.bool).expand(B, W, W)
    assert state.reorder(torch.randint(0, W, (B, W)), None).buffers[0] is buffer
    assert state.reorder(torch.randint(0, W, (B, 2)), None).buffers[0] is buffer


def test_ancestry_by_hand() -> None:
    state = state_of(KeyValueBuffer(torch.float32), 1, 2)
    state.lengthen(torch.zeros(1))
    state = state.reorder(torch.tensor([[1, 1]]), None)
    bias = state.lengthen(torch.zeros(1))
    # both come from the second slot of the first position, and each has its own of the second
    assert bias.shape[3] == CAPACITY_MULTIPLE
    assert ((bias[..., :4] == 0).int()).tolist() == [[[[0, 1, 1, 0], [0, 1, 0, 1]]]]
    assert not (bias[..., 4:] == 0).any()
    assert state.length == 2


def test_one_hypothesis_becomes_several_that_share_its_past() -> None:
    buffer = KeyValueBuffer(torch.float32)
    state = state_of(buffer, 1, 1)
    assert torch.equal(state.lengthen(torch.zeros(1))[0, 0, 0] == 0, torch.arange(CAPACITY_MULTIPLE) < 1)
    buffer.append(torch.randn(1, H, 1, K), torch.randn(1, H, 1, V))
    state = state.reorder(torch.tensor([[0, 0, 0]]), None)
    bias = state.lengthen(torch.zeros(1))
    assert ((bias[..., :4] == 0).int()).tolist() == [[[[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]]]]


def test_slots_without_descendants_are_cleared_out() -> None:
    buffer, keys, values = filled(2)
    ancestry = torch.zeros(B, W, 2 * W, dtype=torch.bool)
    ancestry[0, :, 3] = ancestry[0, 1, 7] = ancestry[1, :, 9] = ancestry[2, 0, 0] = ancestry[2, 4, 8] = True
    state = state_of(buffer, B, W, ancestry=ancestry, length=STEPS_BETWEEN_CLEARINGS)
    cleared = state.reorder(None, None)
    assert cleared.buffers[0].num_slots == 2
    assert cleared.ancestry is not None
    all_keys, all_values = cleared.buffers[0].append(torch.zeros(B, H, 1, K), torch.zeros(B, H, 1, V))
    for b, slots in enumerate([[3, 7], [9], [0, 8]]):
        for place, slot in enumerate(slots):
            assert torch.equal(all_keys[b, :, place], keys[b, :, slot])
            assert torch.equal(all_values[b, :, place], values[b, :, slot])
            assert torch.equal(cleared.ancestry[b, :, place], ancestry[b, :, slot])
    assert not cleared.ancestry[1, :, 1].any(), "what stays only to fill the table is nobody's"
    assert state.reorder(None, torch.arange(B)).buffers[0].num_slots == 2


def test_little_is_not_worth_clearing() -> None:
    buffer, _, _ = filled(2)
    ancestry = torch.ones(B, W, 2 * W, dtype=torch.bool)
    ancestry[:, :, :4] = False
    state = state_of(buffer, B, W, ancestry=ancestry, length=STEPS_BETWEEN_CLEARINGS)
    assert state.reorder(None, None).buffers[0] is buffer
