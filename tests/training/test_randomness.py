import torch

from seq2seq.training.randomness import seed_micro_batch


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


def test_seeds_are_those_of_every_run_so_far() -> None:
    """From state 0 SplitMix64 gives 0xE220A8397B1DCDAF, and from that number as a state 0xA706DD2F4D197E6F."""
    seed_micro_batch(0, 0)
    assert torch.initial_seed() % 2**64 == 0xA706DD2F4D197E6F
