from typing import Any

import pytest
import torch

from seq2seq.data.batch import Batch
from seq2seq.objectives.cross_entropy import CrossEntropy
from seq2seq.objectives.decoder_inputs import WithDecoderInputs
from seq2seq.objectives.random_replacement import RandomReplacement
from seq2seq.objectives.token_pools import replaceable
from tests.objectives.batches import EOS, SPECIAL_IDS, VOCAB_SIZE, random_batch
from tests.training.fakes import TinyModel, make_batch

MODEL = torch.nn.Identity()


def replacement(**options: Any) -> RandomReplacement:
    return RandomReplacement(SPECIAL_IDS, VOCAB_SIZE, **options)


def disjoint(batch: Batch) -> Batch:
    """Return the batch with the words 3 to 19 in sources and 20 to 36 in targets."""
    source, target = batch.input_ids, batch.decoder_input_ids
    source.copy_(torch.where(source > EOS, 3 + source % 17, source))
    target.copy_(torch.where(target > EOS, 20 + target % 17, target))
    return batch


@pytest.mark.parametrize("option", ["example_probability", "token_probability"])
def test_probability_0_is_teacher_forcing_bit_for_bit(option: str) -> None:
    objective, batch = CrossEntropy(label_smoothing=0.1), make_batch([0, 1, 2])
    results = []
    for scored in (objective, WithDecoderInputs(objective, replacement(**{option: 0.0}))):
        model = TinyModel(dropout=0.3)
        loss = scored(model, batch, 1)
        loss.loss_sum.backward()
        results.append([loss.loss_sum.detach(), *(p.grad for p in model.parameters()), torch.get_rng_state()])
    for one, other in zip(*results, strict=True):
        assert one is not None
        assert torch.equal(one, other)


@pytest.mark.parametrize("pool", ["target", "source", "both", "vocabulary"])
@pytest.mark.parametrize("rows_per_source", [1, 2])
def test_only_words_are_replaced_and_by_words_of_the_pool(pool: Any, rows_per_source: int) -> None:
    batch = disjoint(random_batch(23, rows_per_source, longest=13))
    before = batch.labels.clone(), batch.decoder_input_ids.clone(), torch.get_rng_state()
    inputs = replacement(example_probability=1.0, token_probability=1.0, pool=pool)
    found = inputs(MODEL, batch, 1)
    assert torch.equal(found.labels, before[0])
    assert torch.equal(batch.decoder_input_ids, before[1]), "the batch that came is left alone"
    assert torch.equal(torch.get_rng_state(), before[2])
    may = replaceable(batch, SPECIAL_IDS)
    assert torch.equal(found.decoder_input_ids[~may], batch.decoder_input_ids[~may])
    seen = {"source": False, "target": False}
    for row in range(len(found.labels)):
        drawn = set(found.decoder_input_ids[row][may[row]].tolist())
        source = set(batch.input_ids[row // rows_per_source].tolist()) - set(SPECIAL_IDS)
        target = set(batch.decoder_input_ids[row][may[row]].tolist())
        allowed = {"source": source, "target": target, "both": source | target}
        assert drawn <= allowed.get(pool, set(range(3, VOCAB_SIZE)))
        seen["source"] |= bool(drawn & source)
        seen["target"] |= bool(drawn & target)
    assert seen["source"] == (pool != "target")
    assert seen["target"] == (pool != "source")


def test_rates_are_those_of_the_options() -> None:
    """Drawn from 34 words, each 34th replacement shows nothing; rows have words enough to tell which are touched."""
    batch = random_batch(1000, longest=173)
    inputs = replacement(example_probability=0.7, token_probability=0.3, pool="vocabulary")
    is_new = inputs(MODEL, batch, 1).decoder_input_ids != batch.decoder_input_ids
    may = replaceable(batch, SPECIAL_IDS)
    enough = may.sum(1) > 40
    is_touched = is_new.any(1)[enough]
    assert float(is_touched.float().mean()) == pytest.approx(0.7, abs=3 * (0.21 / int(enough.sum())) ** 0.5)
    words = int(may[enough][is_touched].sum())
    rate = float(is_new[enough][is_touched].sum()) / words
    assert words > 40000
    assert rate == pytest.approx(0.3 * 33 / 34, abs=3 * (0.21 / words) ** 0.5)


def test_the_share_of_all_words_that_is_replaced() -> None:
    """Rows of one word: each is drawn for once, so that words are independent."""
    batch = random_batch(30_000, longest=1)
    inputs = replacement(pool="vocabulary")
    is_new = inputs(MODEL, batch, 1).decoder_input_ids != batch.decoder_input_ids
    expected = 0.5 * 0.3 * 33 / 34
    assert float(is_new[:, 1].float().mean()) == pytest.approx(expected, abs=3 * (expected / 30_000) ** 0.5)


def test_a_source_without_words_replaces_nothing() -> None:
    batch = random_batch(1)
    batch.input_ids.fill_(EOS)
    inputs = replacement(example_probability=1.0, token_probability=1.0, pool="source")
    assert torch.equal(inputs(MODEL, batch, 1).decoder_input_ids, batch.decoder_input_ids)


def test_draws_follow_the_seed_of_the_micro_batch() -> None:
    batch, inputs = random_batch(11), replacement()

    def found(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return inputs(MODEL, batch, 1).decoder_input_ids

    assert torch.equal(found(1), found(1))
    assert not torch.equal(found(1), found(2))


@pytest.mark.parametrize(
    "options", [{"example_probability": 1.1}, {"token_probability": -0.1}, {"pool": "somewhere"}], ids=str
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        replacement(**options)
