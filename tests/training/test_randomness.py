import torch

from seq2seq.training.randomness import mix, seed_micro_batch


def draw(seed: int, number: int) -> list[float]:
    seed_micro_batch(seed, number)
    return torch.rand(3).tolist()


def test_same_seed_and_number_draw_the_same() -> None:
    first = draw(1, 5)
    torch.rand(7)
    assert draw(1, 5) == first


def test_neighbours_draw_differently() -> None:
    draws = {tuple(draw(seed, number)) for seed in range(5) for number in range(20)}
    assert len(draws) == 100


def test_mix_is_splitmix64() -> None:
    """The generator's first outputs from state 0; adding the increment to the state gives the next one."""
    increment = 0x9E3779B97F4A7C15
    outputs = [mix(0), mix(increment), mix(2 * increment)]
    assert outputs == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_mix_stays_within_64_bits() -> None:
    assert all(0 <= mix(value) < 2**64 for value in (0, 1, 2**64 - 1, -1, 10**30))
