import copy
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForSeq2SeqLM

from seq2seq.data.batch import IGNORED_LABEL
from seq2seq.models.loading import load_model
from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig
from tests.models.tiny import PRETRAINED, SIZES, Pairs, random_pairs, tiny_model

HEAD_SIZES: dict[str, Any] = {"d_model": 24, "key_size": None, "value_size": None}
COMBINATIONS = [
    dict(zip(("norm_position", "norm", "positions", "activation", "d_model"), values, strict=True))
    for values in itertools.product(
        ("pre", "post"),
        ("layer_norm", "rms_norm"),
        ("sinusoidal", "learned", "rotary"),
        ("relu", "gelu", "gelu_tanh"),
        (23, 24),
    )
]
FAMILIES: list[dict[str, Any]] = [
    {},
    {"norm_position": "post", "positions": "learned"},
    {"positions": "rotary", "norm": "rms_norm", "activation": "gelu"},
    {"norm_position": "post", "encoder_layers": 2},
    *PRETRAINED,
]


def steps(model: Seq2SeqTransformer, pairs: Pairs) -> Tensor:
    """Return the logits of feeding decoder inputs one by one."""
    state, logits = model.encode(pairs.input_ids, pairs.attention_mask), []
    for token_ids in pairs.decoder_input_ids.split(1, dim=1):
        step_logits, state = model.step(state, token_ids)
        logits.append(step_logits)
    return torch.cat(logits, dim=1)


def generate(model: Seq2SeqTransformer, pairs: Pairs, **options: Any) -> Any:
    """Return what transformers generates without sampling."""
    generator: Any = model
    return generator.generate(pairs.input_ids, attention_mask=pairs.attention_mask, do_sample=False, **options)


def assert_same(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-10)


# ---- the waist equals the forward ----


@pytest.mark.parametrize("options", COMBINATIONS, ids=lambda options: "-".join(map(str, options.values())))
def test_steps_equal_the_full_forward(options: dict[str, Any]) -> None:
    if options["d_model"] == 24:
        options = {**options, **HEAD_SIZES}
    model, pairs = tiny_model(**options), random_pairs()
    assert_same(steps(model, pairs), model.teacher_forced(*pairs))


ONE_END: list[tuple[str, int]] = [("l2r", 0), ("r2l", 1), ("bidirectional", 0), ("bidirectional", 1)]
PLAN: list[tuple[int, int, list[int] | None]] = [
    (1, 1, None),
    (2, 3, None),
    (3, 3, [0, 1, 2, 4]),
    (2, 5, None),
    (5, 7, [1, 3]),
    (3, 2, None),
    (1, 4, [1, 1]),
    (7, 3, None),
    (5, 1, [0]),
    (3, 2, None),
]
"""Stretches of a search: how many steps after how wide a choice among hypotheses, and of which sentences."""


@pytest.mark.parametrize(("order", "side"), ONE_END)
@pytest.mark.parametrize("options", FAMILIES)
def test_reordered_steps_equal_the_full_forward_of_the_reordered_prefixes(
    options: dict[str, Any], order: str, side: int
) -> None:
    model, pairs = tiny_model(**{**options, "max_positions": 41, "generation_order": order}), random_pairs()
    if model.decoder.embeddings.sides is not None:
        torch.nn.init.normal_(model.decoder.embeddings.sides.weight)
    model = model.from_side(side)
    sources, state = torch.arange(5), model.encode(pairs.input_ids, pairs.attention_mask)
    prefixes, num_written = torch.zeros(5, 1, 0, dtype=torch.long), 0
    for num_steps, width, kept in PLAN:
        sentences = torch.arange(len(sources)) if kept is None else torch.tensor(kept)
        beams = torch.randint(0, prefixes.shape[1], (len(sentences), width))
        state = model.reorder(state, beams, None if kept is None else sentences)
        prefixes, sources = prefixes[sentences[:, None], beams], sources[sentences]
        for _ in range(num_steps):
            token_ids = torch.randint(3, 37, (len(sources), width))
            prefixes = torch.cat([prefixes, token_ids[:, :, None]], dim=2)
            logits, state = model.step(state, token_ids)
            num_written += width
        rows = sources.repeat_interleave(width)
        expected = model.teacher_forced(pairs.input_ids[rows], pairs.attention_mask[rows], prefixes.flatten(0, 1))
        assert_same(logits.flatten(0, 1), expected[:, -1])
    assert state.buffers[0].num_slots < num_written, "slots without descendants were never cleared out"


