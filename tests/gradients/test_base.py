import torch

from seq2seq.gradients.base import Backprop
from seq2seq.objectives.cross_entropy import CrossEntropy
from tests.training.fakes import TinyModel, make_batch


def test_backprop_adds_the_gradient_of_the_sum_and_returns_no_graph() -> None:
    model, objective = TinyModel(), CrossEntropy(label_smoothing=0.1)
    first, second = make_batch([0, 1]), make_batch([2])
    for batch in (first, second):
        loss = Backprop()(objective, model, batch, 1, lambda scalar: scalar.backward())
        assert not loss.loss_sum.requires_grad
    accumulated = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    (objective(model, first, 1) + objective(model, second, 1)).loss_sum.backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(accumulated[name], parameter.grad)


def test_backward_is_the_one_given() -> None:
    scalars: list[torch.Tensor] = []
    loss = Backprop()(CrossEntropy(label_smoothing=0.0), TinyModel(), make_batch([0]), 1, scalars.append)
    assert [scalar.item() for scalar in scalars] == [loss.loss_sum.item()]
