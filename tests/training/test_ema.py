import pytest
import torch
from torch import nn

from seq2seq.training.ema import ExponentialMovingAverage
from tests.training.fakes import TinyModel


def test_closed_form() -> None:
    """After n updates the average is the sum of d^(n-i) w_i over i, divided by the sum of d^(n-i)."""
    decay, history = 0.9, [torch.randn(3, 2, generator=torch.Generator().manual_seed(i)) for i in range(7)]
    model = nn.Linear(2, 3, bias=False)
    ema = ExponentialMovingAverage(model, decay)
    for weights in history:
        with torch.no_grad():
            model.weight.copy_(weights)
        ema.update()
    powers = [decay ** (len(history) - 1 - i) for i in range(len(history))]
    expected = sum(power * weights.double() for power, weights in zip(powers, history, strict=True)) / sum(powers)
    torch.testing.assert_close(ema.averages[0].double(), expected, rtol=1e-6, atol=1e-7)


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