def test_sentences_alone_and_beams_alone() -> None:
    model, pairs = tiny_model(), random_pairs()
    full = model.teacher_forced(*pairs)
    _, state = model.step(model.encode(*pairs[:2]), pairs.decoder_input_ids[:, :1])
    kept = torch.tensor([1, 4])
    logits, _ = model.step(model.reorder(state, sentences=kept), pairs.decoder_input_ids[kept, 1:2])
    assert_same(logits[:, 0], full[kept, 1])
    logits, _ = model.step(model.reorder(state, torch.zeros(5, 2, dtype=torch.long)), pairs.decoder_input_ids[:, 1:3])
    assert_same(logits[:, 0], full[:, 1])
    assert model.reorder(state) is state


def test_properties_come_from_the_configuration() -> None:
    model = tiny_model(pad_token_id=3, eos_token_id=5, decoder_start_token_id=7, bos_token_id=11)
    assert (model.vocab_size, model.pad_id, model.eos_id, model.decoder_start_id) == (37, 3, 5, 7)


def test_learned_positions_refuse_longer_sequences() -> None:
    model, pairs = tiny_model(positions="learned", max_positions=12), random_pairs()
    with pytest.raises(ValueError, match="`max_positions` .12."):
        model(*pairs)
    with pytest.raises(ValueError, match="`max_positions` .12."):
        steps(model, pairs)


# ---- what must not matter ----


@pytest.mark.parametrize("options", FAMILIES)
def test_padding_and_batch_mates_never_change_a_sentence(options: dict[str, Any]) -> None:
    model, pairs = tiny_model(**options), random_pairs()
    logits = model(*pairs).logits
    for row, length in enumerate(pairs.attention_mask.sum(dim=1).tolist()):
        alone = model(pairs.input_ids[row : row + 1, :length], None, pairs.decoder_input_ids[row : row + 1, :6]).logits
        assert_same(logits[row, :6], alone[0])


@pytest.mark.parametrize("options", FAMILIES)
def test_masks_are_honoured_wherever_zeros_are(options: dict[str, Any]) -> None:
    model, pairs = tiny_model(**options), random_pairs()
    mask = pairs.attention_mask.clone()
    mask[0, [0, 4]] = False
    other = pairs.input_ids.clone()
    other[~mask] = 5
    expected = model(pairs.input_ids, mask, pairs.decoder_input_ids, output_hidden_states=True)
    actual = model(other, mask.long(), pairs.decoder_input_ids, output_hidden_states=True)
    assert_same(actual.logits, expected.logits)
    assert (expected.encoder_last_hidden_state[~mask] == 0).all()


@pytest.mark.parametrize("options", FAMILIES)
@pytest.mark.parametrize("half", [False, True])
def test_an_empty_source_is_finite_and_the_same_under_any_padding(options: dict[str, Any], half: bool) -> None:
    model, pairs = tiny_model(**options), random_pairs()
    model = model.bfloat16() if half else model.float()
    mask = pairs.attention_mask.clone()
    mask[2] = False
    model(pairs.input_ids, mask, pairs.decoder_input_ids).logits.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)
    model = model.double()
    wide = model(pairs.input_ids[2:3], mask[2:3], pairs.decoder_input_ids[2:3]).logits
    narrow = model(pairs.input_ids[2:3, :3], mask[2:3, :3], pairs.decoder_input_ids[2:3]).logits
    assert wide.isfinite().all()
    assert_same(wide, narrow)


def test_later_and_masked_target_positions_are_invisible() -> None:
    model, pairs = tiny_model(), random_pairs()
    logits = model(*pairs).logits
    changed = pairs.decoder_input_ids.clone()
    changed[:, 7:] = 3
    assert_same(model(pairs.input_ids, pairs.attention_mask, changed).logits[:, :7], logits[:, :7])
    mask = torch.ones(5, 13, dtype=torch.long)
    mask[1, 2] = 0
    changed = pairs.decoder_input_ids.clone()
    changed[1, 2] = 4
    masked, expected = (
        model(pairs.input_ids, pairs.attention_mask, ids, mask).logits for ids in (changed, pairs.decoder_input_ids)
    )
    real = mask.bool()
    assert_same(masked[real], expected[real])
    assert not torch.allclose(expected[1, 3:], logits[1, 3:])


# ---- training ----


@pytest.mark.parametrize("tie_embeddings", ["all", "target", "none"])
@pytest.mark.parametrize("options", FAMILIES)
def test_every_parameter_has_a_gradient(options: dict[str, Any], tie_embeddings: str) -> None:
    model, pairs = tiny_model(**{**options, "tie_embeddings": tie_embeddings}).train(), random_pairs()
    logits = model(*pairs).logits
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), pairs.decoder_input_ids.flatten()).backward()
    for name, parameter in model.named_parameters():
        if name == "lm_head.bias":  # which training leaves as it is
            assert parameter.grad is None
            continue
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("kind", ["dropout", "attention_dropout", "activation_dropout", "token_dropout"])
def test_each_dropout_acts_in_training_only(kind: str) -> None:
    options = {"dropout": 0.0, **{kind: 0.5}}
    model, pairs = tiny_model(**options), random_pairs()
    torch.manual_seed(3)
    plain = tiny_model(dropout=0.0)
    plain.load_state_dict(model.state_dict())
    expected = plain.train()(*pairs).logits
    assert_same(model(*pairs).logits, expected)
    model.train()
    assert not torch.allclose(model(*pairs).logits, expected)
    assert not torch.equal(model(*pairs).logits, model(*pairs).logits)


