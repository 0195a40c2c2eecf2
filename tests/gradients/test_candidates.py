import numpy
import pytest
import torch
from torch.nn import Parameter

from seq2seq.gradients.candidates import Candidates, noise_scales
from tests.gradients.searches import noise
from tests.models.tiny import tiny_model


def with_gradient(values: torch.Tensor, gradient: torch.Tensor) -> Parameter:
    parameter = Parameter(values)
    parameter.grad = gradient
    return parameter


def parameters() -> list[Parameter]:
    generator = torch.Generator().manual_seed(1)
    shapes = [(7, 3), (5,), (2, 3, 11)]
    pairs = [[torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2)] for shape in shapes]
    return [with_gradient(*pair) for pair in pairs]


def test_candidates_move_by_hand_and_know_their_distances() -> None:
    masters = [p.detach().clone() for p in parameters()]
    scales = [0.5, 2.0, 3.0]
    for candidate in range(4):
        moved = parameters()
        candidates = Candidates(moved, scales, (3, 5))
        candidates.move(candidate, masters)
        updates = []
        for place, (parameter, master, scale) in enumerate(zip(moved, masters, scales, strict=True)):
            update = scale * noise(3, 5, candidate, place, master)
            assert parameter.grad is not None
            updates.append(update - parameter.grad if candidate % 2 == 0 else update)
            torch.testing.assert_close(parameter.detach(), master + updates[-1])
        for in_deviations in (False, True):
            units = scales if in_deviations else [1.0] * 3
            parts = list(zip(updates, moved, units, strict=True))
            from_zero = sum(float((u / s).square().sum()) for u, _, s in parts)
            from_mle = sum(float(((u + p.grad) / s).square().sum()) for u, p, s in parts)
            found = candidates.squared_distances(candidate, in_deviations=in_deviations)
            assert found == pytest.approx((from_zero, from_mle))


def test_the_average_is_that_of_the_updates() -> None:
    weights, scales = numpy.array([0.5, 0.125, 0.0625, 0.3125]), [0.5, 0.0, 3.0]
    masters = [p.detach().clone() for p in parameters()]
    total = [torch.zeros_like(master) for master in masters]
    for candidate, weight in enumerate(weights):
        moved = parameters()
        Candidates(moved, scales, (3, 5)).move(candidate, masters)
        for entry, parameter, master in zip(total, moved, masters, strict=True):
            entry += weight * (parameter.detach() - master)
    averaged = parameters()
    Candidates(averaged, scales, (3, 5)).average_into_gradients(weights)
    for parameter, entry in zip(averaged, total, strict=True):
        torch.testing.assert_close(parameter.grad, -entry)


def test_scales_by_hand() -> None:
    pair = [
        with_gradient(torch.zeros(2), torch.tensor([1.0, -3.0])),
        with_gradient(torch.zeros(3, 2), torch.full((3, 2), -4.0)),
    ]
    assert noise_scales(pair, 0.5, "tensor") == [1.0, 2.0]
    assert noise_scales(pair, 0.5, "global") == [0.5 * 28 / 8] * 2
    assert noise_scales(pair, 0.5, "constant") == [0.5, 0.5]


def shares_of_noise(dtype: torch.dtype) -> list[float]:
    """Return the standard deviation of each large tensor's effective movement, over the one it should have."""
    torch.manual_seed(0)
    model = tiny_model(vocab_size=101, d_model=24, num_heads=3, tie_embeddings="all").to(dtype)
    found = [parameter for parameter in model.parameters() if parameter.dim() == 2]
    for parameter in found:
        parameter.grad = torch.zeros_like(parameter)
        parameter.data.clamp_(-0.5, 0.5)
    masters = [parameter.detach().clone() for parameter in found]
    Candidates(found, [1.3e-4] * len(found), (1, 1), "zero").move(1, masters)
    # What weights that are shared move by is read where they are used, not in the list of parameters.
    assert model.lm_head.weight is model.encoder.embeddings.tokens.weight
    moved = [(p.detach().double() - m.double()).std() / 1.3e-4 for p, m in zip(found, masters, strict=True)]
    return [float(share) for share, p in zip(moved, found, strict=True) if p.numel() > 2000]


def test_tied_weights_get_noise_once() -> None:
    """Twice would be a share of 1.41."""
    shares = shares_of_noise(torch.float32)
    assert shares
    assert shares == pytest.approx([1.0] * len(shares), abs=0.06)


def test_bfloat16_cannot_hold_the_noise() -> None:
    """The reason why the search refuses it: a weight of 0.1 has steps of 5e-4, and the noise is 1.3e-4."""
    assert all(abs(share - 1) > 0.06 for share in shares_of_noise(torch.bfloat16))
