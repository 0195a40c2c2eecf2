import math

import pytest
import torch

from seq2seq.decoding import ONE_SIDED, BeamSearch, Greedy
from seq2seq.decoding.parts.options import length_divisor
from tests.fakes import RandomModel, TableModel
from tests.oracles import exhaustive_search, token_log_probs

PAD, START, END, A, B = range(5)
SOURCE = torch.tensor([[7]])
SOURCE_MASK = torch.ones(1, 1, dtype=torch.bool)

INPUT_IDS = torch.tensor(
    [[3, 4, 5, 2], [4, 2, 0, 0], [5, 6, 2, 0], [6, 2, 0, 0], [3, 3, 2, 0], [5, 2, 0, 0], [6, 6, 6, 2]]
)
MASK = INPUT_IDS != 0


def rounded(results):
    return [[(h.tokens, round(h.normalized_score, 4)) for h in hypotheses] for hypotheses in results]


GARDEN_PATH = {
    # The likelier first token leads to the less likely sentence.
    #        PAD START END   A    B
    (): [0, 0, 0.1, 0.5, 0.4],
    (A,): [0, 0, 0.4, 0.25, 0.35],
    (B,): [0, 0, 0.9, 0.1, 0.0],
    (A, A): [0, 0, 1.0, 0.0, 0.0],
    (A, B): [0, 0, 1.0, 0.0, 0.0],
    (B, A): [0, 0, 1.0, 0.0, 0.0],
}


def test_greedy_takes_the_garden_path():
    # A (0.5), then the end (0.4).
    [[found]] = Greedy(length_penalty=0.0).search(TableModel({7: GARDEN_PATH}, END), SOURCE, SOURCE_MASK)
    assert found.tokens == (A, END)
    assert found.score == pytest.approx(math.log(0.5 * 0.4))
    assert found.finished


def test_beam_of_two_finds_the_better_sentence():
    # Step 1 looks at A 0.5, B 0.4, END 0.1, (none): END stands third, so it may not finish.
    # Step 2 looks at B END 0.36, A END 0.20, A B 0.175, A A 0.125: two have finished, and 0.175 cannot beat 0.2.
    search = BeamSearch(beam_width=2, n_best=2, length_penalty=0.0)
    [[first, second]] = search.search(TableModel({7: GARDEN_PATH}, END), SOURCE, SOURCE_MASK)
    assert (first.tokens, second.tokens) == ((B, END), (A, END))
    assert first.score == pytest.approx(math.log(0.4 * 0.9))
    assert second.normalized_score == pytest.approx(math.log(0.5 * 0.4))


def test_beam_of_three_lets_the_third_finish():
    # Step 1: A, B and END are the first three, so END finishes with log 0.1.
    # Step 2: B END 0.36, A END 0.20 finish and fill the pool; A B 0.175 and A A 0.125 may still beat 0.1.
    # Step 3: A B END 0.175 takes END's place.
    search = BeamSearch(beam_width=3, n_best=3, length_penalty=0.0)
    [found] = search.search(TableModel({7: GARDEN_PATH}, END), SOURCE, SOURCE_MASK)
    assert [h.tokens for h in found] == [(B, END), (A, END), (A, B, END)]


def test_length_penalty_prefers_longer():
    # A B END: log 0.175 / 3 = -0.581; B END: log 0.36 / 2 = -0.511; with p = 2 it is -0.194 against -0.255.
    model = TableModel({7: GARDEN_PATH}, END)
    plain = BeamSearch(beam_width=4, length_penalty=1.0).search(model, SOURCE, SOURCE_MASK)
    longer = BeamSearch(beam_width=4, length_penalty=2.0).search(model, SOURCE, SOURCE_MASK)
    assert rounded(plain) == [[((B, END), -0.5108)]]
    assert rounded(longer) == [[((A, B, END), -0.1937)]]


def test_length_limit_finishes_what_runs():
    [[found]] = BeamSearch(beam_width=2, max_length=1).search(TableModel({7: GARDEN_PATH}, END), SOURCE, SOURCE_MASK)
    assert found.tokens == (A,)
    assert not found.finished


