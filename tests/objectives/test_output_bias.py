"""A bias of the logits is part of every loss: one made of states and weight is that of a forward's own logits."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.profiler import ProfilerActivity, profile

from seq2seq.data.batch import IGNORED_LABEL, Batch
from seq2seq.models.transformer import Seq2SeqTransformer
from seq2seq.objectives import functional
from seq2seq.objectives.cross_entropy import CrossEntropy
from seq2seq.objectives.functional import label_smoothed_nll
from seq2seq.objectives.minimum_risk import MinimumRisk
from seq2seq.objectives.r_drop import RDrop
from tests.objectives.generated import candidate_search, pairs, searched_model, text_cost

ROWS = [0, 1, 2, 3, 4]
KINDS: list[dict[str, Any]] = [{}, {"tie_embeddings": "none"}, {"output_scale": True}]


def biased_model(**options: Any) -> Seq2SeqTransformer:
    """Return a model in training mode whose bias decides what is likely."""
    model = searched_model(output_bias=True, dropout=0.1, **options)
    with torch.no_grad():
        model.lm_head.bias.copy_(2 * torch.randn(11))
    return model


def gradients(model: Seq2SeqTransformer, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


def assert_same_loss(model: Seq2SeqTransformer, found: Tensor, expected: Tensor) -> None:
    """Compare two losses, and the gradients of all weights; the bias has none."""
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0, check_dtype=False)
    ours, theirs = gradients(model, found), gradients(model, expected)
    assert ours.keys() == theirs.keys()
    assert "lm_head.bias" not in ours
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, theirs[name], rtol=1e-5, atol=1e-6)


def logits_of(model: Seq2SeqTransformer, batch: Batch) -> Tensor:
    """Return what `forward` makes, with the same dropout as the objective's own."""
    torch.manual_seed(5)
    return model(**batch.model_inputs()).logits


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_cross_entropy(label_smoothing: float, options: dict[str, Any]) -> None:
    model, batch = biased_model(**options), pairs(ROWS)
    torch.manual_seed(5)
    loss = CrossEntropy(label_smoothing=label_smoothing)(model, batch, step=1)
    logits, labels = logits_of(model, batch).flatten(0, 1), batch.labels.flatten()
    expected = cross_entropy(logits, labels, reduction="sum", label_smoothing=label_smoothing)
    assert loss.logs["correct"].item() == (logits.argmax(-1) == labels).sum()
    assert_same_loss(model, loss.loss_sum, expected)


@pytest.mark.parametrize("options", KINDS)
def test_r_drop(options: dict[str, Any]) -> None:
    model, batch, alpha = biased_model(**options), pairs(ROWS), 3.0
    torch.manual_seed(5)
    loss = RDrop(consistency_weight=alpha, label_smoothing=0.1)(model, batch, step=1)
    real = batch.labels != IGNORED_LABEL
    first, second = (half[real] for half in logits_of(model, batch.repeated(2)).chunk(2))
    smooth: dict[str, Any] = {"reduction": "sum", "label_smoothing": 0.1}
    expected = cross_entropy(first, batch.labels[real], **smooth) + cross_entropy(second, batch.labels[real], **smooth)
    p, q = first.log_softmax(-1), second.log_softmax(-1)
    expected = expected + alpha * ((p.exp() - q.exp()) * (p - q)).sum() / 2
    assert_same_loss(model, loss.loss_sum, expected)


@pytest.mark.parametrize("options", KINDS)
def test_minimum_risk(options: dict[str, Any]) -> None:
    model, batch, search, cost = biased_model(**options), pairs([3]), candidate_search(7), text_cost()
    model.eval()  # candidates are found in this mode, and scored with dropout otherwise
    objective = MinimumRisk(mle_weight=0.0, candidates=search, text_cost=cost, sharpness=0.8)
    loss = objective(model, batch, step=1)
    found = search(model, batch)
    labels = found.batch.labels
    log_probs = logits_of(model, found.batch).log_softmax(-1)
    picked = log_probs.gather(2, labels.clamp(min=0).unsqueeze(2)).squeeze(2).masked_fill(labels == IGNORED_LABEL, 0.0)
    weights = (0.8 * picked.sum(1)).softmax(0)
    assert bool(found.is_real.all())
    assert_same_loss(model, loss.loss_sum, 3 * (weights * cost(found, batch)[0]).sum())


def test_nothing_of_the_size_of_the_weight_is_made_but_its_gradient_and_its_rounded_copy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(functional, "ENTRIES_AT_A_TIME", {"cpu": 2**16})
    size, labels = 20_011 * 64, torch.tensor([[0, 1, 2, IGNORED_LABEL]])
    hidden, weight = torch.randn(1, 4, 64, requires_grad=True), torch.randn(20_011, 64, requires_grad=True)
    with (
        torch.autocast("cpu", torch.bfloat16),
        profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiled,
    ):
        label_smoothed_nll(hidden, weight, labels, 0.1, torch.randn(20_011)).loss_sum.backward()
    large = sorted(event.self_cpu_memory_usage for event in profiled.events() if event.self_cpu_memory_usage > size)
    assert large == [2 * size, 4 * size]
