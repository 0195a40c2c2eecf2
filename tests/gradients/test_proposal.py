"""Closed forms of the search's mean update: the test derives each, and 400,000 candidates must come to it."""

import math

import numpy
import pytest

from seq2seq.gradients.proposal import candidate_weights, effective_sample_size, is_guided, log_density

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


@pytest.mark.parametrize("alpha", [1.5, 4.0])
def test_with_the_exact_density_the_mean_is_newtons_step_for_any_alpha(alpha: float) -> None:
    """exp(-alpha C) is normal around the minimum, so its mean is where the minimum is, from wherever one draws."""
    updates = drawn()
    densities = log_density(squared(updates) / NOISE**2, squared(updates - GUIDE) / NOISE**2, "exact", "both")
    weights = candidate_weights(quadratic(updates), densities, alpha)
    size = effective_sample_size(weights)
    tolerance = 4 * math.sqrt(1 / (alpha * numpy.linalg.eigvalsh(CURVATURE)[0] * size))
    assert size > 10_000
    assert tolerance < 0.03
    numpy.testing.assert_allclose(weights @ updates, BEST - CURRENT, rtol=0, atol=tolerance)


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
    nothing = log_density(squared(updates), squared(updates - GUIDE), "none", "both")
    weights = candidate_weights(quadratic(updates), nothing, alpha)
    numpy.testing.assert_allclose(weights @ updates, expected, rtol=0, atol=6e-3)
    assert abs(expected - (BEST - CURRENT)).max() > 0.05, "which is not Newton's step"


def test_of_a_linear_cost_random_search_takes_the_gradient() -> None:
    """N(0, s^2) exp(-alpha g'x) has the mean -alpha s^2 g: the estimate of evolution strategies."""
    alpha, updates = 1.5, drawn("zero")
    weights = candidate_weights(updates @ SLOPE, numpy.zeros(NUM_CANDIDATES), alpha)
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
    weights = candidate_weights(numpy.array([1.0, 2.0]), numpy.array([0.0, math.log(3)]), math.log(2))
    numpy.testing.assert_allclose(weights, [6 / 7, 1 / 7])  # 1/2 : 1/4/3
    assert effective_sample_size(weights) == pytest.approx(49 / 37)


def test_in_standard_deviations_the_unit_of_the_cost_is_of_no_account() -> None:
    costs, nothing = numpy.array([0.3, 0.1, 0.7, 0.2]), numpy.zeros(4)
    weights = candidate_weights(costs, nothing, 1.3, "std")
    numpy.testing.assert_allclose(candidate_weights(1000 * costs + 7, nothing, 1.3, "std"), weights)
    numpy.testing.assert_allclose(candidate_weights(costs / costs.std(), nothing, 1.3), weights)
    assert candidate_weights(numpy.full(4, 0.3), nothing, 1.3, "std").tolist() == [0.25] * 4


def test_costs_far_apart_underflow_to_a_choice() -> None:
    assert candidate_weights(numpy.array([0.0, 1e9]), numpy.array([-1e9, 0.0]), 1.0).tolist() == [1.0, 0.0]


def test_densities_by_hand() -> None:
    zero, mle = numpy.array([0.0, 1e6]), numpy.array([2.0, 1e6])
    mixture = [math.log(0.5 + 0.5 * math.exp(-1)), -5e5]  # in the second, each exponential alone is 0
    numpy.testing.assert_allclose(log_density(zero, mle, "exact", "both"), mixture)
    numpy.testing.assert_allclose(log_density(zero, mle, "unit", "mle"), mixture, err_msg="as the authors' code has it")
    numpy.testing.assert_allclose(log_density(zero, mle, "exact", "zero"), -zero / 2)
    numpy.testing.assert_allclose(log_density(zero, mle, "exact", "mle"), -mle / 2)
    assert log_density(zero, mle, "none", "both").tolist() == [0.0, 0.0]


def test_with_many_parameters_unit_is_none_and_exact_is_luck() -> None:
    """Without any difference in cost, so all weights should be the same: a gradient of norm 1 in D = 10,000."""
    generator = numpy.random.default_rng(0)
    gradient = generator.standard_normal(10_000)
    gradient /= numpy.linalg.norm(gradient)
    scale = numpy.abs(gradient).mean()
    updates = scale * generator.standard_normal((4, 10_000)) - numpy.array([[1.0], [0.0]] * 2) * gradient
    zero, mle = squared(updates), squared(updates + gradient)
    unit = candidate_weights(numpy.zeros(4), log_density(zero, mle, "unit", "both"), 100.0)
    exact = candidate_weights(numpy.zeros(4), log_density(zero / scale**2, mle / scale**2, "exact", "both"), 100.0)
    numpy.testing.assert_allclose(unit, 0.25, atol=0.01)
    assert exact.max() > 0.99
