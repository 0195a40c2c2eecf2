import pytest
import torch
from torch.nn.functional import cross_entropy

from seq2seq.objectives.base import LossSum
from seq2seq.objectives.cross_entropy import CrossEntropy
from tests.training.fakes import TinyModel, make_batch


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_is_torch_cross_entropy_with_its_weight_and_logs(label_smoothing: float) -> None:
    model, batch = TinyModel(), make_batch([0, 1, 2, 3, 4])
    loss = CrossEntropy(label_smoothing=label_smoothing)(model, batch, step=1)
    logits = model(**batch.model_inputs()).logits.flatten(0, 1)
    labels = batch.labels.flatten()
    expected = cross_entropy(logits, labels, reduction="sum", label_smoothing=label_smoothing)
    torch.testing.assert_close(loss.loss_sum, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(loss.logs["nll_sum"], cross_entropy(logits, labels, reduction="sum"), rtol=1e-6, atol=0)
    assert loss.logs["correct"].item() == (logits.argmax(-1) == labels).sum()
    # Sources of rows 0..4 have 2, 3, 4, 2, 3 tokens; each target has one more, end of sentence.
    assert loss.weight.item() == batch.num_target_tokens == 19


def test_parts_add_up_to_the_whole() -> None:
    model, objective = TinyModel(), CrossEntropy(label_smoothing=0.1)
    whole = objective(model, make_batch([0, 1, 2, 3]), step=1)
    parts = sum((objective(model, make_batch([row]), step=1) for row in range(4)), LossSum.zero())
    assert parts.weight.item() == whole.weight.item()
    torch.testing.assert_close(parts.loss_sum, whole.loss_sum)
    torch.testing.assert_close(parts.logs["nll_sum"], whole.logs["nll_sum"])


@pytest.mark.parametrize("label_smoothing", [-0.1, 1.0])
def test_label_smoothing_out_of_range_is_refused(label_smoothing: float) -> None:
    with pytest.raises(ValueError, match="label_smoothing"):
        CrossEntropy(label_smoothing=label_smoothing)
