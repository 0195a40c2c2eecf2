import math
from typing import Any

import pytest
import torch

from seq2seq.objectives import first_pass as module
from seq2seq.objectives.first_pass import Mixing, first_pass, predictions, sampled
from tests.models.tiny import tiny_model
from tests.objectives.batches import SPECIAL_IDS, VOCAB_SIZE, SayingModel, random_batch

N, D, V = 5, 7, 11


@pytest.mark.parametrize(
    ("mixing", "expected"),
    [
        # Probabilities 1/2, 1/4, 1/4 over vectors (0, 0), (4, 0), (0, 8); at temperature 1/2 they are 4/6, 1/6, 1/6.
        (Mixing("soft"), [1.0, 2.0]),
        (Mixing("soft", 0.5), [4 / 6, 8 / 6]),
        (Mixing("top_k", mixing_top_k=1), [0.0, 0.0]),
        (Mixing("top_k", mixing_top_k=9), [1.0, 2.0]),
        (Mixing("top_k", 0.5, mixing_top_k=3), [4 / 6, 8 / 6]),
    ],
)
def test_expected_vectors_by_hand(mixing: Mixing, expected: list[float]) -> None:
    logits = torch.tensor([[math.log(2.0), 0.0, 0.0]], dtype=torch.float64)
    vectors = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 8.0]], dtype=torch.float64)
    ids, offsets = mixing(logits, vectors, torch.zeros(1))
    assert ids.tolist() == [0]
    assert (vectors[ids] + offsets)[0].tolist() == pytest.approx(expected)


def test_the_vector_is_the_expected_one_whichever_token_it_is_counted_from() -> None:
    logits, vectors = torch.randn(N, V).double(), torch.randn(V, D).double()
    ids, offsets = Mixing("soft")(logits, vectors, torch.zeros(N))
    assert torch.equal(ids, logits.argmax(-1))
    torch.testing.assert_close(vectors[ids] + offsets, logits.softmax(-1) @ vectors)


def test_argmax_and_samples_have_no_vectors() -> None:
    logits = torch.randn(N, V)
    for kind in ("argmax", "sampled"):
        ids, offsets = Mixing(kind)(logits, torch.randn(V, D), torch.rand(N))  # type: ignore[arg-type]
        assert (ids.shape, offsets.shape) == ((N,), (N, 0))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_samples_have_the_frequencies_of_the_softmax(temperature: float) -> None:
    logits = torch.tensor([1.0, -torch.inf, 0.0, 2.0, -torch.inf])
    expected = (logits / temperature).softmax(-1)
    uniform = torch.rand(20000, generator=torch.Generator().manual_seed(1))
    ids, _ = Mixing("sampled", temperature)(logits.expand(20000, 5), torch.eye(5), uniform)
    shares = torch.bincount(ids, minlength=5) / 20000
    assert shares[1] == shares[4] == 0
    torch.testing.assert_close(shares, expected, atol=3 * 0.5 / 20000**0.5, rtol=0)


def test_the_ends_of_the_unit_interval_are_tokens_that_may_be_drawn() -> None:
    logits = torch.tensor([[-torch.inf, 0.0, 0.0, -torch.inf]]).expand(2, 4)
    assert sampled(logits, torch.tensor([0.0, 1 - 2**-24])).tolist() == [1, 2]


@pytest.mark.parametrize("mixing", ["argmax", "soft"])
def test_blocks_change_nothing(mixing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, weight = torch.randn(3, 5, D).double(), torch.randn(V, D).double()
    rows, gold = torch.tensor([0, 2, 3, 7, 8, 11, 14]), torch.arange(7) + 3
    arguments = (hidden, weight, rows, gold, torch.rand(7), Mixing(mixing), torch.tensor([0, 1]))
    whole = predictions(*arguments)
    monkeypatch.setattr(module, "ENTRIES_OF_A_BLOCK", {"cpu": 3 * V})
    for one, other in zip(whole, predictions(*arguments), strict=True):
        torch.testing.assert_close(one, other)
    log_probs = (hidden.flatten(0, 1)[rows] @ weight.T).log_softmax(-1)
    torch.testing.assert_close(whole[2].log(), log_probs.gather(1, gold[:, None])[:, 0])
    assert torch.equal(whole[0], log_probs[:, 2:].argmax(-1) + 2)


def test_special_tokens_are_never_predicted() -> None:
    logits = torch.zeros(5, 8, VOCAB_SIZE).double()
    logits[:, :, list(SPECIAL_IDS)] = 50.0
    batch = random_batch()
    places = batch.decoder_input_ids > 2
    found = first_pass(
        SayingModel(logits), batch, places, Mixing("sampled"), SPECIAL_IDS, 1, torch.Generator().manual_seed(1)
    )
    assert len(found.ids) == int(places.sum())
    assert int(found.ids.min()) > 2


def test_no_place_is_a_pass_all_the_same() -> None:
    """Processes that share a model have to call it equally often, whatever they have drawn."""
    batch = random_batch()
    model = SayingModel(torch.zeros(*batch.labels.shape, VOCAB_SIZE))
    none = torch.zeros_like(batch.labels, dtype=torch.bool)
    found = first_pass(model, batch, none, Mixing("soft"), SPECIAL_IDS, 1, torch.Generator())
    assert len(model.seen) == 1
    assert (found.ids.shape, found.offsets.shape, found.confidence.shape) == ((0,), (0, VOCAB_SIZE), (0,))


def test_predictions_are_those_of_the_position_before() -> None:
    """An independent look at a Transformer: its logits at t, without special tokens, say what stands at t + 1."""
    model, batch = tiny_model(), random_batch()
    places = batch.decoder_input_ids > 2
    found = first_pass(model, batch, places, Mixing(), SPECIAL_IDS, 1, torch.Generator())
    log_probs = model(**batch.model_inputs()).logits.log_softmax(-1)
    for n, (row, t) in enumerate(places.nonzero().tolist()):
        assert found.ids[n] == log_probs[row, t - 1, 3:].argmax() + 3
        assert found.confidence[n].item() == pytest.approx(log_probs[row, t - 1, batch.labels[row, t - 1]].exp().item())


@pytest.mark.parametrize("options", [{"mixing": "gumbel"}, {"mixing_temperature": 0.0}, {"mixing_top_k": 0}], ids=str)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"`{next(iter(options))}`"):
        Mixing(**options)