def test_token_dropout_zeroes_whole_tokens_before_positions() -> None:
    embeddings = tiny_model(token_dropout=0.4, dropout=0.0, positions="rotary").encoder.embeddings
    ids = torch.randint(3, 37, (53, 59))
    full = embeddings(ids)
    ratio = (embeddings.train()(ids) / full).detach()
    torch.testing.assert_close(ratio, ratio[:, :, :1].expand_as(ratio))
    kept = ratio[:, :, 0] > 0
    torch.testing.assert_close(
        ratio[:, :, 0][kept], torch.full((int(kept.sum()),), 1 / 0.6).double(), rtol=1e-4, atol=0
    )
    assert kept.double().mean().item() == pytest.approx(0.6, abs=0.05)


def test_labels_give_the_mean_loss_and_the_decoder_inputs() -> None:
    model, pairs = tiny_model(), random_pairs()
    labels = pairs.decoder_input_ids.clone()
    labels[1, 4:] = IGNORED_LABEL
    output = model(pairs.input_ids, pairs.attention_mask, labels=labels)
    shifted = torch.cat([torch.full((5, 1), 1), labels[:, :-1].clamp_min(0)], dim=1)
    logits = model(pairs.input_ids, pairs.attention_mask, shifted).logits
    log_probs = logits.log_softmax(dim=-1)
    terms = [-log_probs[b, t, labels[b, t]] for b in range(5) for t in range(13) if labels[b, t] >= 0]
    assert output.loss.item() == pytest.approx(sum(terms).item() / len(terms), rel=1e-6)
    assert_same(output.logits, logits)


def test_autocast_stays_close_to_full_precision() -> None:
    model, pairs = tiny_model().float(), random_pairs()
    expected = model(*pairs).logits
    with torch.autocast("cpu", torch.bfloat16):
        trained, decoded = model(*pairs).logits, steps(model, pairs)
    torch.testing.assert_close(trained.float(), expected, rtol=0, atol=0.1)
    torch.testing.assert_close(decoded.float(), expected.detach(), rtol=0, atol=0.1)


# ---- a transformers model ----


def test_parameters_counted_by_hand() -> None:
    config = Seq2SeqTransformerConfig(**{**SIZES, "source_vocab_size": 41, "tie_embeddings": "target"})
    model = Seq2SeqTransformer(config)
    embeddings = 41 * 23 + 37 * 23  # the output layer is the target's
    attention = 23 * (12 + 12 + 21) + 45 + 21 * 23 + 23  # queries, keys, values, output; cross-attention has the same
    feed_forward = 23 * 19 + 19 + 19 * 23 + 23
    norm = 23 + 23
    encoder = attention + feed_forward + 2 * norm + norm
    decoder = 2 * (2 * attention + feed_forward + 3 * norm) + norm
    assert (embeddings, encoder, decoder) == (1794, 2640, 8498)
    assert sum(parameter.numel() for parameter in model.parameters()) == 1794 + 2640 + 8498


@pytest.mark.parametrize("tie_embeddings", ["all", "inputs", "target", "none"])
@pytest.mark.parametrize("options", [{}, {"positions": "learned", "norm": "rms_norm"}, *PRETRAINED])
def test_saved_models_come_back_bit_equal(options: dict[str, Any], tie_embeddings: str, tmp_path: Path) -> None:
    model, pairs = tiny_model(**{**options, "tie_embeddings": tie_embeddings}), random_pairs()
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSeq2SeqLM.from_pretrained(tmp_path, dtype=torch.float64)
    assert isinstance(loaded, Seq2SeqTransformer)
    assert not loaded.training
    # Not bit by bit: products may be summed in another order where weights lie at another address.
    torch.testing.assert_close(loaded(*pairs).logits, model(*pairs).logits, rtol=0, atol=1e-12)
    for name, weight in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight)
    target, source = loaded.decoder.embeddings.tokens.weight, loaded.encoder.embeddings.tokens.weight
    assert (loaded.lm_head.weight is target) == (tie_embeddings in ("all", "target"))
    assert (source is target) == (tie_embeddings in ("all", "inputs"))
    for_search: Any = load_model(tmp_path, dtype=torch.float64)
    assert_same(for_search.teacher_forced(*pairs), model.teacher_forced(*pairs))
    loaded.save_pretrained(tmp_path / "again")
    first, second = ((path / "model.safetensors").read_bytes() for path in (tmp_path, tmp_path / "again"))
    assert first == second


