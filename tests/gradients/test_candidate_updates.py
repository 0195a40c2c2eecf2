"""Candidate updates by hand, and closed forms of their mean: the test derives each, and 400,000 must come to it."""

import math

import numpy
import pytest
import torch
from torch.nn import Parameter

from seq2seq.gradients.candidate_updates import (
    CandidateUpdates,
    candidate_weights,
    effective_sample_size,
    is_guided,
    log_density,
    noise_scales,
)
from tests.gradients.searches import noise
from tests.models.tiny import tiny_model

NUM_CANDIDATES = 400_000
NOISE = 0.7
CURVATURE = numpy.array([[3.0, 0.7], [0.7, 1.5]])
CURRENT, BEST = numpy.array([0.8, -0.5]), numpy.array([0.1, 0.2])
SLOPE = CURVATURE @ (CURRENT - BEST)
"""Gradient of the cost (x - best)' A (x - best) / 2 at the current point."""
GUIDE = -0.6 * SLOPE + numpy.array([0.05, -0.08])
"""The likelihood's update, on purpose not the cost's own."""


def drawn(components: str = "both") -> numpy.ndarray:
    """Return candidates, [K, 2]."""
    noise = NOISE * numpy.random.default_rng(5).standard_normal((NUM_CANDIDATES, 2))
    guided = [is_guided(k, components) for k in range(2)]  # type: ignore[arg-type]
    return noise + numpy.tile(guided, NUM_CANDIDATES // 2)[:, None] * GUIDE


def quadratic(updates: numpy.ndarray) -> numpy.ndarray:
    away = CURRENT + updates - BEST
    return 0.5 * numpy.einsum("ki,ij,kj->k", away, CURVATURE, away)


def squared(vectors: numpy.ndarray) -> numpy.ndarray:
    return numpy.square(vectors).sum(-1)


def test_without_a_density_the_proposal_is_a_prior() -> None:
    """N(mu, s^2) exp(-alpha (g'x + x'Ax/2)) is normal: its precision is P = I/s^2 + alpha A, its mean P^-1 b with
    b = mu/s^2 - alpha g, its mass exp(b'P^-1 b/2 - mu'mu/(2 s^2)) but for a common factor."""
    alpha, updates = 1.5, drawn()
    covariance = numpy.linalg.inv(numpy.eye(2) / NOISE**2 + alpha * CURVATURE)
    means, masses = [], []
    for centre in (numpy.zeros(2), GUIDE):
        b = centre / NOISE**2 - alpha * SLOPE
        means.append(covariance @ b)
        masses.append(math.exp(0.5 * b @ covariance @ b - 0.5 * centre @ centre / NOISE**2))
    expected = numpy.average(means, axis=0, weights=masses)
    weights = candidate_weights(quadratic(updates), numpy.zeros(NUM_CANDIDATES), alpha, "raw")
    numpy.testing.assert_allclose(weights @ updates, expected, rtol=0, atol=6e-3)
    assert abs(expected - (BEST - CURRENT)).max() > 0.05, "which is not Newton's step"


def test_of_a_linear_cost_random_search_takes_the_gradient() -> None:
    """N(0, s^2) exp(-alpha g'x) has the mean -alpha s^2 g: the estimate of evolution strategies."""
    alpha, updates = 1.5, drawn("zero")
    weights = candidate_weights(updates @ SLOPE, numpy.zeros(NUM_CANDIDATES), alpha, "raw")
    size = effective_sample_size(weights)
    numpy.testing.assert_allclose(
        weights @ updates, -alpha * NOISE**2 * SLOPE, rtol=0, atol=4 * NOISE / math.sqrt(size)
    )


@pytest.mark.parametrize("alpha_mode", ["raw", "std"])
def test_a_cost_that_is_the_same_for_all_cancels_bit_for_bit(alpha_mode: str) -> None:
    costs = numpy.array([0.25, 0.375, 0.125, 0.75])  # sums with the constant are exact
    densities = numpy.array([0.3, -0.7, 0.0, 0.2])
    weights = [candidate_weights(costs + constant, densities, 3.0, alpha_mode) for constant in (0.0, 0.5, -16.0)]  # type: ignore[arg-type]
    assert weights[0].tobytes() == weights[1].tobytes() == weights[2].tobytes()


def test_weights_by_hand() -> None:
    weights = candidate_weights(numpy.array([1.0, 2.0]), numpy.array([0.0, math.log(3)]), math.log(2), "raw")
    numpy.testing.assert_allclose(weights, [6 / 7, 1 / 7])  # 1/2 : 1/4/3
    assert effective_sample_size(weights) == pytest.approx(49 / 37)


def test_in_standard_deviations_the_unit_of_the_cost_is_of_no_account() -> None:
    costs, nothing = numpy.array([0.3, 0.1, 0.7, 0.2]), numpy.zeros(4)
    weights = candidate_weights(costs, nothing, 1.3, "std")
    numpy.testing.assert_allclose(candidate_weights(1000 * costs + 7, nothing, 1.3, "std"), weights)
    numpy.testing.assert_allclose(candidate_weights(costs / costs.std(), nothing, 1.3, "raw"), weights)
    assert candidate_weights(numpy.full(4, 0.3), nothing, 1.3, "std").tolist() == [0.25] * 4


def test_costs_far_apart_underflow_to_a_choice() -> None:
    assert candidate_weights(numpy.array([0.0, 1e9]), numpy.array([-1e9, 0.0]), 1.0, "raw").tolist() == [1.0, 0.0]


def test_densities_by_hand() -> None:
    zero, mle = numpy.array([0.0, 1e6]), numpy.array([2.0, 1e6])
    mixture = [math.log(0.5 + 0.5 * math.exp(-1)), -5e5]  # in the second, each exponential alone is 0
    numpy.testing.assert_allclose(log_density(zero, mle), mixture)


def test_with_many_parameters_the_density_says_nothing() -> None:
    """Without any difference in cost, so all weights should be the same: a gradient of norm 1 in D = 10,000."""
    generator = numpy.random.default_rng(0)
    gradient = generator.standard_normal(10_000)
    gradient /= numpy.linalg.norm(gradient)
    scale = numpy.abs(gradient).mean()
    updates = scale * generator.standard_normal((4, 10_000)) - numpy.array([[1.0], [0.0]] * 2) * gradient
    densities = log_density(squared(updates), squared(updates + gradient))
    numpy.testing.assert_allclose(candidate_weights(numpy.zeros(4), densities, 100.0, "raw"), 0.25, atol=0.01)


# ---- updates of a model ----


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
        candidates = CandidateUpdates(moved, scales, (3, 5))
        candidates.move(candidate, masters)
        updates = []
        for place, (parameter, master, scale) in enumerate(zip(moved, masters, scales, strict=True)):
            update = scale * noise(3, 5, candidate, place, master)
            assert parameter.grad is not None
            updates.append(update - parameter.grad if candidate % 2 == 0 else update)
            torch.testing.assert_close(parameter.detach(), master + updates[-1])
        from_zero = sum(float(update.square().sum()) for update in updates)
        from_mle = sum(float((update + p.grad).square().sum()) for update, p in zip(updates, moved, strict=True))
        assert candidates.squared_distances(candidate) == pytest.approx((from_zero, from_mle))


def test_the_average_is_that_of_the_updates() -> None:
    weights, scales = numpy.array([0.5, 0.125, 0.0625, 0.3125]), [0.5, 0.0, 3.0]
    masters = [p.detach().clone() for p in parameters()]
    total = [torch.zeros_like(master) for master in masters]
    for candidate, weight in enumerate(weights):
        moved = parameters()
        CandidateUpdates(moved, scales, (3, 5)).move(candidate, masters)
        for entry, parameter, master in zip(total, moved, masters, strict=True):
            entry += weight * (parameter.detach() - master)
    averaged = parameters()
    CandidateUpdates(averaged, scales, (3, 5)).average_into_gradients(weights)
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
    CandidateUpdates(found, [1.3e-4] * len(found), (1, 1), "zero").move(1, masters)
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
