from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch import nn

from seq2seq.data.batch import IGNORED_LABEL
from seq2seq.gradients.base import Backprop
from seq2seq.gradients.greedy_cost import GreedyCost
from seq2seq.gradients.parameter_search import ParameterSearch, searching
from seq2seq.gradients.transforms import clip
from seq2seq.metrics.cost import make_cost
from seq2seq.objectives.cross_entropy import CrossEntropy
from tests.fakes import CharTokenizer
from tests.gradients.searches import Point, Quadratic, Slope, TeacherForcedCost, gradients, noise, searched
from tests.models.tiny import tiny_model
from tests.training.fakes import TinyModel, make_batch, make_trainer, snapshot

BATCH = make_batch([0, 1, 4, 7])
CURVATURE, BEST = numpy.array([[3.0, 0.7], [0.7, 1.5]]), numpy.array([0.1, 0.2])


def clipped_gradient(model: nn.Module, clip_norm: float, label_smoothing: float = 0.1) -> list[torch.Tensor]:
    """Return the ordinary gradient of the mean loss, clipped; `model` keeps none."""
    model.zero_grad()
    loss = CrossEntropy(label_smoothing=label_smoothing)(model, BATCH, 1)
    (loss.loss_sum / loss.weight).backward()
    clip(list(model.parameters()), clip_norm)
    found = gradients(model)
    model.zero_grad()
    return found


def test_search_on_a_quadratic_is_the_mean_that_was_derived() -> None:
    """The same closed form as in `test_proposal`, from a model, an objective and 2,000 candidates."""
    noise_size, alpha, current, guide = 0.7, 1.5, numpy.array([0.8, -0.5]), numpy.array([-0.9, 0.1])
    slope = CURVATURE @ (current - BEST)
    covariance = numpy.linalg.inv(numpy.eye(2) / noise_size**2 + alpha * CURVATURE)
    centres = numpy.array([[0.0, 0.0], guide])
    b = centres / noise_size**2 - alpha * slope
    masses = numpy.exp(0.5 * numpy.einsum("ki,ij,kj->k", b, covariance, b) - 0.5 * (centres**2).sum(1) / noise_size**2)
    rule = ParameterSearch(
        Quadratic(CURVATURE, BEST),
        num_candidates=2000,
        alpha=alpha,
        noise=noise_size,
        noise_scale="constant",
        clip_norm=0.0,
    )
    model = Point(*current)
    searched(rule, Slope(tuple(-guide)), model, BATCH)
    [gradient] = gradients(model)
    numpy.testing.assert_allclose(-gradient, numpy.average(b @ covariance, axis=0, weights=masses), rtol=0, atol=0.04)


def test_without_alpha_the_update_is_the_mean_of_the_candidates() -> None:
    model = TinyModel().double()
    expected = clipped_gradient(model, 1.0)
    rule = ParameterSearch(TeacherForcedCost(), alpha=0.0, noise=1.3, seed=5)
    loss = searched(rule, CrossEntropy(label_smoothing=0.1), model, BATCH, step=11)
    for place, (found, gradient) in enumerate(zip(gradients(model), expected, strict=True)):
        drawn = torch.stack([noise(5, 11, k, place, gradient) for k in range(4)]).mean(0)
        torch.testing.assert_close(found, gradient / 2 - 1.3 * gradient.abs().mean() * drawn, rtol=1e-6, atol=1e-7)
    assert float(loss.logs["effective_sample_size"]) == pytest.approx(4.0)


@pytest.mark.parametrize(("components", "share"), [("zero", 0.0), ("mle", 1.0), ("both", 0.5)])
def test_without_noise_the_update_is_a_share_of_the_clipped_gradient(components: Any, share: float) -> None:
    model = TinyModel().double()
    expected = clipped_gradient(model, 0.3)
    rule = ParameterSearch(TeacherForcedCost(), noise=0.0, alpha=0.0, components=components, clip_norm=0.3)
    searched(rule, CrossEntropy(label_smoothing=0.1), model, BATCH)
    for found, gradient in zip(gradients(model), expected, strict=True):
        torch.testing.assert_close(found, share * gradient)


