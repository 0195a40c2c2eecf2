import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from seq2seq.data.batch import IGNORED_LABEL, Batch
from seq2seq.gradients import adversarial
from seq2seq.gradients.adversarial import AdversarialTraining, GradientPenalty
from seq2seq.gradients.base import Backprop, GradientRule
from seq2seq.objectives.base import LossSum, Objective
from seq2seq.objectives.cross_entropy import CrossEntropy
from seq2seq.objectives.decoder_inputs import WithDecoderInputs
from seq2seq.objectives.first_pass import Mixing
from seq2seq.objectives.gold_schedules import GoldSchedule
from seq2seq.objectives.scheduled_sampling import ScheduledSampling
from tests.models.tiny import tiny_model
from tests.objectives.batches import SPECIAL_IDS, random_batch

RULES: list[GradientRule] = [AdversarialTraining(perturbation_size=2.0), GradientPenalty(penalty_weight=0.7)]
each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)


def full_loss(model: nn.Module, batch: Batch, step: int = 1) -> LossSum:
    """Cross-entropy of whole logits by torch: differentiable twice, and in the model's own precision."""
    logits = model(**batch.model_inputs()).logits
    labels = batch.labels.flatten()
    loss_sum = cross_entropy(logits.flatten(0, 1), labels, reduction="sum", ignore_index=IGNORED_LABEL)
    return LossSum(loss_sum, (labels != IGNORED_LABEL).sum().double())


def run(rule: GradientRule, objective: Objective, model: nn.Module, batch: Batch) -> tuple[LossSum, list[Tensor]]:
    model.zero_grad()
    loss = rule(objective, model, batch, 1, lambda scalar: scalar.backward())
    return loss, [p.grad.clone() for p in model.parameters() if p.grad is not None]


def flat(gradients: list[Tensor]) -> Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients])


# ---- by hand ----


