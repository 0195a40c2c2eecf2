import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from seq2seq.data.batch import IGNORED_LABEL, Batch
from seq2seq.gradients.base import Backward
from seq2seq.objectives.base import LossSum, Objective
from seq2seq.training.schedules import schedule_named
from seq2seq.training.tracking import read_log
from seq2seq.training.trainer import Trainer
from tests.training.fakes import FakeLoader, TinyModel, assert_same_bits, make_batch, make_trainer, snapshot


class Stream:
    """Micro-batches of given rows, once."""

    def __init__(self, *rows: list[int]) -> None:
        self.rows = rows

    def micro_batches(self, position: Any) -> Any:
        return ((index, make_batch(rows)) for index, rows in enumerate(self.rows))


def gradients_of_step(folder: Path, monkeypatch: pytest.MonkeyPatch, *rows: list[int], **options: Any) -> list[Tensor]:
    """Return the gradients that reach the optimizer when these micro-batches make one step."""
    trainer = make_trainer(folder, gradient_accumulation=len(rows), dropout=0.0, **options)
    seen: list[Tensor] = []
    monkeypatch.setattr(
        trainer.optimizer, "step", lambda: seen.extend(p.grad.clone() for p in trainer.parameters if p.grad is not None)
    )
    trainer.train_step(iter(Stream(*rows).micro_batches(None)))
    return seen


def losses(folder: Path) -> list[tuple[str, int, float]]:
    return [(entry["kind"], entry["step"], entry["loss"]) for entry in read_log(folder / "log.jsonl")]


# ---- one step --------------------------------------------------------------------------------------------------------

ROWS = [0, 1, 2, 3, 4, 5, 6, 7]
SPLITS = [[ROWS], [ROWS[:4], ROWS[4:]], [[row] for row in ROWS], [ROWS[:1], ROWS[1:6], ROWS[6:]]]


@pytest.mark.parametrize("split", SPLITS)
def test_gradient_is_that_of_the_mean_over_all_tokens_however_split(
    split: list[list[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = gradients_of_step(tmp_path, monkeypatch, *split, clip_norm=0.0)
    model, batch = TinyModel().double(), make_batch(ROWS)
    logits = model(**batch.model_inputs()).logits
    cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), label_smoothing=0.1).backward()
    for ours_one, parameter in zip(ours, model.parameters(), strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(
            ours_one.double(), parameter.grad, rtol=1e-5, atol=1e-6 * float(parameter.grad.abs().max())
        )


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("level", [0.5, 50.0])
def test_flooding_is_exact_under_accumulation(
    split: list[list[int]], level: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = gradients_of_step(tmp_path, monkeypatch, *split, clip_norm=0.0, flooding=level)
    model, batch = TinyModel(), make_batch(ROWS)
    logits = model(**batch.model_inputs()).logits
    mean = cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), label_smoothing=0.1)
    assert 0.5 < mean.item() < 50.0, "one level must be below the loss and one above"
    ((mean - level).abs() + level).backward()
    for ours_one, parameter in zip(ours, model.parameters(), strict=True):
        torch.testing.assert_close(ours_one, parameter.grad, rtol=1e-4, atol=1e-5)


def test_clipping_acts_on_the_mean_gradient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clipped = gradients_of_step(tmp_path, monkeypatch, ROWS[:4], ROWS[4:], clip_norm=0.25)
    norm = math.sqrt(sum(float((g.double() ** 2).sum()) for g in clipped))
    assert norm == pytest.approx(0.25, rel=1e-5)


def losses_of_six_micro_batches(folder: Path, accumulation: int) -> list[float]:
    trainer = make_trainer(folder, dropout=0.5, gradient_accumulation=accumulation, learning_rate=1e-30)
    seen: list[float] = []

    def rule(objective: Objective, model: Any, batch: Batch, step: int, backward: Backward) -> LossSum:
        loss = objective(model, batch, step)
        backward(loss.loss_sum)
        seen.append(float(loss.loss_sum.detach()))
        torch.rand(accumulation)  # whatever a rule draws besides must not leak into the next micro-batch
        return loss.detach()

    trainer.gradient_rule = rule
    stream = iter(FakeLoader().micro_batches(None))
    for _ in range(6 // accumulation):
        trainer.train_step(stream)
    return seen


def test_dropout_depends_on_the_number_of_the_micro_batch_only(tmp_path: Path) -> None:
    """Six micro-batches as 6 x 1 without updates and as 2 x 3: every micro-batch has the same loss."""
    found = [losses_of_six_micro_batches(tmp_path, accumulation) for accumulation in (1, 3)]
    assert found[0] == found[1]
    assert len(set(found[0])) == 6


def test_seed_changes_dropout(tmp_path: Path) -> None:
    results = [
        make_trainer(tmp_path, dropout=0.5, seed=seed).train_step(iter(FakeLoader().micro_batches(None)))
        for seed in (1, 1, 2)
    ]
    values = [float(result.total.loss_sum) for result in results]
    assert values[0] == values[1] != values[2]


def test_learning_rate_follows_the_schedule(tmp_path: Path) -> None:
    make_trainer(tmp_path, max_steps=4, learning_rate=0.3).run()
    rates = [entry["learning_rate"] for entry in read_log(tmp_path / "log.jsonl") if entry["kind"] == "train"]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.3 * math.sqrt(3 / 4)])