@pytest.mark.parametrize("normalization", ["average", "gnmt"])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_full_width_equals_exhaustive_search(length_penalty, normalization):
    # 4 tokens that do not end, so 4^3 sequences of full length; a wide enough beam never drops one.
    model, max_length = RandomModel(vocab_size=5), 3
    search = BeamSearch(
        beam_width=100,
        n_best=100,
        max_length=max_length,
        length_penalty=length_penalty,
        length_normalization=normalization,
    )
    for source, found in zip(INPUT_IDS[:3], search.search(model, INPUT_IDS[:3], MASK[:3]), strict=True):
        expected = exhaustive_search(
            model,
            source[source != 0].tolist(),
            max_length,
            lambda length: length_divisor(length, length_penalty, normalization),
        )
        assert [h.tokens for h in found] == [tokens for tokens, _ in expected]
        assert [h.normalized_score for h in found] == pytest.approx([score for _, score in expected], abs=1e-5)


@pytest.mark.parametrize("options", [{}, {"length_penalty": 0.3}, {"no_repeat_ngram": 2, "min_length": 3}])
def test_width_one_equals_greedy(options):
    model = RandomModel(vocab_size=11)
    beam = BeamSearch(beam_width=1, max_length=13, **options).search(model, INPUT_IDS, MASK)
    greedy = Greedy(max_length=13, **options).search(model, INPUT_IDS, MASK)
    assert rounded(beam) == rounded(greedy)


def test_scores_equal_teacher_forcing():
    model = RandomModel(vocab_size=11)
    search = BeamSearch(beam_width=3, n_best=3, max_length=7)
    for source, hypotheses in zip(INPUT_IDS, search.search(model, INPUT_IDS, MASK), strict=True):
        for hypothesis in hypotheses:
            real = token_log_probs(model, source[source != 0].tolist(), hypothesis.tokens)
            assert hypothesis.token_log_probs == pytest.approx(real, abs=1e-5)
            assert hypothesis.score == pytest.approx(sum(real), abs=1e-5)
            assert hypothesis.normalized_score == pytest.approx(sum(real) / len(real), abs=1e-5)


@pytest.mark.parametrize("method", ONE_SIDED)
def test_batch_mates_and_their_leaving_change_nothing(method):
    search = ONE_SIDED[method](max_length=13)
    model = RandomModel(vocab_size=11)
    together = search.search(model, INPUT_IDS, MASK)
    num_stepped = model.num_rows_stepped
    alone = [search.search(model, INPUT_IDS[i : i + 1], MASK[i : i + 1], rows=[i])[0] for i in range(len(INPUT_IDS))]
    assert together == alone
    assert len({len(hypotheses[0].tokens) for hypotheses in together}) > 2, "sentences must end at different steps"
    longest = max(len(h.tokens) for hypotheses in together for h in hypotheses)
    assert num_stepped < longest * len(INPUT_IDS) * search.width, "finished sentences must leave"


@pytest.mark.parametrize("method", ONE_SIDED)
@pytest.mark.parametrize("length", [0, 1, 2])
def test_logits_that_are_not_finite_fail_their_sentence_alone(method, length):
    """Before the first token, or behind the first or second; nothing is found of that sentence, all of the others."""
    model = RandomModel(vocab_size=11)
    broken = RandomModel(vocab_size=11)
    broken.logits = lambda source, prefix: (
        model.logits(source, prefix) * (math.nan if source[0] == 6 and len(prefix) >= length else 1)
    )
    search = ONE_SIDED[method](max_length=13, min_length=3)
    found, expected = search.search(broken, INPUT_IDS, MASK), search.search(model, INPUT_IDS, MASK)
    for i, (hypotheses, others) in enumerate(zip(found, expected, strict=True)):
        if i in (3, 6):
            [failed] = hypotheses
            assert (failed.tokens, failed.token_log_probs, failed.score, failed.normalized_score) == ((), (), 0, 0)
            assert "not finite" in failed.error
            assert "wider type" in failed.error
        else:
            assert hypotheses == others
    longest = max(len(h.tokens) for hypotheses in expected for h in hypotheses)
    assert longest > 3
    assert broken.num_rows_stepped <= model.num_rows_stepped, "what has failed must not go on"
