import pytest
import torch
from torch import nn

from seq2seq.training.ema import ExponentialMovingAverage
from tests.training.fakes import TinyModel


def average_of(decay: float, history: list[torch.Tensor]) -> torch.Tensor:
    model = nn.Linear(2, 3, bias=False)
    ema = ExponentialMovingAverage(model, decay)
    for weights in history:
        with torch.no_grad():
            model.weight.copy_(weights)
        ema.update()
    return ema.averages[0].double()


def weighted(shares: list[float], history: list[torch.Tensor]) -> torch.Tensor:
    total = sum(share * weights.double() for share, weights in zip(shares, history, strict=True))
    assert isinstance(total, torch.Tensor)
    return total / sum(shares)


def test_early_updates_count_by_the_cube_of_their_number() -> None:
    """Update i of n counts as i (i + 1) (i + 2), which is what a rate of 4 / (n + 3) comes to, whatever the decay."""
    history = [torch.randn(3, 2, generator=torch.Generator().manual_seed(i)) for i in range(7)]
    expected = weighted([i * (i + 1.0) * (i + 2.0) for i in range(1, 8)], history)
    torch.testing.assert_close(average_of(0.9999, history), expected, rtol=1e-6, atol=1e-7)


def test_late_updates_count_by_the_decay() -> None:
    """With a decay of 0.5 the rate is (1 - d) / (1 - d^n) from the fifth update on, where 4 / (n + 3) is less."""
    history = [torch.randn(3, 2, generator=torch.Generator().manual_seed(i)) for i in range(11)]
    rates = [max(0.5 / (1 - 0.5**n), 4 / (n + 3)) for n in range(1, 12)]
    assert rates[3] == 4 / 7
    assert rates[5] == 0.5 / (1 - 0.5**6)
    shares: list[float] = []
    for rate in rates:
        shares = [share * (1 - rate) for share in shares] + [rate]
    torch.testing.assert_close(average_of(0.5, history), weighted(shares, history), rtol=1e-6, atol=1e-7)


def test_the_average_stays_near_weights_that_move_steadily() -> None:
    """Of weights 1, 2, …, n the plain mean is n / 2; this one is never further back than a quarter of the way."""
    history = [torch.full((3, 2), float(i)) for i in range(1, 201)]
    assert 160 < average_of(0.9999, history).mean() < 200


def test_first_update_forgets_the_initial_weights() -> None:
    model = nn.Linear(2, 3)
    ema = ExponentialMovingAverage(model, 0.999)
    nn.init.constant_(model.weight, 5.0)
    ema.update()
    assert (ema.averages[0] == 5.0).all()


def test_applied_swaps_in_the_average_and_gives_back_every_bit() -> None:
    model = TinyModel()
    ema = ExponentialMovingAverage(model, 0.5)
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    ema.update()
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    trained = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    averages = [average.clone() for average in ema.averages]
    with ema.applied():
        assert all(torch.equal(p, a) for p, a in zip(model.parameters(), averages, strict=True))
        assert model.output.weight is model.embedding.weight
    assert all(torch.equal(tensor, trained[name]) for name, tensor in model.state_dict().items())
    assert all(torch.equal(now, before) for now, before in zip(ema.averages, averages, strict=True))


def test_an_error_inside_gives_the_weights_back_too() -> None:
    model = nn.Linear(2, 3)
    ema = ExponentialMovingAverage(model, 0.5)
    trained = nn.init.normal_(model.weight).detach().clone()

    def fail() -> None:
        with ema.applied():
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert torch.equal(model.weight, trained)


def test_named_averages_name_each_parameter_once() -> None:
    model = TinyModel()
    named = ExponentialMovingAverage(model, 0.5).named_averages(model)
    assert list(named) == [name for name, _ in model.named_parameters()]


def test_low_precision_weights_are_averaged_in_float32() -> None:
    """In bfloat16, 1 + 0.001 is 1, so an average kept in it would never move."""
    model = nn.Linear(1, 1, bias=False, dtype=torch.bfloat16)
    nn.init.constant_(model.weight, 1.0)
    ema = ExponentialMovingAverage(model, 0.999)
    for _ in range(1000):
        ema.update()
    nn.init.constant_(model.weight, 2.0)
    ema.update()
    assert 1.0005 < ema.averages[0].item() < 1.01


@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_decay_out_of_range_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match="ema_decay"):
        ExponentialMovingAverage(nn.Linear(1, 1), decay)


def test_averages_are_alike_with_and_without_one_call_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    model = torch.nn.Linear(5, 3)
    together, apart = (ExponentialMovingAverage(model, 0.9) for _ in range(2))
    assert hasattr(torch, "_foreach_lerp_"), "torch has no call for all any more: what we do is slower, but right"
    for average in (together, apart):
        if average is apart:
            monkeypatch.delattr(torch, "_foreach_lerp_")
        torch.manual_seed(3)
        for _ in range(4):
            torch.nn.init.normal_(model.weight)
            average.update()
    for first, second in zip(together.averages, apart.averages, strict=True):
        assert torch.equal(first, second)