def test_training_learns(tmp_path: Path) -> None:
    make_trainer(tmp_path, max_steps=150, dropout=0.0).run()
    values = [value for kind, _, value in losses(tmp_path) if kind == "train"]
    assert sum(values[-5:]) < 0.5 * sum(values[:5])


def test_bf16_computes_in_bf16_and_keeps_weights_and_loss_in_fp32(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, precision="bf16", dropout=0.0)
    seen: list[torch.dtype] = []
    (hidden,) = (
        module for module in trainer.model.modules() if isinstance(module, torch.nn.Linear) and module.bias is not None
    )
    hidden.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    result = trainer.train_step(iter(Stream(ROWS).micro_batches(None)))
    assert seen == [torch.bfloat16]
    assert result.total.loss_sum.dtype == torch.float32
    assert {parameter.dtype for parameter in trainer.parameters} == {torch.float32}
    expected = make_trainer(tmp_path, dropout=0.0).train_step(iter(Stream(ROWS).micro_batches(None)))
    assert result.total.mean != expected.total.mean
    assert result.total.mean == pytest.approx(expected.total.mean, rel=0.02)


# ---- what is not finite ----------------------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_names_step_and_rows_and_spares_the_weights(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, gradient_accumulation=2)
    objective = trainer.objective

    def poisoned(model: Any, batch: Batch, step: int) -> LossSum:
        loss = objective(model, batch, step)
        is_bad = step == 2 and bool((batch.rows == 11).any())
        return LossSum(loss.loss_sum * (math.inf if is_bad else 1.0), loss.weight, loss.logs)

    trainer.objective = poisoned
    stream = iter(Stream([1, 2], [3, 4], [5, 6], [7, 11]).micro_batches(None))
    trainer.train_step(stream)
    before = snapshot(trainer)
    with pytest.raises(FloatingPointError, match=r"loss became inf at step 2, among training rows 7, 11 \(counted"):
        trainer.train_step(stream)
    assert_same_bits(before, snapshot(trainer))


def test_a_gradient_that_is_not_finite_is_caught_too(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path)
    trainer.parameters[0].register_hook(lambda gradient: gradient * math.nan)
    with pytest.raises(FloatingPointError, match="gradient became nan at step 1, among training rows 8, 9 "):
        trainer.train_step(iter(Stream([8, 9]).micro_batches(None)))


# ---- resuming --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop_at", [1, 4, 5, 7])
@pytest.mark.parametrize(
    "options",
    [
        {"ema_decay": 0.9},
        {"gradient_accumulation": 2, "log_every": 3},
        {"precision": "bf16", "flooding": 3.0},
    ],
)
def test_resumed_is_uninterrupted_bit_by_bit(stop_at: int, options: dict[str, Any], tmp_path: Path) -> None:
    """An epoch is 5 micro-batches, so stops lie before, at and after epoch borders; dropout is on."""
    options = {"dropout": 0.3, "validate_every": 2, **options}
    whole_loader = FakeLoader()
    whole = make_trainer(tmp_path / "whole", loader=whole_loader, max_steps=9, **options)
    whole.run()

    first_loader, second_loader = FakeLoader(), FakeLoader()
    first = make_trainer(tmp_path / "parts", loader=first_loader, max_steps=9, checkpoint_every=stop_at, **options)
    stop_after(first, stop_at)
    second = make_trainer(tmp_path / "parts", loader=second_loader, max_steps=9, **options)
    state = second.run()

    assert_same_bits(snapshot(whole), snapshot(second))
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")
    assert first_loader.used + second_loader.used == whole_loader.used
    assert state.num_micro_batches == whole.state.num_micro_batches
    assert state.best == whole.state.best


def stop_after(trainer: Trainer, num_steps: int) -> None:
    """Run until a checkpoint of this step is saved, then stop like a crash."""
    save = trainer.checkpoints.save

    def save_then_crash(state: Any, **options: Any) -> Path:
        path = save(state, **options)
        if state.step == num_steps:
            raise KeyboardInterrupt
        return path

    trainer.checkpoints.save = save_then_crash  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        trainer.run()


def test_steps_after_the_checkpoint_are_made_and_logged_again(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, max_steps=9, checkpoint_every=4)
    objective = trainer.objective

    def crashing(model: Any, batch: Batch, step: int) -> LossSum:
        if step == 7 and model.training:
            raise RuntimeError("power cut")
        return objective(model, batch, step)

    trainer.objective = crashing
    with pytest.raises(RuntimeError, match="power cut"):
        trainer.run()
    assert [step for _, step, _ in losses(tmp_path)] == [1, 2, 3, 4, 5, 6]
    make_trainer(tmp_path, max_steps=9).run()
    assert [step for kind, step, _ in losses(tmp_path) if kind == "train"] == list(range(1, 10))