class Line(nn.Module):
    """L = 1/2 (a . e)^2 over all source positions, with e = (1, 0) for each token and a = (3, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(torch.tensor([[1.0, 0.0]]).double())
        self.a = nn.Parameter(torch.tensor([3.0, 4.0]).double())

    def get_input_embeddings(self) -> nn.Module:
        return self.embedding


def half_square(model: Any, batch: Batch, step: int) -> LossSum:
    vectors = model.embedding(batch.input_ids)
    if batch.source_perturbation is not None:
        vectors = vectors + batch.source_perturbation
    return LossSum(0.5 * (vectors @ model.a).square().sum(), torch.tensor(1.0))


def one_token() -> Batch:
    ids = torch.zeros(1, 1).long()
    return Batch(ids, torch.ones(1, 1).bool(), ids, ids, ids[0])


@pytest.mark.parametrize("norm_over", ["batch", "row"])
def test_adversarial_step_by_hand(norm_over: Any) -> None:
    """g = (a . e) a = (9, 12), of length 15; e + 0.5 g / 15 = (1.3, 0.4), where a . e = 5.5."""
    loss, gradients = run(AdversarialTraining("source", 0.5, norm_over), half_square, Line(), one_token())
    assert loss.loss_sum.item() == pytest.approx(5.5**2 / 2)
    assert loss.logs["clean_loss"].item() == pytest.approx(4.5)
    assert gradients[0].tolist() == pytest.approx([5.5 * 1.3, 5.5 * 0.4])


def test_penalty_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """|g|^2 = (a . e)^2 |a|^2 = 225; its gradient in a is 2 (a . e) |a|^2 e + 2 (a . e)^2 a = (204, 72).

    With weight 2 and L's own gradient (a . e) e = (3, 0), that is (207, 72), and the loss 4.5 + 225.
    """
    loss, gradients = run(GradientPenalty("source", 2.0), half_square, Line(), one_token())
    assert loss.loss_sum.item() == pytest.approx(229.5)
    assert loss.logs["gradient_penalty"].item() == pytest.approx(225.0)
    assert gradients[0].tolist() == pytest.approx([207.0, 72.0], rel=1e-5)
    monkeypatch.setitem(adversarial.RELATIVE_STEPS, "fp32", 1e-6)
    assert run(GradientPenalty("source", 2.0), half_square, Line(), one_token())[1][0].tolist() == pytest.approx(
        [207.0, 72.0], rel=1e-8
    )


# ---- against differentiating twice ----


def exact_penalty(model: nn.Module, batch: Batch, where: str, weight: float) -> tuple[Tensor, list[Tensor]]:
    """Return loss and gradients of L + weight / 2 |dL/de|^2 by double backward."""
    sides = ("source", "target") if where == "both" else (where,)
    shapes = {"source": batch.input_ids.shape, "target": batch.labels.shape}
    zeros: dict[str, Any] = {
        f"{side}_perturbation": torch.zeros(*shapes[side], 23).double().requires_grad_() for side in sides
    }
    model.zero_grad()
    loss = full_loss(model, replace(batch, **zeros)).loss_sum
    found = torch.autograd.grad(loss, list(zeros.values()), create_graph=True)
    total = loss + 0.5 * weight * sum(part.square().sum() for part in found)
    total.backward()
    return total.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("where", ["source", "target", "both"])
@pytest.mark.parametrize("rows_per_source", [1, 2])
def test_penalty_equals_double_backward(where: Any, rows_per_source: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model(activation="gelu", dropout=0.0)
    batch = random_batch(3, rows_per_source)
    value, expected = exact_penalty(model, batch, where, 0.7)
    errors = []
    for step in (4e-2, 2e-2, 1e-3):
        monkeypatch.setitem(adversarial.RELATIVE_STEPS, "fp32", step)
        loss, found = run(GradientPenalty(where, 0.7), full_loss, model, batch)
        assert loss.loss_sum.item() == pytest.approx(value.item(), rel=1e-9)
        errors.append(float((flat(found) - flat(expected)).norm() / flat(expected).norm()))
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.3), "the error falls with the square of the step"
    assert errors[2] < 1e-4


def test_penalty_of_the_real_loss_at_its_own_step() -> None:
    """The loss of training sums in float32, and is differentiable once."""
    model = tiny_model(activation="gelu", dropout=0.0)
    batch = random_batch()
    _, plain = run(Backprop(), full_loss, model, batch)
    _, expected = exact_penalty(model, batch, "both", 0.7)
    _, found = run(GradientPenalty("both", 0.7), CrossEntropy(label_smoothing=0.0), model, batch)
    of_penalty = flat(expected) - flat(plain)
    error = flat(found) - flat(expected)
    assert float(error.norm() / of_penalty.norm()) < 2e-3


def test_penalty_in_half_precision_points_the_same_way() -> None:
    model = tiny_model(activation="gelu", dropout=0.0).float()
    batch = random_batch()

    def of_penalty(precision: Any, rule: type[Any] = GradientPenalty) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            with_penalty = flat(
                run(GradientPenalty("both", 3.0, precision), CrossEntropy(label_smoothing=0.0), model, batch)[1]
            )
            return with_penalty - flat(run(Backprop(), CrossEntropy(label_smoothing=0.0), model, batch)[1])

    assert float(torch.cosine_similarity(of_penalty("fp32"), of_penalty("bf16"), dim=0)) > 0.9


# ---- invariants ----


@pytest.mark.parametrize("rule", [AdversarialTraining(perturbation_size=0.0), GradientPenalty(penalty_weight=0.0)])
def test_neutral_settings_are_backprop_bit_for_bit(rule: GradientRule) -> None:
    model, batch, results = tiny_model(dropout=0.3).train(), random_batch(), []
    for one in (Backprop(), rule):
        torch.manual_seed(3)
        loss, gradients = run(one, CrossEntropy(label_smoothing=0.1), model, batch)
        results.append([loss.loss_sum, loss.weight, *loss.logs.values(), *gradients, torch.get_rng_state()])
    for first, second in zip(*results, strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("rule", [AdversarialTraining(perturbation_size=1e-7), GradientPenalty(penalty_weight=1e-7)])
def test_all_passes_have_the_dropout_of_plain_training(rule: GradientRule) -> None:
    """Near their neutral settings rules come close to backprop, which they would not with other masks."""
    model, batch, results = tiny_model(activation="gelu", dropout=0.3, token_dropout=0.1).train(), random_batch(), []
    for one in (Backprop(), rule):
        torch.manual_seed(3)
        gradients = flat(run(one, CrossEntropy(label_smoothing=0.1), model, batch)[1])
        results.append((gradients, torch.get_rng_state()))
    (expected, state), (found, other_state) = results
    assert float((found - expected).norm() / expected.norm()) < 1e-3
    assert torch.equal(state, other_state)


@dataclass
class Noting:
    """An objective that keeps the batches that it sees."""

    objective: Objective
    seen: list[Batch] = field(default_factory=list)

    def __call__(self, model: nn.Module, batch: Batch, step: int) -> LossSum:
        self.seen.append(batch)
        return self.objective(model, batch, step)


@pytest.mark.parametrize("where", ["source", "target", "both"])
@pytest.mark.parametrize("norm_over", ["batch", "row"])
@pytest.mark.parametrize("rows_per_source", [1, 2])
def test_moves_have_the_length_asked_for_and_raise_the_loss(where: Any, norm_over: Any, rows_per_source: int) -> None:
    model, batch = tiny_model(), random_batch(5, rows_per_source)
    objective = Noting(full_loss)
    loss, _ = run(AdversarialTraining(where, 0.25, norm_over), objective, model, batch)
    moved = objective.seen[-1]
    assert (moved.source_perturbation is not None) == (where != "target")
    assert (moved.target_perturbation is not None) == (where != "source")
    parts = [part.reshape(5, -1) for part in (moved.source_perturbation, moved.target_perturbation) if part is not None]
    lengths = torch.cat(parts, 1).norm(dim=1)
    if norm_over == "row":
        torch.testing.assert_close(lengths, torch.full((5,), 0.25).double())
    else:
        assert lengths.norm().item() == pytest.approx(0.25)
    assert loss.loss_sum > loss.logs["clean_loss"]


@pytest.mark.parametrize("rule", [AdversarialTraining(norm_over="row"), GradientPenalty()], ids=["row", "penalty"])
def test_parts_add_up_to_the_whole(rule: GradientRule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(adversarial.RELATIVE_STEPS, "fp32", 1e-4)
    model, whole = tiny_model(activation="gelu"), random_batch(5)

    def part(rows: slice) -> Batch:
        names = ("input_ids", "attention_mask", "decoder_input_ids", "labels", "rows")
        return Batch(*(getattr(whole, name)[rows] for name in names))

    loss, gradients = run(rule, full_loss, model, whole)
    parts = [run(rule, full_loss, model, part(rows)) for rows in (slice(2), slice(2, 5))]
    torch.testing.assert_close(sum(p.loss_sum for p, _ in parts), loss.loss_sum)
    torch.testing.assert_close(
        flat(parts[0][1]) + flat(parts[1][1]),
        flat(gradients),
        rtol=1e-5,
        atol=1e-5 * float(flat(gradients).abs().max()),
    )


@each_rule
def test_padding_is_not_moved(rule: GradientRule) -> None:
    objective, batch = Noting(full_loss), random_batch()
    run(rule, objective, tiny_model(), batch)
    moved = objective.seen[-1]
    assert moved.source_perturbation is not None
    assert moved.target_perturbation is not None
    assert torch.equal(moved.source_perturbation.abs().sum(-1) > 0, batch.attention_mask)
    assert torch.equal(moved.target_perturbation.abs().sum(-1) > 0, batch.labels != IGNORED_LABEL)


@each_rule
def test_decoder_inputs_are_decided_once(rule: GradientRule) -> None:
    """Every pass sees the same corrupted targets, also where a moved model would predict something else."""
    model, batch = tiny_model(dropout=0.1).train(), random_batch()
    objective = Noting(CrossEntropy(label_smoothing=0.0))
    inputs = ScheduledSampling(
        SPECIAL_IDS, 23**0.5, gold=GoldSchedule(step_schedule="constant", gold_floor=0.5), mixture=Mixing("soft")
    )
    run(rule, WithDecoderInputs(objective, inputs), model, batch)
    assert len(objective.seen) >= 2
    first = objective.seen[0]
    for other in objective.seen[1:]:
        assert torch.equal(other.decoder_input_ids, first.decoder_input_ids)
    assert not torch.equal(first.decoder_input_ids, batch.decoder_input_ids)


class Wrapper(nn.Module):
    """Notes like a data-parallel wrapper whether a call shares gradients."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.calls: list[bool] = []
        self.is_shared = True

    def forward(self, **inputs: Any) -> Any:
        self.calls.append(self.is_shared)
        return self.module(**inputs)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        self.is_shared = False
        yield
        self.is_shared = True


