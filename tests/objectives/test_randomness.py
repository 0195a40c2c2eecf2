import pytest
import torch
from torch import Tensor

from seq2seq.objectives.randomness import forked_randomness, own_generator


def draws(name: str = "one") -> Tensor:
    return torch.rand(5, generator=own_generator(name))


def test_torch_draws_what_it_would_have_drawn() -> None:
    torch.manual_seed(3)
    expected = torch.rand(5)
    torch.manual_seed(3)
    draws()
    assert torch.equal(torch.rand(5), expected)


def test_draws_depend_on_name_and_seed_and_on_nothing_else() -> None:
    torch.manual_seed(3)
    first = draws()
    torch.rand(7)  # dropout, say, before the component's turn
    assert torch.equal(draws(), first)
    assert not torch.equal(draws("other"), first)
    torch.manual_seed(4)
    assert not torch.equal(draws(), first)


@pytest.mark.parametrize("seed", [0, 1, 2**63, 2**64 - 1])
def test_any_seed_of_a_micro_batch_will_do(seed: int) -> None:
    torch.manual_seed(seed)
    assert not torch.equal(draws("one"), draws("other"))
    assert not torch.equal(draws("one"), torch.rand(5)), "dropout draws something else"


def test_a_forked_block_starts_from_the_present_state_and_leaves_it() -> None:
    torch.manual_seed(3)
    torch.rand(2)
    with forked_randomness(torch.device("cpu")):
        inside = torch.rand(5)
    assert torch.equal(torch.rand(5), inside)
    assert torch.initial_seed() == 3
