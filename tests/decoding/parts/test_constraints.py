import itertools

import pytest
import torch
from transformers import NoRepeatNGramLogitsProcessor

from seq2seq.decoding import BeamSearch, DiverseBeamSearch, Greedy, Sampling
from seq2seq.decoding.parts.constraints import (
    Constraints,
    LogitsProcessorConstraint,
    Renormalized,
    SuppressedTokens,
    block_repeated_ngrams,
    forbidden_sequences,
    force_tokens,
    next_log_probs,
    repetition_penalty,
)
from seq2seq.decoding.parts.state import PathState, Specials
from tests.fakes import RandomModel
from tests.oracles import repeats_ngram, token_log_probs

INPUT_IDS = torch.tensor([[3, 4, 2], [4, 2, 0], [5, 6, 2], [6, 2, 0], [3, 3, 2]])
MASK = INPUT_IDS != 0
SEARCHES = [
    Greedy(max_length=11),
    BeamSearch(beam_width=3, n_best=3, max_length=11),
    Sampling(n_best=3, max_length=11),
    DiverseBeamSearch(beam_width=4, num_groups=2, n_best=4, max_length=11),
]
searches = pytest.mark.parametrize("search", SEARCHES, ids=lambda search: type(search).__name__)


def changed(search, **options):
    return type(search)(**{**vars(search), **options})


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("length", [0, 1, 2, 7])
def test_ngram_blocking_equals_the_oracle(size, length):
    vocab_size = 3
    token_ids = torch.randint(vocab_size, (5, 2, length))
    blocked = block_repeated_ngrams(token_ids, torch.zeros(5, 2, vocab_size), size) == -torch.inf
    for b, w, token in itertools.product(range(5), range(2), range(vocab_size)):
        before = token_ids[b, w].tolist()
        ngrams = [before[i : i + size] for i in range(len(before) - size + 1)]
        completed = [*before, token][-size:]
        assert bool(blocked[b, w, token]) == (length >= size and completed in ngrams)


@searches
@pytest.mark.parametrize(("size", "vocab_size"), [(1, 13), (2, 5)])
def test_no_ngram_repeats(search, size, vocab_size):
    # 12 tokens that do not end, or 4 * 4 pairs of them, are enough for 11 steps without a repetition.
    model = RandomModel(vocab_size, scale=1.0)
    results = changed(search, no_repeat_ngram=size).search(model, INPUT_IDS, MASK)
    assert not any(repeats_ngram(h.tokens, size) for hypotheses in results for h in hypotheses)
    free = search.search(model, INPUT_IDS, MASK)
    assert any(repeats_ngram(h.tokens, size) for hypotheses in free for h in hypotheses)


@searches
def test_minimum_and_maximum_length(search):
    model = RandomModel(vocab_size=7, scale=1.0)
    results = changed(search, min_length=4, max_length=5).search(model, INPUT_IDS, MASK)
    lengths = {len(h.tokens) for hypotheses in results for h in hypotheses}
    assert lengths == {5}
    for hypotheses in results:
        assert all(model.eos_id not in h.tokens[:4] for h in hypotheses)
        assert all(h.finished == (h.tokens[-1] == model.eos_id) for h in hypotheses)


@searches
def test_each_sentence_has_its_own_length_limit(search):
    # Sources of 3 and 2 tokens at a ratio of 0.5 may have 1 + 10 tokens each, at 1.0 they may have 13 and 12.
    model = RandomModel(vocab_size=7)
    results = changed(search, min_length=15, max_length=17, max_length_ratio=1.0).search(model, INPUT_IDS, MASK)
    assert [{len(h.tokens) for h in hypotheses} for hypotheses in results] == [{13}, {12}, {13}, {12}, {13}]


@searches
def test_forced_prefixes_of_unequal_length(search):
    model = RandomModel(vocab_size=7)
    prefixes = [[5, 3, 3], [], [6], [4, 4], []]
    # An n-gram block must not forbid what is forced.
    results = changed(search, no_repeat_ngram=1).search(model, INPUT_IDS, MASK, prefixes=prefixes)
    for source, prefix, hypotheses in zip(INPUT_IDS.tolist(), prefixes, results, strict=True):
        for hypothesis in hypotheses:
            assert hypothesis.tokens[: len(prefix)] == tuple(prefix)
            real = token_log_probs(model, [token for token in source if token], hypothesis.tokens)
            assert hypothesis.token_log_probs == pytest.approx(real, abs=1e-5)


@searches
def test_prefixes_stay_with_their_sentences_when_others_leave(search):
    model = RandomModel(vocab_size=7, scale=4.0)
    prefixes = [[], [], [], [5] * 9, [6] * 10]
    results = search.search(model, INPUT_IDS, MASK, prefixes)
    assert min(len(h.tokens) for hypotheses in results for h in hypotheses) < 8, "a sentence must leave early"
    for hypotheses, prefix in zip(results, prefixes, strict=True):
        assert all(h.tokens[: len(prefix)] == tuple(prefix) for h in hypotheses)


@searches
def test_empty_prefixes_change_nothing(search):
    model = RandomModel(vocab_size=7)
    prefixes = [[] for _ in INPUT_IDS]
    assert search.search(model, INPUT_IDS, MASK, prefixes) == search.search(model, INPUT_IDS, MASK)


@searches
def test_a_hypothesis_with_no_token_left_ends(search):
    model = RandomModel(vocab_size=5)
    results = changed(search, no_repeat_ngram=1, min_length=9).search(model, INPUT_IDS[:, :2], MASK[:, :2])
    for hypotheses in results:
        assert hypotheses
        assert all(h.finished and len(h.tokens) == 5 for h in hypotheses)