def test_noiseless_guided_search_trains_as_clipped_likelihood_does(tmp_path: Path) -> None:
    trainers = [make_trainer(tmp_path / name, max_steps=3, clip_norm=0.3) for name in ("search", "likelihood")]
    rule = ParameterSearch(TeacherForcedCost(), noise=0.0, components="mle", clip_norm=0.3)
    trainers[0].gradient_rule = rule
    for trainer in trainers:
        trainer.run()
    search, likelihood = (snapshot(trainer)["weights"] for trainer in trainers)
    for name, weights in likelihood.items():
        torch.testing.assert_close(search[name], weights, rtol=1e-5, atol=1e-6)


def released_step(model: Any, clip_norm: float, size: float, alpha: float, seed: int, step: int) -> list[torch.Tensor]:
    """Return `.grad` by the authors' algorithm, written down anew: state dictionaries, densities of variance 1, the
    cost of the current weights, and softmax by its definition."""
    gradient = [-g for g in clipped_gradient(model, clip_norm)]  # d
    cost, theta = TeacherForcedCost(), [p.detach().clone() for p in model.parameters()]

    def cost_at(update: list[torch.Tensor]) -> float:
        other = TinyModel().double().eval()
        with torch.no_grad():
            for parameter, value, change in zip(other.parameters(), theta, update, strict=True):
                parameter.copy_(value + change)
        return cost.value(cost.statistics(other, BATCH, 0))

    before = cost_at([torch.zeros_like(value) for value in theta])
    updates, ratios = [], []
    for k in range(4):
        scales = [size * g.abs().mean() for g in gradient]
        update = [s * noise(seed, step, k, place, g) for place, (s, g) in enumerate(zip(scales, gradient, strict=True))]
        if k in (0, 2):
            update = [n + g for n, g in zip(update, gradient, strict=True)]
        flat, guide = torch.cat([u.flatten() for u in update]), torch.cat([g.flatten() for g in gradient])
        density = 0.5 * torch.exp(-0.5 * flat @ flat) + 0.5 * torch.exp(-0.5 * (flat - guide) @ (flat - guide))
        ratios.append(numpy.exp(alpha * (before - cost_at(update))) / float(density))
        updates.append(update)
    weights = numpy.array(ratios) / sum(ratios)
    return [-sum(w * u[place] for w, u in zip(weights, updates, strict=True)) for place in range(len(theta))]


@pytest.mark.parametrize("alpha", [1.0, 30.0])
def test_unit_density_is_the_released_algorithm(alpha: float) -> None:
    model = TinyModel(dropout=0.3).double()
    torch.manual_seed(3)
    expected = released_step(model, 0.7, 1.3, alpha, seed=5, step=2)
    torch.manual_seed(3)
    rule = ParameterSearch(TeacherForcedCost(), alpha=alpha, noise=1.3, density="unit", clip_norm=0.7, seed=5)
    loss = searched(rule, CrossEntropy(label_smoothing=0.1), model, BATCH, step=2)
    for found, gradient in zip(gradients(model), expected, strict=True):
        torch.testing.assert_close(found, gradient, rtol=1e-5, atol=1e-6)
    assert float(loss.logs["effective_sample_size"]) < 3.999, "the costs do differ"


def test_weights_and_everything_random_are_as_without_a_search() -> None:
    model = TinyModel(dropout=0.3)
    before, cost = [p.detach().clone() for p in model.parameters()], TeacherForcedCost()
    states = {}
    for name, rule in (("search", ParameterSearch(cost, num_candidates=6)), ("backprop", Backprop())):
        torch.manual_seed(7)
        found = searched(rule, CrossEntropy(label_smoothing=0.1), model, BATCH)  # type: ignore[arg-type]
        states[name] = (torch.get_rng_state(), found.loss_sum / found.weight)
    assert torch.equal(states["search"][0], states["backprop"][0])
    assert states["search"][1] == states["backprop"][1], "the dropout of plain likelihood"
    assert len(cost.seen) == 6
    assert len({tuple(seen["weights"].tolist()) for seen in cost.seen}) == 6, "candidates differ"
    assert model.training
    for parameter, value in zip(model.parameters(), before, strict=True):
        assert torch.equal(parameter, value)