def test_a_finished_run_is_left_alone(tmp_path: Path) -> None:
    make_trainer(tmp_path, max_steps=3).run()
    log = (tmp_path / "log.jsonl").read_bytes()
    loader = FakeLoader()
    state = make_trainer(tmp_path, max_steps=3, loader=loader).run()
    assert state.step == 3
    assert loader.used == []
    assert (tmp_path / "log.jsonl").read_bytes() == log


def test_options_of_the_optimizer_are_those_of_the_present_run(tmp_path: Path) -> None:
    make_trainer(tmp_path, max_steps=2, learning_rate=0.05).run()
    trainer = make_trainer(tmp_path, max_steps=3, learning_rate=0.01)
    trainer.run()
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(0.01)


# ---- when it ends ----------------------------------------------------------------------------------------------------


def test_patience_ends_training_and_the_best_checkpoint_is_kept(tmp_path: Path) -> None:
    scores = iter([1.0, 5.0, 4.5, 4.0, 9.0])
    trainer = make_trainer(
        tmp_path,
        max_steps=50,
        validate_every=3,
        checkpoint_every=2,
        keep_checkpoints=1,
        patience=2,
        select_by="bleu",
        decode=lambda: {"bleu": next(scores)},
    )
    state = trainer.run()
    assert state.step == 12
    assert (state.best.step, state.best.value, state.best.num_since) == (6, 5.0, 2)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-00000006", "step-00000012"]


def test_time_limit_counts_earlier_parts(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, max_steps=2)
    trainer.run()
    spent = trainer.state.seconds
    loader = FakeLoader()
    state = make_trainer(tmp_path, max_steps=5, max_minutes=spent / 120, loader=loader).run()
    assert state.step == 2
    assert loader.used == []


def test_time_limit_ends_training_with_validation_and_checkpoint(tmp_path: Path) -> None:
    state = make_trainer(tmp_path, max_steps=50, max_minutes=1e-9).run()
    assert state.step == 2, "the first step spends the time, the second finds it spent"
    assert state.best.last_step == 2
    assert (tmp_path / "checkpoints/step-00000002").is_dir()


def test_without_validation_training_just_ends(tmp_path: Path) -> None:
    assert make_trainer(tmp_path, max_steps=2, validation_rows=None).run().best.step is None


@pytest.mark.parametrize(("losses", "averaged"), [((2.0, 1.5), True), ((1.5, 2.0), False), ((1.5, 1.5), True)])
def test_validation_scores_the_weights_or_their_average_whichever_has_the_lower_loss(
    losses: tuple[float, float], averaged: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []
    trainer = make_trainer(tmp_path, max_steps=2, ema_decay=0.5)
    assert trainer.validation is not None
    measured = iter(losses)

    def decode() -> dict[str, float]:
        seen.append(trainer.parameters[0].detach().clone())
        return {"bleu": 7.0}

    monkeypatch.setattr(trainer.validation, "decode", decode)
    monkeypatch.setattr(trainer.validation, "loss", lambda step: {"loss": next(measured)})
    state = trainer.run()
    assert trainer.ema is not None
    assert torch.equal(seen[0], (trainer.ema.averages if averaged else trainer.parameters)[0])
    assert not torch.equal(trainer.ema.averages[0], trainer.parameters[0])
    assert (state.best.averaged, state.best.loss) == (averaged, min(losses))
    [line] = [entry for entry in read_log(tmp_path / "log.jsonl") if entry["kind"] == "validation"]
    assert (line["loss"], line["loss_of_weights"], line["loss_of_average"]) == (min(losses), *losses)


def test_a_time_limit_brings_the_learning_rate_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of 15 seconds under a limit of a minute: the rate falls from a tenth of the time on, to 0 at its end."""
    trainer = make_trainer(tmp_path, max_steps=50, learning_rate=0.9, max_minutes=1.0, validation_rows=None)
    trainer.schedule = schedule_named(
        "linear", warmup_steps=1, max_steps=1000, learning_rate=0.9, final_learning_rate=0.0
    )
    clock = itertools.count(0, 15)
    monkeypatch.setattr("seq2seq.training.trainer.time.perf_counter", lambda: float(next(clock)))
    trainer.run()
    rates = [entry["learning_rate"] for entry in read_log(tmp_path / "log.jsonl") if entry["kind"] == "train"]
    assert rates == pytest.approx([0.9, 0.75, 0.5, 0.25, 0.0], abs=1e-6)


@pytest.mark.parametrize("option", [{"max_steps": 0}, {"gradient_accumulation": 0}])
def test_bad_options_are_named(option: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=next(iter(option))):
        make_trainer(tmp_path, **option)


def test_padding_only_labels_do_not_count(tmp_path: Path) -> None:
    result = make_trainer(tmp_path, dropout=0.0).train_step(iter(Stream(ROWS).micro_batches(None)))
    assert float(result.total.weight) == int((make_batch(ROWS).labels != IGNORED_LABEL).sum())