def test_force_tokens_by_hand():
    log_probs = torch.tensor([[[-1.0, -torch.inf, -3.0]], [[-4.0, -5.0, -6.0]]])
    forced = force_tokens(log_probs, torch.tensor([1, -1]), torch.tensor([[[-2.0]], [[-9.0]]]))
    assert forced.tolist() == [[[-torch.inf, -2.0, -torch.inf]], [[-4.0, -5.0, -6.0]]]


@searches
def test_a_logits_processor_is_a_constraint(search):
    model = RandomModel(vocab_size=7)
    processor = LogitsProcessorConstraint(NoRepeatNGramLogitsProcessor(2), model.decoder_start_id)
    adapted = changed(search, constraints=(processor,)).search(model, INPUT_IDS, MASK)
    shown = [
        (model.decoder_start_id, *(h.tokens[:-1] if h.finished else h.tokens))
        for hypotheses in adapted
        for h in hypotheses
    ]
    assert not any(repeats_ngram(tokens, 2) for tokens in shown)


def test_constraints_see_step_tokens_and_log_probs():
    seen = []

    def record(step, token_ids, log_probs):
        seen.append((step, token_ids.shape, log_probs.exp().sum(-1).min().item()))
        return log_probs

    Greedy(max_length=3, min_length=2, constraints=(record,)).search(RandomModel(vocab_size=7), INPUT_IDS, MASK)
    assert [step for step, _, _ in seen] == [0, 1, 2]
    assert [shape for _, shape, _ in seen] == [(5, 1, 0), (5, 1, 1), (5, 1, 2)]
    # The user's constraints come after the minimum length, whose blocked token is missing from the sum.
    assert seen[0][2] < 0.999 < seen[2][2]


def test_a_constraint_that_forbids_nothing_changes_nothing():
    before = torch.randn(2, 3, 11)
    nothing = Constraints(ends=(2,), min_length=0, no_repeat_ngram=0, others=(), prefixes=None)
    identity = Constraints(ends=(2,), min_length=0, no_repeat_ngram=0, others=(lambda s, t, p: p,), prefixes=None)
    assert not nothing.active(1)
    assert identity.active(1)
    free, constrained = (
        next_log_probs(before.clone(), PathState.start(torch.tensor([5, 7]), 3, constraints, Specials(0, 2, 1)))
        for constraints in (nothing, identity)
    )
    assert torch.equal(free, constrained)
    torch.testing.assert_close(free, before.log_softmax(-1))


def test_a_processor_tells_what_it_was_made_with() -> None:
    """A decode that goes on in another process has to know its search again."""
    assert repr(repetition_penalty(1.3, 0)) == repr(repetition_penalty(1.3, 0)) != repr(repetition_penalty(1.2, 0))
    words = [[5, 6], [7]]
    assert repr(forbidden_sequences(words, 0)) == repr(forbidden_sequences(words, 0))
    assert " at 0x" not in repr(forbidden_sequences(words, 0))


def test_a_sequence_is_forbidden_as_soon_as_its_beginning_is_said() -> None:
    """Also where it begins with the start token, and there are fewer tokens yet than it has."""
    constraint = forbidden_sequences([[1, 5], [1, 4, 3], [4, 3, 6]], 1)
    for said, forbidden in (([], {5}), ([4], {3}), ([4, 3], {6}), ([3], set())):
        token_ids = torch.tensor([[said]], dtype=torch.long)
        found = constraint(token_ids.shape[-1], token_ids, torch.zeros(1, 1, 8))
        assert set(found[0, 0].isinf().nonzero().flatten().tolist()) == forbidden


def normalized(logits: torch.Tensor, *others, min_length: int = 0) -> torch.Tensor:
    constraints = Constraints(
        ends=(2,), min_length=min_length, no_repeat_ngram=0, others=(*others, Renormalized()), prefixes=None
    )
    state = PathState.start(torch.tensor([5, 7]), 3, constraints, Specials(0, 2, 1))
    return next_log_probs(logits.clone(), state)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_left_is_normalised_as_if_the_rest_were_not_there(dtype) -> None:
    logits = torch.randn(2, 3, 11).to(dtype)
    found = normalized(logits, SuppressedTokens((4, 7)), min_length=1)
    left = [token for token in range(11) if token not in (2, 4, 7)]
    torch.testing.assert_close(found[..., left], logits[..., left].float().log_softmax(-1))
    assert (found[..., [2, 4, 7]] == -torch.inf).all()


def test_constraints_that_read_probabilities_are_shown_them_before_what_is_left_is_normalised() -> None:
    logits = torch.randn(2, 3, 11)
    seen = []

    def halve(step, token_ids, log_probs):
        seen.append(log_probs.exp().sum(-1))
        return log_probs / 2

    found = normalized(logits, halve)
    torch.testing.assert_close(seen[0], torch.ones(2, 3))
    torch.testing.assert_close(found, (logits.log_softmax(-1) / 2).log_softmax(-1))


def test_a_hypothesis_that_nothing_is_left_to_may_end_for_sure() -> None:
    found = normalized(torch.randn(2, 3, 5), SuppressedTokens((0, 1, 2, 3, 4)))
    assert found[0, 0].tolist() == [-torch.inf, -torch.inf, 0.0, -torch.inf, -torch.inf]


def test_numbers_that_are_none_stay_so_when_what_is_left_is_normalised() -> None:
    assert normalized(torch.full((2, 3, 5), torch.nan), SuppressedTokens((4,)))[..., :4].isnan().all()
