import itertools
import logging
import math
from dataclasses import replace

import pytest
import torch

from seq2seq.decoding import ONE_SIDED, BeamSearch, Greedy, Sampling
from seq2seq.decoding.running.in_process import InProcess, pad_sources
from seq2seq.generation.corpus import decode_lines
from seq2seq.generation.output import EMPTY_HYPOTHESIS
from tests.fakes import CharTokenizer, RandomModel

TOKENIZER = CharTokenizer()
MODEL = RandomModel(vocab_size=len(TOKENIZER.vocabulary), scale=3.0)
LINES = ["ab", "", "a cat", "the dog", "  ", "b", "cat", "a dog and a cat", "ab", "dog", "x"]


def decode(lines=LINES, search=None, batch_tokens=8192, model=MODEL, **options):
    searcher = InProcess(model, search or Greedy(max_length=7))
    return list(decode_lines(lines, searcher, TOKENIZER, batch_tokens, **options))


def test_results_come_in_input_order():
    results = decode(search=BeamSearch(beam_width=3, n_best=2, max_length=7))
    assert [result.id for result in results] == list(range(len(LINES)))
    assert [result.source for result in results] == LINES
    assert results[0].hypotheses == results[8].hypotheses
    for line, result in zip(LINES, results, strict=True):
        assert [replace(result, id=0)] == decode([line], search=BeamSearch(beam_width=3, n_best=2, max_length=7))


def test_empty_lines_do_not_reach_the_model():
    model = RandomModel(vocab_size=len(TOKENIZER.vocabulary))
    results = decode(["", " \t", "ab", "\u3000"], model=model)
    assert model.num_encoded == 1
    assert [result.hypotheses == (EMPTY_HYPOTHESIS,) for result in results] == [True, True, False, True]
    assert decode(["", ""], model=model)[1].text == ""
    assert decode([], model=model) == []


@pytest.mark.parametrize("method", ONE_SIDED)
@pytest.mark.parametrize(("batch_tokens", "pool_lines"), [(1, 1000), (20, 1000), (8192, 3), (40, 4)])
def test_batches_and_pools_change_nothing(method, batch_tokens, pool_lines):
    search = ONE_SIDED[method](max_length=7)
    assert decode(search=search, batch_tokens=batch_tokens, pool_lines=pool_lines) == decode(search=search)


@pytest.mark.parametrize("method", ["greedy", "beam", "diverse_beam"])
def test_order_of_lines_changes_nothing(method):
    search = ONE_SIDED[method](max_length=7)
    forward = {result.source: result.hypotheses for result in decode(search=search)}
    assert {result.source: result.hypotheses for result in decode(LINES[::-1], search=search)} == forward


def test_samples_of_equal_lines_differ_and_of_equal_rows_do_not():
    search = Sampling(max_length=7, n_best=3, temperature=3.0)
    results = decode(search=search)
    assert results[0].hypotheses != results[8].hypotheses
    assert decode(LINES[6:], search=search, first_row=6) == results[6:]


def test_batches_keep_the_budget():
    sizes = []

    class Recorded(RandomModel):
        def encode(self, input_ids, attention_mask):
            sizes.append(input_ids.shape)
            return super().encode(input_ids, attention_mask)

    model = Recorded(vocab_size=len(TOKENIZER.vocabulary))
    decode(model=model, search=BeamSearch(beam_width=3, max_length=5), batch_tokens=60)
    # The line of 16 tokens fits alone: 16 * 3 = 48; with another of its padded length it would be 96.
    assert sizes[0] == (1, 16)
    assert all(rows * length * 3 <= 60 for rows, length in sizes)
    assert sum(rows for rows, _ in sizes) == 9
    assert len(sizes) < 6


def test_long_sources_are_cut_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        results = decode(max_source_tokens=5, first_row=100)
    assert caplog.messages == [
        "Line 103 has 6 tokens, of which the model takes 5; the rest of the line is not decoded. So it is with 2 more "
        "of 9 lines."
    ]
    assert results[3].hypotheses == decode(["the "])[0].hypotheses
    assert results[3].source == "the dog"


def test_sources_are_cut_at_what_the_model_takes(caplog):
    model = RandomModel(vocab_size=len(TOKENIZER.vocabulary), scale=3.0)
    model.max_source_tokens = 5
    with caplog.at_level(logging.WARNING):
        results = decode(model=model)
        assert [result.hypotheses for result in results] == [r.hypotheses for r in decode(max_source_tokens=5)]
        assert decode(model=model, max_source_tokens=99) == results
        assert "Line 3 has 6 tokens, of which the model takes 5" in caplog.text
        caplog.clear()
        decode(model=model, max_source_tokens=4)
    assert "of which the model takes 4" in caplog.text
    assert "takes 5" not in caplog.text


