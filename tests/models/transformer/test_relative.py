"""Groups of distances derived by hand, and the biases that are made of them."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from seq2seq.models.transformer.attention import MASKED
from seq2seq.models.transformer.initialization import initialize_module
from seq2seq.models.transformer.options import TransformerOptions
from seq2seq.models.transformer.relative import RelativeBiases, biases_of_layers, distance_buckets, relative_biases
from tests.models.tiny import RELATIVE

H, T, S = 3, 5, 7


def buckets(distances: list[int], *arguments: Any) -> list[int]:
    return distance_buckets(torch.tensor(distances), *arguments).tolist()


def test_groups_behind_the_query() -> None:
    """7 groups up to distance 13: 0, 1 and 2 have their own, the others grow by the fourth root of 13/3, 1.443.

    They begin at 3, 4.33, 6.25 and 9.01.
    """
    distances = [0, -1, -2, -3, -4, -5, -6, -7, -9, -10, -13, -14, -1000]
    assert buckets(distances, 7, 13, False) == [0, 1, 2, 3, 3, 4, 4, 5, 5, 6, 6, 6, 6]
    assert buckets([1, 2, 1000], 7, 13, False) == [0, 0, 0], "what stands before the query is masked anyway"


def test_groups_on_both_sides() -> None:
    """11 groups are 5 for each side, and one unused: 0 and 1 have their own, then the cube root of 13/2, 1.866.

    They begin at 2, 3.73 and 6.97; those of keys before the query count from 5 on.
    """
    distances = [0, -1, -2, -3, -4, -6, -7, -13, -1000]
    assert buckets(distances, 11, 13, True) == [0, 1, 2, 2, 3, 3, 4, 4, 4]
    assert buckets([-distance for distance in distances[1:]], 11, 13, True) == [6, 7, 7, 8, 8, 9, 9, 9]


def test_borders_of_the_groups_that_models_are_trained_with() -> None:
    """32 groups up to 128 (Raffel et al. 2020, section 2.1): in a decoder those from 16 on begin at 16 * 8^(i/16)."""
    begins = [*range(16), *(16 * 8 ** (i / 16) for i in range(16))]
    for number, begin in enumerate(begins):
        first = math.ceil(begin)
        assert buckets([-first], 32, 128, False) == [number]
        assert buckets([1 - first], 32, 128, False) == [max(number - 1, 0)]
    assert buckets([-1000], 32, 128, False) == [31]


def test_borders_that_rounding_decides() -> None:
    """On both sides groups begin at 8 * 16^(i/8): at 16, 32 and 64 the logarithms of float32 are exact."""
    both = [0, -7, -8, -11, -12, -15, -16, -31, -32, -63, -64, -127, -128, 7, 8, 15, 16, 128]
    assert buckets(both, 32, 128, True) == [0, 7, 8, 8, 9, 9, 10, 11, 12, 13, 14, 15, 15, 23, 24, 25, 26, 31]


def random_biases(both_sides: bool, num_layers: int = 2, **options: Any) -> RelativeBiases:
    sizes = {"num_heads": H, "d_model": 24}
    relative = RelativeBiases(TransformerOptions(**{**RELATIVE, **sizes, **options}), num_layers, both_sides).double()
    for table in relative.tables.parameters():
        torch.nn.init.normal_(table)
    return relative.requires_grad_(False)


def table_of(relative: RelativeBiases, layer: int) -> Tensor:
    """Return [groups, H]."""
    return relative.get_parameter(f"tables.{layer}.weight")


@pytest.mark.parametrize("both_sides", [False, True])
def test_a_bias_is_the_entry_of_its_head_and_distance(both_sides: bool) -> None:
    relative = random_biases(both_sides)
    queries, keys = torch.arange(2, 2 + T), torch.arange(S)
    mask = torch.where(torch.rand(T, S) < 0.3, MASKED, 0.0).double()
    [first, second] = relative(queries, keys, mask)
    assert first is second, "all layers share the first's"
    assert first.shape == (1, H, T, S)
    for t in range(T):
        for s in range(S):
            [group] = buckets([s - (2 + t)], 6, 7, both_sides)
            assert torch.equal(first[0, :, t, s], table_of(relative, 0)[group] + mask[t, s])


def test_keys_of_each_sentence() -> None:
    """After slots were cleared, sentences differ in the steps that are left."""
    relative, keys = random_biases(False), torch.randint(0, 9, (5, S))
    together = relative(torch.tensor([8]), keys, None)[0]
    assert together.shape == (5, H, 1, S)
    for row in range(5):
        assert torch.equal(together[row : row + 1], relative(torch.tensor([8]), keys[row], None)[0])


def test_each_layer_can_have_its_own() -> None:
    relative, numbers = random_biases(True, num_layers=3, relative_layers="all"), torch.arange(T)
    biases = relative(numbers, numbers, None)
    assert len(biases) == len(relative.tables) == 3
    for i, bias in enumerate(biases):
        assert torch.equal(bias[0, :, 2, 2], table_of(relative, i)[0])


def test_a_network_starts_as_one_without_positions() -> None:
    relative = relative_biases(TransformerOptions(**RELATIVE), 2, both_sides=True)
    assert relative is not None
    for table in relative.tables:
        initialize_module(table, is_output=False)
    assert not torch.stack(relative(torch.arange(T), torch.arange(S), None)).any()


def test_other_kinds_of_positions_have_none() -> None:
    assert relative_biases(TransformerOptions(), 2, both_sides=True) is None
    mask = torch.zeros(1)
    biases = biases_of_layers(None, 2, torch.arange(T), torch.arange(S), mask)
    assert [bias is mask for bias in biases] == [True, True]
