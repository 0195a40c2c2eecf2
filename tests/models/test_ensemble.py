import pytest
import torch

from seq2seq.models.ensemble import Ensemble
from seq2seq.models.orders import TwoModels
from tests.models.tiny import random_pairs, tiny_model


def test_a_model_with_itself_is_the_model() -> None:
    model, pairs = tiny_model(), random_pairs()
    ensemble = Ensemble([model, model], weights=[3, 2])
    expected = model.teacher_forced(*pairs).log_softmax(dim=-1)
    torch.testing.assert_close(ensemble.teacher_forced(*pairs), expected, rtol=0, atol=1e-12)
    state = ensemble.encode(*pairs[:2])
    for t in range(3):
        logits, state = ensemble.step(state, pairs.decoder_input_ids[:, t : t + 1])
        torch.testing.assert_close(logits[:, 0], expected[:, t], rtol=0, atol=1e-12)
    assert (ensemble.vocab_size, ensemble.pad_id, ensemble.eos_id, ensemble.decoder_start_id) == (37, 0, 2, 1)


def test_probabilities_are_the_weighted_mean_through_reordering() -> None:
    models, pairs = [tiny_model(), tiny_model(d_model=24, key_size=None, value_size=None)], random_pairs()
    ensemble = Ensemble(models, weights=[1, 3])
    first, second = (model.teacher_forced(*pairs).softmax(dim=-1) for model in models)
    expected = 0.25 * first + 0.75 * second
    torch.testing.assert_close(ensemble.teacher_forced(*pairs).exp(), expected)
    sentences = torch.tensor([1, 3, 4])
    _, state = ensemble.step(ensemble.encode(*pairs[:2]), pairs.decoder_input_ids[:, :1])
    state = ensemble.reorder(state, torch.zeros(3, 2, dtype=torch.long), sentences)
    logits, _ = ensemble.step(state, pairs.decoder_input_ids[sentences, 1:2].expand(-1, 2))
    torch.testing.assert_close(logits.exp(), expected[sentences, 1][:, None].expand(-1, 2, -1))


def test_rows_of_one_source_are_scored_as_if_each_had_its_own() -> None:
    ensemble = Ensemble([tiny_model(), tiny_model(generation_order="bidirectional").from_side(0)])
    source, mask, targets = random_pairs()
    rows = torch.cat([targets, targets.flip(1)])  # rows 2i and 2i + 1 are those of source i, whichever they come from
    expected = ensemble.teacher_forced(source.repeat_interleave(2, dim=0), mask.repeat_interleave(2, dim=0), rows)
    torch.testing.assert_close(ensemble.teacher_forced(source, mask, rows), expected, rtol=0, atol=1e-12)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="`vocab_size` is 37 in model 1 and 41 in model 2"):
        Ensemble([tiny_model(), tiny_model(vocab_size=41)])
    with pytest.raises(ValueError, match="`eos_id` is 2 in model 1 and 7 in model 3"):
        Ensemble([tiny_model(), tiny_model(), tiny_model(eos_token_id=7)])
    with pytest.raises(ValueError, match="at least one model"):
        Ensemble([])
    for weights in ([1.0], [1.0, 0.0]):
        with pytest.raises(ValueError, match="2 models need as many positive weights"):
            Ensemble([tiny_model()] * 2, weights)


def test_the_least_that_a_member_takes_is_what_all_take() -> None:
    endless, small, large = tiny_model(), *(tiny_model(positions="learned", max_positions=n) for n in (19, 23))
    for members, expected in (((endless, endless), None), ((endless, large), 23), ((large, small), 19)):
        for model in (Ensemble(members), Ensemble(members).from_side(0), TwoModels(*members)):
            assert (model.max_source_tokens, model.max_target_tokens) == (expected, expected)
    for side in (0, 1):
        both = tiny_model(generation_order="bidirectional", positions="learned", max_positions=29).from_side(side)
        assert (both.max_source_tokens, both.max_target_tokens) == (29, 29)


def test_probabilities_are_mixed_in_float32() -> None:
    """Logits of a model in bfloat16 are rounded once, and not again by what mixes them."""
    logits = torch.randn(3, 5, 37).bfloat16() * 4
    ensemble = Ensemble([tiny_model().eval(), tiny_model().eval()])
    mixed = ensemble._mixture([logits, logits])
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, logits.float().log_softmax(-1), atol=1e-6, rtol=1e-6)
    assert ensemble._mixture([logits.double(), logits.double()]).dtype == torch.float64