@pytest.mark.parametrize("limit", [1, 0, -3])
def test_limits_that_leave_nothing_are_refused(limit):
    with pytest.raises(ValueError, match=f"`max_source_tokens` .* at least 2, but is {limit}"):
        decode(max_source_tokens=limit)


@pytest.mark.parametrize("batch_tokens", [0, -1])
def test_budgets_that_hold_nothing_are_refused(batch_tokens):
    with pytest.raises(ValueError, match=f"`batch_tokens` must be at least 1, but is {batch_tokens}"):
        decode(batch_tokens=batch_tokens)


def failing_model():
    """Return a model that says no numbers for sources that begin with `a`."""
    model = RandomModel(vocab_size=len(TOKENIZER.vocabulary), scale=3.0)
    logits = model.logits
    model.logits = lambda source, prefix: logits(source, prefix) * (math.nan if source[0] == TOKENIZER.ids["a"] else 1)
    return model


def test_a_line_that_fails_is_a_result(caplog):
    search = BeamSearch(beam_width=3, n_best=2, max_length=7)
    results = decode(search=search, model=failing_model(), first_row=100)
    assert [result.id for result in results if result.failed] == [100, 102, 107, 108]
    for found, expected in zip(results, decode(search=search, first_row=100), strict=True):
        if found.failed:
            [hypothesis] = found.hypotheses
            assert (hypothesis.text, hypothesis.tokens, hypothesis.finished) == ("", (), False)
            assert "logits are not finite" in hypothesis.error
        else:
            assert found == expected
    lines = sorted(record.getMessage().partition(":")[0] for record in caplog.records)
    assert lines == [f"Line {number} could not be decoded" for number in (101, 103, 108, 109)]


def test_a_pause_ends_a_pool():
    lines = [None, "ab", "a cat", None, None, *LINES[3:], None]
    results = decode(lines)
    assert [(result.id, result.source) for result in results] == list(enumerate(["ab", "a cat", *LINES[3:]]))
    assert [result.hypotheses for result in results[2:]] == [result.hypotheses for result in decode()[3:]]


def test_source_prefix_is_for_the_model_alone():
    results = decode(source_prefix="my ")
    assert [result.source for result in results] == LINES
    with_prefix = decode(["my " + line if line.strip() else line for line in LINES])
    assert [result.hypotheses for result in results] == [result.hypotheses for result in with_prefix]


def test_prefixes_are_forced_per_line():
    prefixes = ["do", "ignored", "", "cat", "", "b", "", "", "", "", "dog "]
    results = decode(search=BeamSearch(beam_width=3, n_best=3, max_length=7), prefixes=iter(prefixes))
    for result, prefix in zip(results, prefixes, strict=True):
        if result.source.strip():
            assert all(h.text.startswith(prefix) for h in result.hypotheses)
            assert all(h.tokens[: len(prefix)] == tuple(prefix) for h in result.hypotheses)


@pytest.mark.parametrize(("num_prefixes", "message"), [(10, "fewer prefixes"), (12, "more prefixes")])
@pytest.mark.parametrize("pool_lines", [5, 100])
def test_prefixes_must_match_the_lines(num_prefixes, message, pool_lines):
    with pytest.raises(ValueError, match=message):
        decode(prefixes=["a"] * num_prefixes, pool_lines=pool_lines)


def test_what_is_no_text_is_not_passed_over():
    with pytest.raises(ValueError, match="A line must be a str, but is nan"):
        decode(lines=["a", float("nan"), "b"])
    with pytest.raises(ValueError, match="A prefix is no text"):
        decode(prefixes=["a", None, *"a" * 9])


def test_reading_stays_within_a_pool():
    num_read = 0

    def endless():
        nonlocal num_read
        while True:
            num_read += 1
            yield "ab"

    results = decode_lines(endless(), InProcess(MODEL, Greedy(max_length=3)), TOKENIZER, pool_lines=5)
    assert [result.id for result in itertools.islice(results, 6)] == list(range(6))
    assert num_read == 10


def test_pad_sources():
    input_ids, mask = pad_sources([[5, 2], [7, 6, 2]])
    assert input_ids.tolist() == [[5, 2, 0], [7, 6, 2]]
    assert mask.dtype == torch.bool
    assert mask.tolist() == [[True, True, False], [True, True, True]]
