"""Generation from the right and from both ends: what a row sees, and that steps equal the full forward."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from seq2seq.models.transformer import Seq2SeqTransformer
from tests.models.tiny import LIKE_BART, LIKE_M2M100, LIKE_T5, LIKE_UMT5, random_pairs, tiny_model

FUSIONS = ["linear", "tanh", "relu", "gate"]
POSITIONS: list[dict[str, Any]] = [{"positions": "sinusoidal"}, {"positions": "rotary"}]
PRETRAINED = [LIKE_BART, LIKE_M2M100, LIKE_T5, LIKE_UMT5]
NUM_STEPS = 26
"""Of random searches: slots are cleared out several times."""
PAIRS: list[dict[str, Any]] = [
    {"generation_order": "bidirectional"},
    *({"generation_order": "bidirectional", "interaction": fusion, "interaction_weight": 0.7} for fusion in FUSIONS),
    {"generation_order": "bidirectional", "interaction": "tanh", "interaction_layers": "last", "norm_position": "post"},
    {"generation_order": "bidirectional", "interaction": "relu", "num_heads": 1},
    {"generation_order": "interleaved"},
]
ORDERS = [{**order, **positions} for order in PAIRS for positions in POSITIONS]
PRETRAINED_ORDERS = [
    {**options, "max_positions": NUM_STEPS, **order}
    for order in (PAIRS[0], PAIRS[2], PAIRS[-1])
    for options in PRETRAINED
]


def model_of(**options: Any) -> Seq2SeqTransformer:
    """Return a tiny model whose marks of the sides are not at their start, 0."""
    torch.manual_seed(11)
    model = tiny_model(**options)
    sides = model.decoder.embeddings.sides
    if sides is not None:
        with torch.no_grad():
            sides.weight.normal_()
    return model


def two_rows(length: int = 6) -> dict[str, Tensor]:
    """Return inputs with two target rows a source that see each other wholly."""
    torch.manual_seed(5)
    pairs = random_pairs()
    targets = torch.randint(3, 37, (10, length))
    return {
        "input_ids": pairs.input_ids,
        "attention_mask": pairs.attention_mask,
        "decoder_input_ids": targets,
        "sides": torch.arange(2).repeat(5),
        "visible": torch.ones(10, length, dtype=torch.bool),
    }


# ---- rows of one source ----


@pytest.mark.parametrize("options", [{}, {"norm_position": "post"}, {"positions": "rotary"}, *PRETRAINED])
def test_many_rows_a_source_are_as_many_pairs(options: dict[str, Any]) -> None:
    model, pairs = model_of(**options), random_pairs()
    rows = torch.randint(3, 37, (15, 6))
    together = model(pairs.input_ids, pairs.attention_mask, rows).logits
    repeated = [tensor.repeat_interleave(3, 0) for tensor in (pairs.input_ids, pairs.attention_mask)]
    torch.testing.assert_close(together, model(*repeated, rows).logits, rtol=0, atol=1e-12)


@pytest.mark.parametrize("options", [*POSITIONS, *PRETRAINED])
def test_without_interaction_each_row_is_what_a_model_of_one_direction_makes(options: dict[str, Any]) -> None:
    both = model_of(generation_order="bidirectional", interaction="tanh", interaction_weight=0.0, **options)
    inputs = two_rows()
    logits = both(**inputs).logits
    for side in (0, 1):
        one = model_of(**options)
        weights = {name: w for name, w in both.state_dict().items() if ".sides." not in name}
        one.load_state_dict(weights)
        mark = both.decoder.embeddings.sides.weight[side] / one.decoder.embeddings.scale
        one.decoder.embeddings.tokens.register_forward_hook(lambda _, __, output, mark=mark: output + mark)
        expected = one(inputs["input_ids"], inputs["attention_mask"], inputs["decoder_input_ids"][side::2]).logits
        torch.testing.assert_close(logits[side::2], expected, rtol=0, atol=1e-12)


def test_a_model_that_interacts_is_one_without_where_rows_are_hidden() -> None:
    inputs = two_rows()
    for fusion in FUSIONS:
        model = model_of(generation_order="bidirectional", interaction=fusion)
        apart = model(**{**inputs, "visible": None}).logits
        hidden = model(**{**inputs, "visible": torch.zeros_like(inputs["visible"])}).logits
        torch.testing.assert_close(apart, hidden, rtol=0, atol=1e-12)
        assert (model(**inputs).logits - apart).abs().max() > 1e-3, f"{fusion} changes nothing"


@pytest.mark.parametrize("options", [*ORDERS[:-2], *PRETRAINED_ORDERS[: -len(PRETRAINED)]])
def test_swapped_sides_swap_the_outputs(options: dict[str, Any]) -> None:
    model, inputs = model_of(**options), two_rows()
    logits = model(**inputs).logits
    swap = torch.tensor([1, 0, 3, 2, 5, 4, 7, 6, 9, 8])
    with torch.no_grad():
        model.decoder.embeddings.sides.weight.copy_(model.decoder.embeddings.sides.weight.flip(0))
    swapped = model(**{**inputs, "decoder_input_ids": inputs["decoder_input_ids"][swap]}).logits
    torch.testing.assert_close(swapped[swap], logits, rtol=0, atol=1e-12)


@pytest.mark.parametrize("options", [*ORDERS, *PRETRAINED_ORDERS])
def test_later_tokens_of_either_row_are_invisible(options: dict[str, Any]) -> None:
    model, inputs = model_of(**options), two_rows()
    if options["generation_order"] == "interleaved":
        inputs = {name: value for name, value in inputs.items() if name not in ("sides", "visible")}
    logits = model(**inputs).logits
    for position in range(6):
        changed = inputs["decoder_input_ids"].clone()
        changed[:, position:] = (changed[:, position:] + 1).clamp(max=36)
        first_seeing = position - position % 2 if options["generation_order"] == "interleaved" else position
        found = model(**{**inputs, "decoder_input_ids": changed}).logits
        assert torch.equal(found[:, :first_seeing], logits[:, :first_seeing])


# ---- leaks ----


def answers_reach(model: Seq2SeqTransformer, inputs: dict[str, Tensor], rows: list[list[int]]) -> Tensor:
    """Return the largest gradient of each position's logits with respect to any input that holds its answer, [G, T].

    Args:
        rows: what each position predicts, numbers that are unlike each other within a row.
    """
    embedded: list[Tensor] = []
    hook = model.decoder.embeddings.tokens.register_forward_hook(
        lambda _, __, output: embedded.append(output.detach().requires_grad_()) or embedded[-1]
    )
    logits = model(**inputs).logits
    hook.remove()
    reach = torch.zeros(len(rows), logits.shape[1])
    for row, position in itertools.product(range(len(rows)), range(logits.shape[1])):
        [gradient] = torch.autograd.grad(logits[row, position].square().sum(), embedded[0], retain_graph=True)
        holds_answer = inputs["decoder_input_ids"] == rows[row][position]
        reach[row, position] = gradient[holds_answer].abs().max() if holds_answer.any() else 0.0
    return reach


@pytest.mark.parametrize("length", [4, 5, 8])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("options", [*POSITIONS, LIKE_BART, LIKE_T5])
def test_interleaved_rows_leak_no_answer(options: dict[str, Any], layers: int, length: int) -> None:
    model = model_of(generation_order="interleaved", decoder_layers=layers, **options)
    target = list(range(10, 10 + length))
    answers = [*(target[i // 2] if i % 2 == 0 else target[-1 - i // 2] for i in range(length)), 2, 0][
        : length + 2 - length % 2
    ]
    inputs = {
        "input_ids": torch.tensor([[5, 6, 7]]),
        "decoder_input_ids": torch.tensor([[1, 1, *answers[:-2]]]),
    }
    assert answers_reach(model, inputs, [answers]).max() == 0


@pytest.mark.parametrize("length", [4, 5, 8])
@pytest.mark.parametrize("layers", [1, 2])
def test_gold_rows_that_see_each_other_leak_the_second_half(layers: int, length: int) -> None:
    """The positive control: what the toolkit refuses to train is what this would find."""
    model = model_of(generation_order="bidirectional", interaction="tanh", decoder_layers=layers)
    target = list(range(10, 10 + length))
    inputs = {
        "input_ids": torch.tensor([[5, 6, 7]]),
        "decoder_input_ids": torch.tensor([[1, *target], [1, *reversed(target)]]),
        "sides": torch.arange(2),
        "visible": torch.ones(2, length + 1, dtype=torch.bool),
    }
    reach = answers_reach(model, inputs, [[*target, 2], [*reversed(target), 2]])[:, :length] > 0
    first_leak = (length + 1) // 2
    expected = (torch.arange(length) >= first_leak).expand(2, -1)
    assert torch.equal(reach, expected)


# ---- steps ----


def steps_of_pairs(model: Seq2SeqTransformer, pairs: Any) -> None:
    """Step pairs with random survivors, widths and ends of rows; compare with the full forward at every step."""
    paired, share = model.in_pairs(), model.generation_order == "interleaved"
    state, sources = paired.encode(pairs.input_ids, pairs.attention_mask), torch.arange(5)
    fed = torch.zeros(5, 2, 1, 0, dtype=torch.long)
    was_open = torch.zeros(5, 2, 1, 0, dtype=torch.bool)
    lengths, num_written = torch.randint(1, NUM_STEPS + 1, (5, 2, 1)), 0
    for step in range(NUM_STEPS):
        kept = torch.arange(len(sources))
        if step % 7 == 5 and len(kept) > 2:
            kept = kept[torch.randperm(len(kept))[1:].sort().values]
        beams = torch.randint(0, fed.shape[2], (len(kept), int(torch.randint(1, 5, ()))))
        state = paired.reorder(state, beams.unsqueeze(1).expand(-1, 2, -1), None if len(kept) == len(sources) else kept)
        fed, was_open, lengths = (
            rows.transpose(1, 2)[kept[:, None], beams].transpose(1, 2) for rows in (fed, was_open, lengths)
        )
        sources, num_written = sources[kept], num_written + 2 * beams.shape[1]
        tokens = torch.randint(3, 37, (len(kept), 2, beams.shape[1]))
        is_open = torch.ones_like(tokens, dtype=torch.bool) if share else step < lengths
        logits, state = paired.step(state, tokens, None if share else is_open)
        fed, was_open = torch.cat([fed, tokens.unsqueeze(-1)], -1), torch.cat([was_open, is_open.unsqueeze(-1)], -1)
        expected = full_logits(model, [part[sources] for part in pairs[:2]], fed, was_open, share)
        torch.testing.assert_close(logits[is_open], expected[is_open], rtol=0, atol=1e-10)
    assert state.buffers[0].num_slots < num_written, "slots without descendants were never cleared out"


def full_logits(model: Seq2SeqTransformer, sources: list[Tensor], fed: Tensor, was_open: Tensor, share: bool) -> Tensor:
    """Return the logits [B, 2, W, V] of the last position of each row."""
    num_sentences, _, width, _ = fed.shape
    sources = [tensor.repeat_interleave(width, 0) for tensor in sources]
    if share:
        rows = fed.permute(0, 2, 3, 1).flatten(2).flatten(0, 1)  # left and right in turn
        return model.teacher_forced(*sources, rows)[:, -2:].view(num_sentences, width, 2, -1).transpose(1, 2)
    sides = torch.arange(2).repeat(num_sentences * width)
    fed, was_open = fed.transpose(1, 2), was_open.transpose(1, 2)
    visible = {"visible": was_open.flatten(0, 2)} if model.options.interacts else {}
    logits = model.teacher_forced(*sources, fed.flatten(0, 2), sides=sides, **visible)
    return logits[:, -1].view(num_sentences, width, 2, -1).transpose(1, 2)


@pytest.mark.parametrize("options", [*ORDERS, *PRETRAINED_ORDERS])
def test_steps_of_pairs_equal_the_full_forward(options: dict[str, Any]) -> None:
    model, pairs = model_of(**options), random_pairs()
    torch.manual_seed(3)
    steps_of_pairs(model, pairs)


def test_sides_step_as_rows_of_the_full_forward() -> None:
    model, pairs = model_of(generation_order="bidirectional", interaction="tanh"), random_pairs()
    for side in (0, 1):
        one = model.from_side(side)
        state = one.encode(pairs.input_ids, pairs.attention_mask)
        expected = one.teacher_forced(*pairs)
        for position in range(13):
            logits, state = one.step(state, pairs.decoder_input_ids[:, position : position + 1])
            torch.testing.assert_close(logits[:, 0], expected[:, position], rtol=0, atol=1e-10)
    assert (model.from_side(0).teacher_forced(*pairs) - expected).abs().max() > 1e-3, "the sides differ"


def test_partners_of_changing_rank_leave_what_was_cached() -> None:
    """Rows that change partners keep states of their former ones: with two layers no full forward gives them."""
    pairs = random_pairs()
    for layers, is_equal in ((1, True), (2, False)):
        model = model_of(generation_order="bidirectional", interaction="tanh", decoder_layers=layers)
        paired = model.in_pairs()
        state = paired.reorder(paired.encode(*pairs[:2]), torch.zeros(5, 2, 2, dtype=torch.long))
        torch.manual_seed(2)
        first, second = torch.randint(3, 37, (2, 5, 2, 2)).unbind()
        swap = torch.tensor([[0, 1], [1, 0]]).expand(5, -1, -1)  # left rows stay, right rows change places [5, 2, 2]
        _, state = paired.step(state, first)
        logits, _ = paired.step(paired.reorder(state, swap), second)
        fed = torch.stack([first.gather(2, swap), second], -1).transpose(1, 2)
        sources = [tensor.repeat_interleave(2, 0) for tensor in pairs[:2]]
        visible = torch.ones(20, 2, dtype=torch.bool)
        expected = model.teacher_forced(*sources, fed.flatten(0, 2), sides=torch.arange(2).repeat(10), visible=visible)
        difference = (logits.transpose(1, 2).flatten(0, 2) - expected[:, -1]).abs().max()
        assert (difference < 1e-10) == is_equal


# ---- what a model does not know ----


@pytest.mark.parametrize(
    ("trained", "ask"),
    [("l2r", lambda m: m.from_side(1)), ("r2l", lambda m: m.from_side(0)), ("interleaved", lambda m: m.from_side(0)),
     ("l2r", lambda m: m.in_pairs()), ("r2l", lambda m: m.in_pairs())],
)  # fmt: skip
def test_orders_that_were_not_trained_are_errors(trained: str, ask: Any) -> None:
    with pytest.raises(ValueError, match=f"order `{trained}` and cannot generate"):
        ask(model_of(generation_order=trained))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"interaction": "tanh"}, "needs `generation_order` 'bidirectional'"),
        ({"generation_order": "middle"}, "must be one of l2r, r2l"),
        ({"interaction_weight": -1.0}, "must not be negative"),
    ],
)
def test_options_that_make_no_model(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        tiny_model(**options)


@pytest.mark.parametrize("order", ["r2l", "interleaved"])
def test_generate_of_transformers_refuses_what_it_would_read_the_wrong_way(order: str) -> None:
    model = model_of(generation_order=order)
    with pytest.raises(ValueError, match="knows only generation from left to right"):
        model.generate(torch.tensor([[5, 6, 2]]), max_length=5)