@each_rule
def test_a_data_parallel_model_shares_gradients_once(rule: GradientRule) -> None:
    bare, batch = tiny_model(), random_batch()
    _, expected = run(rule, CrossEntropy(label_smoothing=0.0), copy.deepcopy(bare), batch)
    wrapped = Wrapper(bare)
    _, found = run(rule, CrossEntropy(label_smoothing=0.0), wrapped, batch)
    assert wrapped.calls == ([True] if isinstance(rule, AdversarialTraining) else [False, True])
    assert torch.equal(flat(found), flat(expected))


@each_rule
def test_gradients_come_through_backward_alone_and_are_added(rule: GradientRule) -> None:
    model, batch = tiny_model(), random_batch()
    scalars: list[Tensor] = []
    loss = rule(CrossEntropy(label_smoothing=0.0), model, batch, 1, scalars.append)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(scalar.requires_grad for scalar in scalars)
    assert not loss.loss_sum.requires_grad
    assert not any(value.requires_grad for value in loss.logs.values())
    _, once = run(rule, CrossEntropy(label_smoothing=0.0), model, batch)
    rule(CrossEntropy(label_smoothing=0.0), model, batch, 1, lambda scalar: scalar.backward())
    twice = [p.grad for p in model.parameters() if p.grad is not None]
    torch.testing.assert_close(flat(twice), 2 * flat(once), rtol=1e-4, atol=1e-5)


def test_an_objective_that_ignores_token_vectors_is_refused() -> None:
    with pytest.raises(ValueError, match="where: target"):
        run(AdversarialTraining("target"), half_square, Line(), one_token())


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (AdversarialTraining, {"perturbation_size": -0.1}),
        (AdversarialTraining, {"where": "nowhere"}),
        (AdversarialTraining, {"norm_over": "token"}),
        (GradientPenalty, {"penalty_weight": -1.0}),
        (GradientPenalty, {"where": "nowhere"}),
    ],
)
def test_options_out_of_range_are_refused(kind: type[Any], options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"`{next(iter(options))}`"):
        kind(**options)
