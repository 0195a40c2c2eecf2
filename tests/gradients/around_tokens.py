"""What holds for every rule that looks at the loss around the token vectors, and models to follow one by hand."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from seq2seq.data.batch import IGNORED_LABEL, Batch
from seq2seq.gradients.base import Backprop, GradientRule
from seq2seq.objectives.base import LossSum, Objective
from seq2seq.objectives.cross_entropy import CrossEntropy
from seq2seq.objectives.decoder_inputs import WithDecoderInputs
from seq2seq.objectives.first_pass import Mixing
from seq2seq.objectives.gold_schedules import GoldSchedule
from seq2seq.objectives.scheduled_sampling import ScheduledSampling
from tests.models.tiny import tiny_model
from tests.objectives.batches import SPECIAL_IDS, random_batch


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


# ---- what holds for every rule ----


@dataclass
class Noting:
    """An objective that keeps the batches that it sees."""

    objective: Objective
    seen: list[Batch] = field(default_factory=list)

    def __call__(self, model: nn.Module, batch: Batch, step: int) -> LossSum:
        self.seen.append(batch)
        return self.objective(model, batch, step)


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


def is_backprop_bit_for_bit(rule: GradientRule) -> None:
    model, batch, results = tiny_model(dropout=0.3).train(), random_batch(), []
    for one in (Backprop(), rule):
        torch.manual_seed(3)
        loss, gradients = run(one, CrossEntropy(label_smoothing=0.1), model, batch)
        results.append([loss.loss_sum, loss.weight, *loss.logs.values(), *gradients, torch.get_rng_state()])
    for first, second in zip(*results, strict=True):
        assert torch.equal(first, second)


def all_passes_have_the_dropout_of_plain_training(rule: GradientRule) -> None:
    """Near their neutral settings rules come close to backprop, which they would not with other masks."""
    model, batch, results = tiny_model(activation="gelu", dropout=0.3, token_dropout=0.1).train(), random_batch(), []
    for one in (Backprop(), rule):
        torch.manual_seed(3)
        gradients = flat(run(one, CrossEntropy(label_smoothing=0.1), model, batch)[1])
        results.append((gradients, torch.get_rng_state()))
    (expected, state), (found, other_state) = results
    assert float((found - expected).norm() / expected.norm()) < 1e-3
    assert torch.equal(state, other_state)


def parts_add_up_to_the_whole(rule: GradientRule) -> None:
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


def padding_is_not_moved(rule: GradientRule) -> None:
    objective, batch = Noting(full_loss), random_batch()
    run(rule, objective, tiny_model(), batch)
    moved = objective.seen[-1]
    assert moved.source_perturbation is not None
    assert moved.target_perturbation is not None
    assert torch.equal(moved.source_perturbation.abs().sum(-1) > 0, batch.attention_mask)
    assert torch.equal(moved.target_perturbation.abs().sum(-1) > 0, batch.labels != IGNORED_LABEL)


def decoder_inputs_are_decided_once(rule: GradientRule) -> None:
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


def a_data_parallel_model_shares_gradients_once(rule: GradientRule, num_passes: int) -> None:
    """The first pass goes around the wrapper; of the `num_passes` others the last shares."""
    bare, batch = tiny_model(), random_batch()
    _, expected = run(rule, CrossEntropy(label_smoothing=0.0), copy.deepcopy(bare), batch)
    wrapped = Wrapper(bare)
    _, found = run(rule, CrossEntropy(label_smoothing=0.0), wrapped, batch)
    assert wrapped.calls == [*[False] * (num_passes - 1), True]
    assert torch.equal(flat(found), flat(expected))


def gradients_come_through_backward_alone_and_are_added(rule: GradientRule) -> None:
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


INVARIANTS: list[Callable[[GradientRule], None]] = [
    padding_is_not_moved,
    decoder_inputs_are_decided_once,
    gradients_come_through_backward_alone_and_are_added,
]
