from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from seq2seq.data.batch import Batch
from seq2seq.experimental.word_oracle import WordOracle
from seq2seq.objectives.cross_entropy import CrossEntropy
from seq2seq.objectives.decoder_inputs import DecoderInputs, WithDecoderInputs
from seq2seq.objectives.first_pass import Mixing
from seq2seq.objectives.gold_schedules import GoldSchedule
from seq2seq.objectives.scheduled_sampling import ConfidenceSampling, ScheduledSampling
from seq2seq.objectives.token_pools import replaceable
from tests.models.tiny import tiny_model
from tests.objectives.batches import SPECIAL_IDS, VOCAB_SIZE, SayingModel, random_batch, saying

NO_GOLD, ONLY_GOLD = GoldSchedule(step_schedule="constant"), GoldSchedule(gold_floor=1.0)
SCALE = tiny_model().decoder.embeddings.scale


def variants(gold: GoldSchedule, confidence: float) -> list[DecoderInputs]:
    return [
        ScheduledSampling(SPECIAL_IDS, SCALE, gold=gold),
        ScheduledSampling(SPECIAL_IDS, SCALE, gold=gold, mixture=Mixing("soft")),
        ScheduledSampling(SPECIAL_IDS, SCALE, gold=gold, mixture=Mixing("top_k")),
        WordOracle(SPECIAL_IDS, gold=gold),
        ConfidenceSampling(SPECIAL_IDS, SCALE, gold_confidence=confidence, random_confidence=1.0),
    ]


def trained_by(decoder_inputs: DecoderInputs | None, batch: Batch) -> list[Tensor]:
    """Return loss, gradients and random state of a step in training mode, dropout included."""
    torch.manual_seed(5)
    model = tiny_model(dropout=0.3, attention_dropout=0.1).train()
    objective = CrossEntropy(label_smoothing=0.1)
    torch.manual_seed(7)
    loss = (WithDecoderInputs(objective, decoder_inputs) if decoder_inputs else objective)(model, batch, 1)
    loss.loss_sum.backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return [loss.loss_sum.detach(), *gradients, torch.get_rng_state()]


