import math

import pytest
import torch

from seq2seq.data.batch import IGNORED_LABEL
from seq2seq.experimental.bag_of_words import BagOfWords, bags_of_words, zlpr
from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig
from seq2seq.objectives.cross_entropy import CrossEntropy
from tests.objectives.neutrality import assert_is_cross_entropy
from tests.training.fakes import VOCAB_SIZE, make_batch

B, P, V = 3, 5, 11


def test_zlpr_by_hand() -> None:
    """Scores ln 2, ln 3, 0, the first positive: ln(1 + 3 + 1) + ln(1 + 1/2) = ln 7.5.

    Gradient: -(1/2) / (3/2), 3 / 5, 1 / 5.
    """
    scores = torch.tensor([math.log(2), math.log(3), 0.0], dtype=torch.float64, requires_grad=True)
    loss = zlpr(scores, torch.tensor([True, False, False]))
    loss.backward()
    assert loss.item() == pytest.approx(math.log(7.5))
    assert scores.grad is not None
    assert scores.grad.tolist() == pytest.approx([-1 / 3, 3 / 5, 1 / 5])


def test_masked_classes_change_nothing() -> None:
    scores = torch.randn(B, V, dtype=torch.float64)
    is_positive = torch.rand(B, V) < 0.4
    masked = torch.cat([scores, torch.full((B, 2), -torch.inf)], 1).requires_grad_()
    loss = zlpr(masked, torch.cat([is_positive, torch.zeros(B, 2, dtype=torch.bool)], 1))
    loss.sum().backward()
    torch.testing.assert_close(loss, zlpr(scores, is_positive))
    assert masked.grad is not None
    assert masked.grad.isfinite().all()
    assert not masked.grad[:, V:].any()


def test_the_gradient_is_that_of_differences() -> None:
    torch.manual_seed(0)
    scores, is_positive = (3 * torch.randn(B, V, dtype=torch.float64)).requires_grad_(), torch.rand(B, V) < 0.4
    assert torch.autograd.gradcheck(lambda scores: zlpr(scores, is_positive), scores)


def test_bags_are_sets_without_padding() -> None:
    labels = torch.tensor([[3, 1, 3, 2], [2, IGNORED_LABEL, IGNORED_LABEL, IGNORED_LABEL]])
    assert [row.nonzero().flatten().tolist() for row in bags_of_words(labels, 5)] == [[1, 2, 3], [2]]


def test_as_an_objective_it_adds_a_term_for_each_source_and_reaches_the_encoder_alone() -> None:
    torch.manual_seed(0)
    options = {"d_model": 8, "num_heads": 2, "ffn_size": 16, "encoder_layers": 1, "decoder_layers": 1, "dropout": 0.0}
    model = Seq2SeqTransformer(Seq2SeqTransformerConfig(vocab_size=VOCAB_SIZE, **options))
    batch = make_batch([0, 1, 2])
    loss, plain = (
        objective(model, batch, 1)
        for objective in (BagOfWords(0.7, label_smoothing=0.1), CrossEntropy(label_smoothing=0.1))
    )
    output = model(**batch.model_inputs())
    expected = torch.zeros(())
    for b, states in enumerate(output.encoder_last_hidden_state):
        scores = states[batch.attention_mask[b]].mean(0) @ model.lm_head.weight.T
        words = torch.tensor(sorted(set(batch.labels[b].tolist()) - {IGNORED_LABEL}))
        expected = expected + zlpr(scores, torch.isin(torch.arange(VOCAB_SIZE), words))
    torch.testing.assert_close(loss.logs["bag_of_words"], expected.detach())
    torch.testing.assert_close(loss.loss_sum, plain.loss_sum + 0.7 * expected)
    difference = loss.loss_sum - plain.loss_sum
    parts = {name: parameter for name, parameter in model.named_parameters() if "layers" in name}
    for name, gradient in zip(parts, torch.autograd.grad(difference, list(parts.values())), strict=True):
        assert name.startswith("encoder.") == bool(gradient.abs().max() > 1e-4), name


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_a_weight_of_zero_is_cross_entropy_to_the_last_bit(label_smoothing: float) -> None:
    assert_is_cross_entropy(BagOfWords(0.0, label_smoothing=label_smoothing), label_smoothing)


@pytest.mark.parametrize(("options", "name"), [((-1.0, 0.0), "bag_of_words_weight"), ((1.0, 1.0), "label_smoothing")])
def test_options_out_of_range_are_refused(options: tuple[float, ...], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        BagOfWords(options[0], label_smoothing=options[1])