def test_weights_come_back_when_a_candidate_fails() -> None:
    class Failing(TeacherForcedCost):
        def statistics(self, *_: Any) -> numpy.ndarray:
            raise ValueError("no hypothesis")

    model = TinyModel(dropout=0.3)
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(ValueError, match="no hypothesis"):
        searched(ParameterSearch(Failing()), CrossEntropy(label_smoothing=0.1), model, BATCH)
    assert model.training
    assert all(torch.equal(parameter, value) for parameter, value in zip(model.parameters(), before, strict=True))


def test_candidates_are_measured_without_dropout_in_full_precision() -> None:
    cost = TeacherForcedCost()
    wrapped = nn.Module()
    wrapped.module = TinyModel(dropout=0.3)
    with torch.autocast("cpu", dtype=torch.bfloat16), searching(wrapped) as bare_model:
        assert bare_model is wrapped.module
        cost.statistics(bare_model, BATCH, 0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        searched(ParameterSearch(cost), CrossEntropy(label_smoothing=0.1), TinyModel(dropout=0.3), BATCH)
    assert [(seen["training"], seen["autocast"]) for seen in cost.seen] == [(False, False)] * 5
    assert cost.seen[-1]["length"] == int(1.3 * BATCH.labels.shape[1])


def test_measured_costs_are_those_of_the_moved_weights_and_logged() -> None:
    model, cost = TinyModel().double(), TeacherForcedCost()
    loss = searched(ParameterSearch(cost, measure_current=True), CrossEntropy(label_smoothing=0.1), model, BATCH)
    current = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert torch.equal(cost.seen[-1]["weights"], current)
    assert float(loss.weight) == 1.0
    nll = cost.value(cost.statistics(model.eval(), BATCH, 0))
    assert float(loss.logs["cost_current"]) == pytest.approx(nll)
    assert float(loss.logs["nll_sum"]) == pytest.approx(nll), "the objective's logs are means"
    values = {name: float(value) for name, value in loss.logs.items()}
    assert values["cost_min"] < values["cost_mean"] < values["cost_max"]
    assert 1 / 4 < values["largest_weight"] <= 1
    assert 1 <= values["effective_sample_size"] <= 4
    assert values["target_tokens"] == loss.num_target_tokens == BATCH.num_target_tokens


def test_a_gradient_that_is_no_number_is_left_to_the_trainer() -> None:
    model, cost = TinyModel(), TeacherForcedCost()

    def poisoned(model: Any, batch: Any, step: int) -> Any:
        loss = CrossEntropy(label_smoothing=0.0)(model, batch, step)
        return type(loss)(loss.loss_sum * torch.nan, loss.weight)

    loss = searched(ParameterSearch(cost), poisoned, model, BATCH)
    assert loss.loss_sum.isnan()
    assert gradients(model)[0].isnan().all()
    assert cost.seen == []


def test_greedy_costs_are_those_of_a_model_with_the_moved_weights() -> None:
    """Every candidate's hypotheses are those of another model with its weights; none is longer than its limit."""
    torch.manual_seed(0)
    model = tiny_model(vocab_size=13, tie_embeddings="all", eos_token_id=2).float()
    cost = make_cost("character_error_rate")
    tokenizer = CharTokenizer("abcdefghi")
    seen: list[tuple[list[torch.Tensor], numpy.ndarray]] = []

    class Noted(GreedyCost):
        def statistics(self, model: Any, batch: Any, max_length: int) -> numpy.ndarray:
            found = super().statistics(model, batch, max_length)
            seen.append(([p.detach().clone() for p in model.parameters()], found))
            return found

    rule = ParameterSearch(Noted(cost, tokenizer), noise=20.0)
    searched(rule, CrossEntropy(label_smoothing=0.0), model, BATCH)
    assert len({found[1] for _, found in seen}) > 1, "candidates differ in what they cost"
    other = tiny_model(vocab_size=13, tie_embeddings="all", eos_token_id=2).float()
    references = [tokenizer.decode(row[row != IGNORED_LABEL].tolist()) for row in BATCH.labels]
    for weights, found in seen:
        with torch.no_grad():
            for parameter, value in zip(other.parameters(), weights, strict=True):
                parameter.copy_(value)
        limit = int(1.3 * BATCH.labels.shape[1])
        hypotheses = [tokenizer.decode(greedy(other, *pair, limit)) for pair in zip(*BATCH_INPUTS, strict=True)]
        numpy.testing.assert_array_equal(found, cost.statistics(hypotheses, references).sum(0))


@pytest.mark.parametrize("at_once", [2, 3, 5])
def test_candidates_decoded_at_once_cost_what_they_cost_one_by_one(at_once: int) -> None:
    """Five with the current weights, so that with three at once two are left and with two one, which stands alone."""
    torch.manual_seed(0)
    model = tiny_model(vocab_size=13, tie_embeddings="all", eos_token_id=2).float()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    cost = GreedyCost(make_cost("character_error_rate"), CharTokenizer("abcdefghi"))
    rules = [ParameterSearch(cost, noise=20.0, measure_current=True, candidates_at_once=n) for n in (1, at_once)]
    losses, updates = [], []
    for rule in rules:
        losses.append(searched(rule, CrossEntropy(label_smoothing=0.0), model, BATCH))
        updates.append(gradients(model))
    assert losses[0].logs == losses[1].logs
    assert losses[0].logs["cost_min"] < losses[0].logs["cost_max"]
    for one_by_one, together in zip(*updates, strict=True):
        assert torch.equal(one_by_one, together)
    assert all(map(torch.equal, before, model.parameters()))


BATCH_INPUTS = (BATCH.input_ids, BATCH.attention_mask)


@torch.no_grad()
def greedy(model: Any, input_ids: torch.Tensor, mask: torch.Tensor, max_length: int) -> list[int]:
    """Return the likeliest tokens of one source by repeated teacher forcing."""
    tokens = [model.decoder_start_id]
    while len(tokens) <= max_length and tokens[-1] != model.eos_id:
        logits = model(input_ids[mask][None], mask[mask][None], torch.tensor([tokens])).logits
        tokens.append(int(logits[0, -1].argmax()))
    return tokens[1:]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_candidates": 3}, r"`num_candidates` must be even.* at least 2, but is 3"),
        ({"num_candidates": 1, "components": "zero"}, "at least 2, but is 1"),
        ({"alpha": -1.0}, "must not be negative"),
        ({"candidates_at_once": 0}, "`candidates_at_once` must be at least 1, but is 0"),
        ({"density": "true"}, "`density` must be one of none, unit, but is 'true'"),
        ({"components": "one"}, "`components` must be one of both, zero, mle"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ParameterSearch(TeacherForcedCost(), **options)


def test_an_odd_number_of_candidates_of_one_component_is_allowed() -> None:
    assert ParameterSearch(TeacherForcedCost(), num_candidates=3, components="mle").num_candidates == 3


def test_weights_in_bfloat16_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Parameter search moves weights by less than torch.bfloat16 can hold"):
        searched(
            ParameterSearch(TeacherForcedCost()),
            CrossEntropy(label_smoothing=0.0),
            TinyModel().to(torch.bfloat16),
            BATCH,
        )


def test_nothing_can_be_accumulated() -> None:
    model, rule = TinyModel(), ParameterSearch(TeacherForcedCost())
    searched(rule, CrossEntropy(label_smoothing=0.0), model, BATCH)
    with pytest.raises(AssertionError, match="nothing can be accumulated"):
        rule(CrossEntropy(label_smoothing=0.0), model, BATCH, 2, lambda scalar: scalar.backward())
