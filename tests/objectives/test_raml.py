import itertools
import math
from collections import Counter
from dataclasses import replace

import pytest
import torch

from seq2seq.data.batch import IGNORED_LABEL, Batch
from seq2seq.data.collate import collate
from seq2seq.data.generation_order import Arranged, GenerationOrder
from seq2seq.data.sequences import Sequences
from seq2seq.objectives.raml import RAML
from tests.objectives.neutrality import assert_is_cross_entropy, effects
from tests.training.fakes import VOCAB_SIZE, TinyModel, make_batch

PAD, START, EOS, UNKNOWN = 0, 1, 2, 5
SPECIALS = (UNKNOWN, PAD, START, EOS)  # in no order, with plain tokens between them


def arranged(targets: list[list[int]], order: GenerationOrder = "l2r") -> Batch:
    rows = torch.arange(len(targets)).numpy()
    return collate(
        Sequences.of([[3]] * len(targets)), Arranged(order)(Sequences.of(targets), rows, 0), rows,
        source_pad_id=PAD, target_pad_id=PAD, decoder_start_id=START,
    )  # fmt: skip


def test_number_of_edits_and_their_kinds_match_enumeration() -> None:
    """V = 3 and T = 4: all 81 targets by exp(-distance / tau), against 20,000 samples."""
    reference, plain, temperature = [3, 4, 6, 3], [3, 4, 6], 0.9
    weights = {
        target: math.exp(-sum(a != b for a, b in zip(target, reference, strict=True)) / temperature)
        for target in itertools.product(plain, repeat=4)
    }
    total, num_samples = sum(weights.values()), 20_000
    raml = RAML(temperature, vocab_size=7, special_ids=SPECIALS)
    torch.manual_seed(1)
    samples = raml.sample(arranged([[*reference, EOS]] * num_samples)).labels
    assert (samples[:, -1] == EOS).all()
    counts = Counter(map(tuple, samples[:, :-1].tolist()))
    assert counts.keys() <= weights.keys()
    for target, weight in weights.items():
        share = weight / total
        assert abs(counts[target] / num_samples - share) < 5 * math.sqrt(share * (1 - share) / num_samples), target
    # The closed form of the paper: p(e) ~ C(T, e) * (V - 1)^e * exp(-e / tau).
    forms = [math.comb(4, e) * 2**e * math.exp(-e / temperature) for e in range(5)]
    probability = raml.edit_probability
    for e, form in enumerate(forms):
        binomial = math.comb(4, e) * probability**e * (1 - probability) ** (4 - e)
        assert binomial == pytest.approx(form / sum(forms))


def test_expected_edits_that_the_documentation_names() -> None:
    assert RAML(0.1, 8000, (PAD,)).edit_probability == pytest.approx(0.27, abs=0.005)
    assert RAML(0.08, 8000, (PAD,)).edit_probability == pytest.approx(0.03, abs=0.002)
    assert RAML(0.6, 8000, (PAD,)).edit_probability > 0.999


@pytest.mark.parametrize("order", ["l2r", "r2l", "bidirectional", "interleaved"])
def test_decoder_inputs_are_the_sample_shifted_and_specials_stay(order: GenerationOrder) -> None:
    targets = [[3, 4, UNKNOWN, 6, 7, EOS], [8, EOS], [3, 3, 3, EOS]] * 20
    batch = arranged(targets, order)
    num_starts = 2 if order == "interleaved" else 1
    sample = RAML(1.0, vocab_size=9, special_ids=SPECIALS, num_starts=num_starts).sample(batch)
    fixed = torch.isin(batch.labels, torch.tensor([EOS, UNKNOWN, IGNORED_LABEL]))
    assert torch.equal(sample.labels[fixed], batch.labels[fixed])
    assert not torch.isin(sample.labels[~fixed], torch.tensor(SPECIALS)).any()
    assert (sample.labels[~fixed] != batch.labels[~fixed]).float().mean() > 0.4  # of 4 / (4 + e) = 0.595
    assert torch.equal(sample.decoder_input_ids[:, :num_starts], batch.decoder_input_ids[:, :num_starts])
    behind, before = sample.decoder_input_ids[:, num_starts:], sample.labels[:, :-num_starts]
    assert torch.equal(behind[before >= 0], before[before >= 0])
    was_padding = before < 0
    assert torch.equal(behind[was_padding], batch.decoder_input_ids[:, num_starts:][was_padding])
    assert sample.sides is batch.sides


def test_decoder_inputs_that_are_not_the_reference_stay_but_for_edits() -> None:
    batch = arranged([[3, 4, 6, 7, EOS]] * 30)
    other = replace(batch, decoder_input_ids=torch.full_like(batch.decoder_input_ids, 8))
    sample = RAML(1.0, 9, SPECIALS).sample(other)
    is_edited = (sample.labels != batch.labels)[:, :-1]
    assert torch.equal(sample.decoder_input_ids[:, 1:][is_edited], sample.labels[:, :-1][is_edited])
    assert (sample.decoder_input_ids[:, 1:][~is_edited] == 8).all()


@pytest.mark.parametrize("temperature", [0.0, 1e-3])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_a_low_temperature_is_cross_entropy_to_the_last_bit(temperature: float, label_smoothing: float) -> None:
    """exp(-1000) is below what single precision tells from 0."""
    objective = RAML(temperature, VOCAB_SIZE, (PAD, START, EOS), label_smoothing=label_smoothing)
    assert_is_cross_entropy(objective, label_smoothing)


def test_samples_leave_the_dropout_as_it_is_and_are_scored_by_cross_entropy() -> None:
    raml = RAML(0.5, VOCAB_SIZE, (PAD, START, EOS), label_smoothing=0.0)
    found, plain = effects(raml), effects(replace(raml, raml_temperature=0.0))
    assert torch.equal(found["generator"], plain["generator"])
    assert torch.equal(found["weight"], plain["weight"])
    model, batch = TinyModel(), make_batch([0, 1, 2, 3, 4])
    torch.manual_seed(7)
    sample = raml.sample(batch)
    assert not torch.equal(sample.labels, batch.labels)
    logits = model(**sample.model_inputs()).logits.flatten(0, 1)
    expected = torch.nn.functional.cross_entropy(logits, sample.labels.flatten(), reduction="sum")
    torch.testing.assert_close(raml(model, batch, 1).loss_sum, expected)


def test_a_sample_depends_on_the_seed_of_the_micro_batch() -> None:
    raml, batch = RAML(0.5, VOCAB_SIZE, (PAD, START, EOS)), make_batch([0, 1, 2, 3, 4])
    samples = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        samples.append(raml.sample(batch).labels)
    assert torch.equal(samples[0], samples[1])
    assert not torch.equal(samples[0], samples[2])


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="raml_temperature"):
        RAML(-0.1, 9, SPECIALS)
    with pytest.raises(ValueError, match="two tokens to choose from, but 1"):
        RAML(0.1, 5, (0, 1, 2, 2, 3))
    with pytest.raises(ValueError, match="label_smoothing"):
        RAML(0.1, 9, SPECIALS, label_smoothing=1.0)