@pytest.mark.parametrize("decoder_inputs", variants(ONLY_GOLD, 1.0), ids=lambda inputs: type(inputs).__name__)
def test_only_gold_is_teacher_forcing_bit_for_bit(decoder_inputs: DecoderInputs) -> None:
    batch = random_batch()
    for one, other in zip(trained_by(None, batch), trained_by(decoder_inputs, batch), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("decoder_inputs", variants(NO_GOLD, 0.0), ids=lambda inputs: type(inputs).__name__)
def test_the_first_pass_has_no_part_in_randomness_or_labels(decoder_inputs: DecoderInputs) -> None:
    batch = random_batch()
    plain, found = trained_by(None, batch), trained_by(decoder_inputs, batch)
    assert not torch.equal(plain[0], found[0]), "the decoder saw something else"
    assert torch.equal(plain[-1], found[-1])
    model = tiny_model()
    seen = decoder_inputs(model, batch, 1)
    assert torch.equal(seen.labels, batch.labels)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert seen.target_perturbation is None or not seen.target_perturbation.requires_grad


@pytest.mark.parametrize("decoder_inputs", variants(NO_GOLD, 0.0), ids=lambda inputs: type(inputs).__name__)
def test_a_model_that_predicts_the_reference_sees_the_reference(decoder_inputs: DecoderInputs) -> None:
    batch = random_batch()
    certain = SayingModel(1e4 * saying(batch.labels).logits)
    found = decoder_inputs(certain, batch, 1)
    assert torch.equal(found.decoder_input_ids, batch.decoder_input_ids)
    if found.target_perturbation is not None:
        assert float(found.target_perturbation.abs().max()) < 1e-12


@pytest.mark.parametrize("num_starts", [1, 2])
@pytest.mark.parametrize("kind", ["scheduled", "confidence"])
def test_a_prediction_stands_behind_the_position_that_made_it(num_starts: int, kind: str) -> None:
    """What is said at t comes to stand at t + 1 (two tokens a step: at t + 2), and nowhere else."""
    batch = random_batch(num_starts=num_starts, longest=7)
    inputs: DecoderInputs = ScheduledSampling(SPECIAL_IDS, SCALE, num_starts, NO_GOLD)
    if kind == "confidence":
        inputs = ConfidenceSampling(SPECIAL_IDS, SCALE, num_starts, gold_confidence=0.0, random_confidence=1.0)
    said = torch.randint(3, VOCAB_SIZE, batch.labels.shape)
    before = inputs(saying(said), batch, 1).decoder_input_ids
    may = replaceable(batch, SPECIAL_IDS)
    assert torch.equal(before[:, :num_starts], batch.decoder_input_ids[:, :num_starts])
    assert torch.equal(before[~may], batch.decoder_input_ids[~may])
    for t in range(said.shape[1]):
        other = said.clone()
        other[:, t] = 3 + (other[:, t] - 2) % (VOCAB_SIZE - 3)
        changed = inputs(saying(other), batch, 1).decoder_input_ids != before
        expected = torch.zeros_like(changed)
        if t + num_starts < said.shape[1]:
            expected[:, t + num_starts] = may[:, t + num_starts]
        assert torch.equal(changed, expected)


def test_words_are_drawn_for_one_by_one_with_the_probability_of_the_schedule() -> None:
    batch = random_batch(1999, longest=13)
    inputs = ScheduledSampling(SPECIAL_IDS, SCALE, gold=GoldSchedule("position", decay_positions=9.0))
    said = batch.decoder_input_ids.roll(-1, 1) % 17 + 3  # never what stands there
    said = torch.where(said == batch.labels, said + 1, said)
    is_new = inputs(saying(said), batch, 1).decoder_input_ids != batch.decoder_input_ids
    may = replaceable(batch, SPECIAL_IDS)
    for t in range(1, may.shape[1]):
        expected, count = 1 - torch.exp(torch.tensor(-t / 9.0)).item(), int(may[:, t].sum())
        share = float(is_new[:, t].sum()) / count
        assert share == pytest.approx(expected, abs=3.5 * (expected * (1 - expected) / count) ** 0.5)
    assert 0 < int(is_new[0].sum()) < int(may[0].sum()), "a row is mixed within itself"


@pytest.mark.parametrize("mixing", ["soft", "top_k"])
@pytest.mark.parametrize("tie_embeddings", ["all", "target"])
def test_expected_vectors_reach_the_decoder(mixing: Any, tie_embeddings: str) -> None:
    """Token vectors and perturbation together are the expected vector, scaled as the model scales."""
    model, batch = tiny_model(tie_embeddings=tie_embeddings), random_batch()
    earlier = torch.randn(*batch.labels.shape, 23).double()
    inputs = ScheduledSampling(
        SPECIAL_IDS, SCALE, gold=NO_GOLD, mixture=Mixing(mixing, 0.7, 3 if mixing == "top_k" else 5)
    )
    found = inputs(model, replace(batch, target_perturbation=earlier), 1)
    assert found.target_perturbation is not None
    vectors = model.decoder.embeddings.tokens.weight
    seen = vectors[found.decoder_input_ids] * SCALE + found.target_perturbation - earlier
    logits = model(**batch.model_inputs()).logits / 0.7
    logits[:, :, :3] = -torch.inf
    if mixing == "top_k":
        logits = logits.masked_fill(logits < logits.topk(3).values[:, :, -1:], -torch.inf)
    expected = (logits.softmax(-1) @ vectors * SCALE).roll(1, 1)
    may = replaceable(batch, SPECIAL_IDS)
    torch.testing.assert_close(seen[may], expected[may])
    torch.testing.assert_close(seen[~may], vectors[batch.decoder_input_ids][~may] * SCALE)


def test_the_first_pass_sees_the_reference_without_gradient_or_perturbation() -> None:
    batch = random_batch()
    moved = replace(batch, source_perturbation=torch.ones(*batch.input_ids.shape, 2))
    model = saying(batch.labels)
    found = ScheduledSampling(SPECIAL_IDS, SCALE, gold=NO_GOLD)(model, moved, 1)
    assert found.source_perturbation is moved.source_perturbation
    (seen,) = model.seen
    assert seen["grad"] is False
    assert "source_perturbation" not in seen
    assert torch.equal(seen["decoder_input_ids"], batch.decoder_input_ids)


def test_confidence_decides_by_the_probability_of_the_token_that_would_be_the_input() -> None:
    """Confidences 0.2, 0.5, 0.8 in turn, with thresholds 0.4 and 0.6: gold, prediction, random word, along a target."""
    batch = random_batch(3, longest=17)
    confidence = torch.tensor([0.2, 0.5, 0.8])[torch.arange(18) % 3].expand(3, 18)
    probabilities = torch.zeros(3, 18, VOCAB_SIZE).double()
    gold = batch.labels.clamp(min=0)
    said = torch.where(gold == 7, 8, 7)  # the prediction, which is likelier than all but the reference
    probabilities.scatter_(2, gold.unsqueeze(2), confidence.double().unsqueeze(2))
    probabilities.scatter_(2, said.unsqueeze(2), (1 - confidence).double().unsqueeze(2))
    inputs = ConfidenceSampling(SPECIAL_IDS, SCALE, gold_confidence=0.4, random_confidence=0.6)
    found = inputs(SayingModel((probabilities + 1e-9).log()), batch, 1).decoder_input_ids
    num_random_changes = 0
    for row, t in replaceable(batch, SPECIAL_IDS).nonzero().tolist():
        token, words = int(found[row, t]), set(batch.decoder_input_ids[row].tolist()) - set(SPECIAL_IDS)
        decided_by = float(confidence[row, t - 1])
        if decided_by < 0.4:
            assert token == batch.decoder_input_ids[row, t]
        elif decided_by < 0.6:
            assert token in (int(said[row, t - 1]), int(gold[row, t - 1])), "both have probability one half"
        else:
            assert token in words
            num_random_changes += token != batch.decoder_input_ids[row, t]
    assert num_random_changes > 0


def test_random_words_of_confident_places_bring_no_expected_vector() -> None:
    batch = random_batch()
    confident = SayingModel(saying(batch.labels).logits)
    inputs = ConfidenceSampling(SPECIAL_IDS, SCALE, gold_confidence=0.5, random_confidence=0.6, mixture=Mixing("soft"))
    found = inputs(confident, batch, 1)
    assert not torch.equal(found.decoder_input_ids, batch.decoder_input_ids)
    assert found.target_perturbation is not None
    assert not found.target_perturbation.any()


def test_steps_of_nothing_but_gold() -> None:
    batch = random_batch()
    for inputs in (
        ScheduledSampling(SPECIAL_IDS, SCALE, gold=GoldSchedule(step_schedule="constant", gold_steps=3)),
        WordOracle(SPECIAL_IDS, gold=GoldSchedule(step_schedule="constant", gold_steps=3)),
        ConfidenceSampling(SPECIAL_IDS, SCALE, gold_steps=3, gold_confidence=0.0, random_confidence=0.0),
    ):
        model = saying(torch.full_like(batch.labels, 7))
        assert inputs(model, batch, 3) is batch
        assert inputs(model, batch, 4) is not batch
        assert len(model.seen) == 1


def test_the_published_temperature_of_oracle_words_does_nothing() -> None:
    """argmax((o + noise) / tau) is the same for every tau; argmax(o + tau * noise) is not, and is what is drawn here.

    With Gumbel noise its frequencies are those of softmax(o / tau), from o = 0, 1, 2.
    """
    logits = torch.tensor([0.0, 1.0, 2.0]).double()
    noise = -torch.log(torch.empty(20000, 3).double().exponential_())
    published = [((logits + noise) / tau).argmax(1) for tau in (0.1, 10.0)]
    assert torch.equal(*published)
    ours = [(logits + tau * noise).argmax(1) for tau in (0.1, 10.0)]
    assert not torch.equal(*ours)

    batch = random_batch(1, longest=20000)
    said = torch.full((1, 20001, VOCAB_SIZE), -1e6).double()
    said[:, :, 3:6] = logits
    for tau, noisy in zip((0.1, 10.0), ours, strict=True):
        found = WordOracle(SPECIAL_IDS, gold=NO_GOLD, oracle_noise=tau)(SayingModel(said), batch, 1)
        drawn = found.decoder_input_ids[replaceable(batch, SPECIAL_IDS)] - 3
        shares = torch.bincount(drawn, minlength=3) / 20000
        torch.testing.assert_close(shares, (logits / tau).softmax(-1).float(), atol=0.011, rtol=0)
        torch.testing.assert_close(shares, torch.bincount(noisy, minlength=3) / 20000, atol=0.015, rtol=0)


def test_oracle_words_without_noise_are_the_likeliest() -> None:
    batch = random_batch()
    model = SayingModel(torch.randn(*batch.labels.shape, VOCAB_SIZE).double())
    oracle = WordOracle(SPECIAL_IDS, gold=NO_GOLD, oracle_noise=0.0)(model, batch, 1)
    assert torch.equal(
        oracle.decoder_input_ids, ScheduledSampling(SPECIAL_IDS, 1.0, gold=NO_GOLD)(model, batch, 1).decoder_input_ids
    )


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="`gold_confidence`"):
        ConfidenceSampling(SPECIAL_IDS, SCALE, gold_confidence=0.8, random_confidence=0.7)
    with pytest.raises(ValueError, match="`oracle_noise`"):
        WordOracle(SPECIAL_IDS, oracle_noise=-1.0)