def test_a_copy_keeps_tied_weights_tied() -> None:
    model, pairs = tiny_model(), random_pairs()
    expected = model(*pairs).logits
    copied = copy.deepcopy(model)
    assert copied.lm_head.weight is copied.decoder.embeddings.tokens.weight
    assert torch.equal(copied(*pairs).logits, expected)


@pytest.mark.parametrize("options", [*FAMILIES, {"source_vocab_size": 41, "tie_embeddings": "target"}])
def test_generate_equals_a_loop_over_steps(options: dict[str, Any]) -> None:
    model, pairs = tiny_model(**options), random_pairs()
    state = model.encode(*pairs[:2])
    token_ids = torch.full((5, 1), model.decoder_start_id)
    expected, finished = [token_ids], torch.zeros(5, 1, dtype=torch.bool)
    for _ in range(9):
        logits, state = model.step(state, token_ids)
        token_ids = logits.argmax(dim=-1).masked_fill(finished, model.pad_id)
        finished |= token_ids == model.eos_id
        expected.append(token_ids)
    generated = generate(model, pairs, max_new_tokens=9)
    expected_ids = torch.cat(expected, dim=1)
    assert torch.equal(generated, expected_ids[:, : generated.shape[1]])
    assert (expected_ids[:, generated.shape[1] :] == model.pad_id).all()
    assert torch.equal(generated, generate(model, pairs, max_new_tokens=9, use_cache=False))


def test_generate_with_beams_is_independent_of_its_cache() -> None:
    model, pairs = tiny_model(), random_pairs()
    cached, plain = (generate(model, pairs, max_new_tokens=7, num_beams=3, use_cache=cache) for cache in (True, False))
    assert torch.equal(cached, plain)


def test_generate_returns_attention_on_request() -> None:
    model, pairs = tiny_model(), random_pairs()
    requests = {"return_dict_in_generate": True, "output_attentions": True, "output_hidden_states": True}
    output = generate(model, pairs, max_new_tokens=3, min_new_tokens=3, **requests)
    assert output.cross_attentions[2][1].shape == (5, 3, 1, 11)
    assert output.decoder_attentions[2][1].shape == (5, 3, 1, 3)
    assert output.encoder_attentions[0].shape == (5, 3, 11, 11)
    assert output.decoder_hidden_states[1][2].shape == (5, 1, 23)


@pytest.mark.parametrize("options", FAMILIES)
def test_shapes_of_attention_and_hidden_states(options: dict[str, Any]) -> None:
    model, pairs = tiny_model(**options), random_pairs()
    output = model(*pairs, output_attentions=True, output_hidden_states=True)
    num_encoder_layers = model.config.encoder_layers
    assert [tuple(weights.shape) for weights in output.encoder_attentions] == [(5, 3, 11, 11)] * num_encoder_layers
    assert [tuple(weights.shape) for weights in output.decoder_attentions] == [(5, 3, 13, 13)] * 2
    assert [tuple(weights.shape) for weights in output.cross_attentions] == [(5, 3, 13, 11)] * 2
    assert [tuple(states.shape) for states in output.encoder_hidden_states] == [(5, 11, 23)] * (num_encoder_layers + 1)
    assert [tuple(states.shape) for states in output.decoder_hidden_states] == [(5, 13, 23)] * 3
    for weights in (*output.encoder_attentions, *output.decoder_attentions, *output.cross_attentions):
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones_like(weights[..., 0]))
    assert (output.cross_attentions[0].masked_select(~pairs.attention_mask[:, None, None]) == 0).all()
    assert (output.decoder_attentions[0].triu(1) == 0).all()
    assert output.encoder_hidden_states[-1] is output.encoder_last_hidden_state
    plain = model(*pairs)
    assert plain.cross_attentions is plain.decoder_hidden_states is plain.encoder_hidden_states is None


def test_tuples_and_missing_arguments() -> None:
    model, pairs = tiny_model(), random_pairs()
    output = model(*pairs, return_dict=False)
    assert torch.equal(output[0], model(*pairs).logits)
    encoded = model.encoder(pairs.input_ids, pairs.attention_mask, return_dict=False)
    again = model(
        attention_mask=pairs.attention_mask, decoder_input_ids=pairs.decoder_input_ids, encoder_outputs=encoded
    )
    assert torch.equal(again.logits, output[0])
    with pytest.raises(ValueError, match="decoder_input_ids"):
        model(pairs.input_ids)
    with pytest.raises(ValueError, match="input_ids"):
        model(decoder_input_ids=pairs.decoder_input_ids)
