import math

import pytest
import torch

from seq2seq.models.transformer.positions import (
    LearnedPositions,
    PositionTable,
    added_positions,
    closed_angles,
    position_numbers,
    rotary_positions,
    rotate,
    rotations,
    sinusoids,
)


@pytest.mark.parametrize("d_model", [6, 7])
def test_sinusoids_follow_the_formula(d_model: int) -> None:
    table = sinusoids(5, d_model)
    half = math.ceil(d_model / 2)
    for position in range(5):
        for feature in range(d_model):
            function, i = (math.sin, feature) if feature < half else (math.cos, feature - half)
            expected = function(position / 10000 ** (2 * i / d_model))
            assert table[position, feature].item() == pytest.approx(expected, abs=1e-12)


def test_rotary_products_depend_on_relative_positions_only() -> None:
    query, key = torch.randn(2, 1, 1, 1, 6, dtype=torch.float64)
    table = rotations(40, 6)

    def product(query_position: int, key_position: int) -> float:
        turned = rotate(query, table[query_position : query_position + 1])
        return (turned * rotate(key, table[key_position : key_position + 1])).sum().item()

    assert product(3, 1) == pytest.approx(product(37, 35), abs=1e-12)
    assert product(3, 1) != pytest.approx(product(3, 2), abs=1e-3)
    assert product(0, 0) == pytest.approx((query * key).sum().item(), abs=1e-12)


def test_rotation_turns_pairs_by_position_times_frequency() -> None:
    turned = rotate(torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(1, 1, 3, 4).double(), rotations(3, 4))
    torch.testing.assert_close(turned[0, 0, 2], torch.tensor([math.cos(2), 0, math.sin(2), 0], dtype=torch.float64))


def test_a_table_has_any_length_offset_and_type() -> None:
    table = added_positions("sinusoidal", 6, max_positions=2)
    assert isinstance(table, PositionTable)
    like = torch.zeros((), dtype=torch.float64)
    torch.testing.assert_close(table(100, 50, like), sinusoids(150, 6)[100:])
    torch.testing.assert_close(table(1000, 3, like), sinusoids(1003, 6)[1000:])
    assert table(0, 3, like.to(torch.bfloat16)).dtype == torch.bfloat16


def test_a_table_made_in_inference_mode_serves_training() -> None:
    table = rotary_positions("rotary", 4)
    assert table is not None
    heads = torch.randn(1, 1, 3, 4, requires_grad=True)
    with torch.inference_mode():
        rotate(heads, table(0, 3, heads))
    rotate(heads, table(0, 3, heads)).sum().backward()
    assert heads.grad is not None


@pytest.mark.parametrize(
    ("num_tokens", "offset", "from_both_ends", "expected"),
    [
        (5, 0, False, [0, 1, 2, 3, 4]),
        (3, 2, False, [2, 3, 4]),
        (5, 0, True, [0, 0, 1, -1, 2]),
        (5, 2, True, [2, -2, 3, -3, 4]),
        (0, 7, False, []),
    ],
)
def test_numbers_of_positions(num_tokens: int, offset: int, from_both_ends: bool, expected: list[int]) -> None:
    assert position_numbers(num_tokens, offset, from_both_ends).tolist() == expected


def test_closed_wavelengths_reach_the_longest_and_are_rounded_as_their_models_learned_them() -> None:
    """7 features are 3 frequencies and a zero: of 1, 1/100 and 1/10,000, where the open ones end at 10,000^(-6/7)."""
    found = closed_angles(torch.tensor([0.0, 1.0, 1009.0], dtype=torch.float64), 7)
    assert found.dtype == torch.float32
    assert found[1].tolist() == pytest.approx([1.0, 0.01, 0.0001], rel=1e-6)
    assert found[2].tolist() == pytest.approx([1009.0, 10.09, 0.1009], rel=1e-6)
    table = added_positions("closed_sinusoidal", 7, max_positions=1, offset=1009)
    assert table is not None
    [row] = table(0, 1, torch.zeros((), dtype=torch.float64)).tolist()
    waves = [wave(angle) for wave in (math.sin, math.cos) for angle in (1009.0, 10.09, 0.1009)]
    assert row == pytest.approx([*waves, 0.0], abs=1e-5)
    assert closed_angles(torch.ones(1, dtype=torch.float64), 2).tolist() == [[1.0]]


@pytest.mark.parametrize("positions", ["sinusoidal", "closed_sinusoidal", "learned"])
def test_an_offset_shifts_the_first_position(positions: str) -> None:
    torch.manual_seed(3)
    plain = added_positions(positions, 6, max_positions=16)
    torch.manual_seed(3)
    shifted = added_positions(positions, 6, max_positions=13, offset=3)
    assert plain is not None
    assert shifted is not None
    like = torch.zeros((), dtype=torch.float64)
    assert torch.equal(shifted(2, 5, like), plain(5, 5, like))


def test_learned_positions_from_both_ends_are_distances_from_the_own_end() -> None:
    positions = LearnedPositions(5, 3, offset=2, tokens_at_once=2)
    rows, like = positions.vectors.weight[2:], torch.zeros(())
    assert len(rows) == 5
    assert torch.equal(positions(0, 6, like), rows[[0, 0, 1, 1, 2, 2]])
    assert torch.equal(positions(8, 2, like), rows[[4, 4]])
    with pytest.raises(ValueError, match="11 tokens is longer than `max_positions` .10."):
        positions(0, 11, like)


def test_learned_positions_end_where_the_option_says() -> None:
    positions = LearnedPositions(5, 3)
    like = torch.zeros(())
    assert torch.equal(positions(2, 3, like), positions.vectors.weight[2:5])
    with pytest.raises(ValueError, match="6 tokens is longer than `max_positions` .5."):
        positions(5, 1, like)
