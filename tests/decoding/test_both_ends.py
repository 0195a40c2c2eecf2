"""Searches from the right and from both ends, against slow loops and against everything there is."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from seq2seq.data.generation_order import LEFT, RIGHT, from_right, interleaved
from seq2seq.decoding.beam import BeamSearch
from seq2seq.decoding.directions import FromSide
from seq2seq.decoding.hypothesis import Hypothesis
from seq2seq.decoding.interleaved import InterleavedBeamSearch
from seq2seq.decoding.joint import JointBeamSearch
from seq2seq.decoding.rescoring import Rescored, log_probs_of
from seq2seq.decoding.synchronous import SynchronousBeamSearch, best_of
from seq2seq.models.both_directions import BothDirections
from seq2seq.models.ensemble import Ensemble
from seq2seq.models.transformer import Seq2SeqTransformer
from tests.models.tiny import tiny_model

PAD, START, EOS = 0, 1, 2
CONTENT = (3, 4, 5)
OPTIONS: dict[str, Any] = {"vocab_size": 6, "d_model": 16, "num_heads": 2, "key_size": None, "value_size": None}
BOTH: dict[str, Any] = {"generation_order": "bidirectional", "interaction": "tanh", "interaction_weight": 0.5}


def model_of(seed: int, **options: Any) -> Seq2SeqTransformer:
    """Return a model that is surer than a fresh one, with marks of the sides that are not 0."""
    torch.manual_seed(seed)
    model = tiny_model(**{**OPTIONS, **options})
    with torch.no_grad():
        model.lm_head.weight.mul_(3)
        if model.decoder.embeddings.sides is not None:
            model.decoder.embeddings.sides.weight.normal_()
    return model


def sources(num_sentences: int = 3) -> tuple[Tensor, Tensor]:
    torch.manual_seed(99)
    lengths = torch.tensor([4, 2, 5, 1, 3, 5, 2][:num_sentences])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    return torch.randint(3, 6, mask.shape).masked_fill(~mask, PAD), mask


def only_content(step: int, token_ids: Tensor, log_probs: Tensor) -> Tensor:
    """A constraint: neither padding nor the start token."""
    log_probs[..., [PAD, START]] = -torch.inf
    return log_probs


def same(found: list[list[Hypothesis]], expected: list[list[Hypothesis]]) -> None:
    assert [[h.tokens for h in hs] for hs in found] == [[h.tokens for h in hs] for hs in expected]
    for a, b in zip(itertools.chain(*found), itertools.chain(*expected), strict=True):
        assert a.score == pytest.approx(b.score, abs=1e-5)
        assert a.normalized_score == pytest.approx(b.normalized_score, abs=1e-5)


# ---- one direction of a model that knows both ----


def test_each_direction_of_one_model_is_an_ordinary_search() -> None:
    model = model_of(1, **BOTH)
    search = BeamSearch(beam_width=3, n_best=3, max_length=9)
    left = FromSide(search, LEFT).search(model, *sources())
    same(left, search.search(model.from_side(0), *sources()))
    right = FromSide(search, RIGHT).search(model, *sources())
    turned = search.search(model.from_side(1), *sources())
    for found, raw in zip(itertools.chain(*right), itertools.chain(*turned), strict=True):
        assert found.direction == "r2l"
        words = len(raw.tokens) - raw.finished
        assert found.tokens == (*reversed(raw.tokens[:words]), *raw.tokens[words:])
        assert found.token_log_probs[:words] == tuple(reversed(raw.token_log_probs[:words]))
        assert found.score == raw.score
    assert [h.tokens for hs in left for h in hs] != [h.tokens for hs in right for h in hs]


def test_a_model_from_the_right_reads_from_the_left() -> None:
    model = model_of(2, generation_order="r2l")
    [[found], *_] = FromSide(BeamSearch(beam_width=2, max_length=9), RIGHT).search(model, *sources())
    [[raw], *_] = BeamSearch(beam_width=2, max_length=9).search(model, *sources())
    assert list(found.tokens) == (from_right(raw.tokens) if raw.finished else list(reversed(raw.tokens)))


def test_forced_prefixes_are_for_the_left_alone() -> None:
    model = model_of(1, **BOTH)
    for search in (FromSide(BeamSearch(), RIGHT), SynchronousBeamSearch(), JointBeamSearch()):
        with pytest.raises(ValueError, match="generation from the left"):
            search.search(model, *sources(1), prefixes=[[4]])


def test_models_of_different_orders_are_no_ensemble() -> None:
    with pytest.raises(ValueError, match="generation order"):
        Ensemble([model_of(1), model_of(2, generation_order="r2l")])


# ---- synchronous search ----


@torch.no_grad()
def greedy_without_cache(
    model: Seq2SeqTransformer, source: Tensor, max_length: int
) -> tuple[list[int], list[int], float, float]:
    """Return both rows' greedy tokens and scores, each step a full forward; a row that has ended stays visible."""
    rows: list[list[int]] = [[], []]
    scores = [0.0, 0.0]
    while any(len(row) < max_length and row[-1:] != [EOS] for row in rows):
        inputs = [[START, *row] if row[-1:] != [EOS] else [START, *row[:-1]] for row in rows]
        longest = max(map(len, inputs))
        padded = torch.tensor([[*row, *[PAD] * (longest - len(row))] for row in inputs])
        visible = torch.tensor([[i < len(row) for i in range(longest)] for row in inputs])
        logits = model.teacher_forced(
            source, torch.ones_like(source, dtype=torch.bool), padded, sides=torch.arange(2), visible=visible
        )
        log_probs = logits.float().log_softmax(-1)
        for side in (0, 1):
            if rows[side][-1:] != [EOS]:
                best = log_probs[side, len(inputs[side]) - 1]
                rows[side].append(int(best.argmax()))
                scores[side] += float(best.max())
    return rows[0], rows[1], scores[0], scores[1]


@pytest.mark.parametrize("seed", range(12))
def test_with_one_row_a_side_all_pairings_are_a_greedy_loop(seed: int) -> None:
    model = model_of(seed, **BOTH)
    source = torch.tensor([[4, 3, 5]])
    left, right, left_score, right_score = greedy_without_cache(model, source, max_length=7)
    mask = torch.ones_like(source, dtype=torch.bool)
    [[pair]] = JointBeamSearch(beam_width=2, max_length=7, length_penalty=0).search_pairs(model, source, mask)
    assert (pair.left[0], pair.right[0]) == (left, right)
    assert sum(pair.left[1]) == pytest.approx(left_score, abs=1e-5)
    assert sum(pair.right[1]) == pytest.approx(right_score, abs=1e-5)
    [[found]] = SynchronousBeamSearch(beam_width=2, max_length=7, length_penalty=0, n_best=1).search(
        model, source, mask
    )
    side = int(right_score > left_score)
    if left[-1] == right[-1] == EOS and len(left) == len(right):  # else a row goes on in another way once one has ended
        assert found.direction == ("l2r", "r2l")[side]
        assert found.score == pytest.approx(max(left_score, right_score), abs=1e-5)


class Replay:
    """Rank pairing over lists: each hypothesis carries the keys and values that each of its tokens had been given."""

    def __init__(self, model: Seq2SeqTransformer, source: Tensor) -> None:
        self.model = model
        hidden = model.encoder(source).last_hidden_state
        self.source = model.decoder.source_keys_values(hidden)

    def step(self, pair: list[dict[str, Any]]) -> Tensor:
        """Return log-probabilities [2, V] of the next tokens of two partners; their newest keys are appended."""
        tokens = torch.tensor([[h["tokens"][-1] if h["tokens"] else START for h in pair]])
        counts = [len(h["keys"][0]) for h in pair]
        own = torch.zeros(1, 1, 2, sum(counts) + 2, dtype=torch.bool)
        own[..., 0, : counts[0]] = own[..., 0, -2] = True
        own[..., 1, counts[0] : counts[0] + counts[1]] = own[..., 1, -1] = True
        bias = torch.zeros(own.shape, dtype=torch.float64).masked_fill(~own, -3e4)
        from seq2seq.models.transformer.attention import Partner

        def remember(layer: int) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
            def all_so_far(keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
                earlier = [entry for h in pair for entry in h["keys"][layer]]
                for side, h in enumerate(pair):
                    h["keys"][layer] = [*h["keys"][layer], (keys[:, :, side : side + 1], values[:, :, side : side + 1])]
                return (
                    torch.cat([*(k for k, _ in earlier), keys], 2),
                    torch.cat([*(v for _, v in earlier), values], 2),
                )

            return all_so_far

        output = self.model.decoder.step(
            tokens, self.source, None, bias, counts[0], [remember(i) for i in range(len(self.source))],
            sides=torch.arange(2).unsqueeze(0), partner=Partner(lambda parts: parts, bias.flip(2)),
        )  # fmt: skip
        return self.model.lm_head(output.hidden)[0].float().log_softmax(-1)

    def search(self, beam_width: int, max_length: int) -> list[tuple[float, list[int]]]:
        """Return (score, tokens from left to right) of all finished hypotheses that a full pool keeps."""
        half, layers = beam_width // 2, len(self.source)
        empty = {"tokens": [], "score": 0.0, "keys": [[] for _ in range(layers)]}
        alive = [[dict(empty)], [dict(empty)]]
        pool: list[tuple[float, list[int]]] = []
        for step in range(1, max_length + 1):
            ranked: list[list[dict[str, Any]]] = [[], []]
            for rank in range(len(alive[0])):
                pair = [{**alive[side][rank], "keys": list(alive[side][rank]["keys"])} for side in (0, 1)]
                log_probs = self.step(pair)
                for side in (0, 1):
                    ranked[side] += [
                        {
                            "tokens": [*pair[side]["tokens"], token],
                            "score": pair[side]["score"] + float(log_probs[side, token]),
                            "keys": pair[side]["keys"],
                        }
                        for token in range(log_probs.shape[1])
                    ]
            for side in (0, 1):
                ranked[side].sort(key=lambda h: -h["score"])
                for h in ranked[side][:half]:
                    if h["tokens"][-1] == EOS or step == max_length:
                        tokens = h["tokens"]
                        read = tokens if side == 0 else from_right(tokens) if tokens[-1] == EOS else tokens[::-1]
                        pool.append((h["score"], read))
                alive[side] = [h for h in ranked[side][: 2 * half] if h["tokens"][-1] != EOS][:half]
            pool = sorted(pool, key=lambda entry: -entry[0])[:beam_width]
            best = max(side[0]["score"] for side in alive)
            if len(pool) == beam_width and best <= pool[-1][0]:
                break
        return pool


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("beam_width", [2, 4, 6])
def test_rank_pairing_replayed_over_lists(beam_width: int, seed: int) -> None:
    model = model_of(seed, **BOTH)
    source = torch.tensor([[4, 3, 5, 3]])
    with torch.no_grad():
        pool = Replay(model, source).search(beam_width, max_length=6)
    search = SynchronousBeamSearch(beam_width=beam_width, n_best=beam_width, max_length=6, length_penalty=0)
    [found] = search.search(model, source, torch.ones_like(source, dtype=torch.bool))
    expected: dict[tuple[int, ...], float] = {}
    for score, tokens in pool:
        expected.setdefault(tuple(tokens), score)
    kept = len(expected)
    assert [h.tokens for h in found[:kept]] == list(expected)[: len(found)]
    assert [h.score for h in found[:kept]] == pytest.approx(list(expected.values())[: len(found)], abs=1e-5)


class NeverStops(SynchronousBeamSearch):
    def _done(self, state: Any, divisor: float) -> Tensor:
        return state.limits == state.length


def test_stopping_early_never_changes_the_winner_of_either_direction() -> None:
    wins = {"l2r": 0, "r2l": 0}
    for seed in range(40):
        model = model_of(seed, **BOTH)
        options: dict[str, Any] = {"beam_width": 4, "max_length": 9, "length_penalty": 0.0}
        stopped = SynchronousBeamSearch(**options).search(model, *sources())
        same(stopped, NeverStops(**options).search(model, *sources()))
        for [best] in stopped:
            wins[best.direction] += 1
    assert min(wins.values()) > 20, "both directions must win often for this to say anything"


def test_without_interaction_synchronous_search_is_the_better_of_two() -> None:
    for seed in range(6):
        model = model_of(seed, generation_order="bidirectional")
        inner = BeamSearch(beam_width=3, n_best=3, max_length=9, length_penalty=0)
        left, right = FromSide(inner, LEFT).search(model, *sources()), FromSide(inner, RIGHT).search(model, *sources())
        found = SynchronousBeamSearch(beam_width=6, max_length=9, length_penalty=0).search(model, *sources())
        same(found, [best_of(a, b)[:1] for a, b in zip(left, right, strict=True)])


# ---- companions of their own ----


@torch.no_grad()
def score_with_companion(model: Seq2SeqTransformer, source: Tensor, tokens: list[int], side: int) -> float:
    """Return the log-probability of tokens as they are generated beside a greedy companion, by full forwards."""
    companion: list[int] = []
    score, mask = 0.0, torch.ones_like(source, dtype=torch.bool)
    for step, token in enumerate(tokens):
        rows = [[START, *tokens[:step]], [START, *companion]]
        longest = max(map(len, rows))
        padded = torch.tensor([[*row, *[PAD] * (longest - len(row))] for row in rows])
        visible = torch.tensor([[i < len(row) for i in range(longest)] for row in rows])
        order = [0, 1] if side == 0 else [1, 0]
        logits = model.teacher_forced(source, mask, padded[order], sides=torch.arange(2), visible=visible[order])
        log_probs = logits[order].float().log_softmax(-1)
        score += float(log_probs[0, step, token])
        if len(companion) == step:
            likeliest = int(log_probs[1, step].argmax())
            companion += [likeliest] if likeliest != EOS else []
    return score


@pytest.mark.parametrize("seed", range(5))
def test_scores_beside_companions_of_their_own_depend_on_the_string_alone(seed: int) -> None:
    model, source = model_of(seed, **BOTH), torch.tensor([[4, 3, 5, 3]])
    search = SynchronousBeamSearch(beam_width=6, n_best=6, max_length=7, length_penalty=0, pairing="companion")
    [found] = search.search(model, source, torch.ones_like(source, dtype=torch.bool))
    assert {h.direction for h in found} == {"l2r", "r2l"}
    for h in found:
        side = int(h.direction == "r2l")
        tokens = list(h.tokens)
        if side:
            tokens = from_right(tokens) if h.finished else tokens[::-1]
        assert h.score == pytest.approx(score_with_companion(model, source, tokens, side), abs=1e-4)


# ---- pairs ----


def all_rows(max_length: int, content: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return everything that one row can be: ended by end of sentence, or cut at the limit."""
    ended = [(*words, EOS) for n in range(max_length) for words in itertools.product(content, repeat=n)]
    return [*ended, *itertools.product(content, repeat=max_length)]


def pair_log_probs(model: Seq2SeqTransformer, source: Tensor, pairs: list[tuple[tuple[int, ...], ...]]) -> Tensor:
    """Return the log-probability of each pair by one full forward, float64."""
    rows = [row for pair in pairs for row in pair]
    longest = max(map(len, rows))
    labels = torch.tensor([[*row, *[-1] * (longest - len(row))] for row in rows])
    inputs = torch.cat([torch.full((len(rows), 1), START), labels[:, :-1].clamp(min=0)], 1)
    visible = labels >= 0
    sides = torch.arange(2).repeat(len(pairs))
    many = source.expand(len(pairs), -1)
    with torch.no_grad():
        logits = model.teacher_forced(
            many, torch.ones_like(many, dtype=torch.bool), inputs, sides=sides, visible=visible
        )
    picked = logits.log_softmax(-1).gather(2, labels.clamp(min=0).unsqueeze(2)).squeeze(2).masked_fill(~visible, 0)
    return picked.sum(1).view(-1, 2).sum(1)


@pytest.mark.parametrize("seed", range(2))
def test_a_wide_joint_search_finds_the_best_of_all_pairs(seed: int) -> None:
    """40 rows a side, 1,600 pairs."""
    model = model_of(seed, **BOTH)
    source = torch.tensor([[4, 3, 5]])
    pairs = list(itertools.product(all_rows(3, CONTENT), repeat=2))
    assert len(pairs) == 1600
    log_probs = pair_log_probs(model, source, pairs)
    search = JointBeamSearch(beam_width=3200, max_length=3, length_penalty=0, constraints=(only_content,))
    [found] = search.search_pairs(model, source, torch.ones_like(source, dtype=torch.bool))
    best = log_probs.topk(20)
    assert [(tuple(pair.left[0]), tuple(pair.right[0])) for pair in found[:20]] == [pairs[i] for i in best.indices]
    scores = torch.tensor([2 * pair.normalized_score for pair in found[:20]], dtype=torch.float64)
    torch.testing.assert_close(scores, best.values, rtol=0, atol=1e-5)


def test_probabilities_of_all_pairs_sum_to_one() -> None:
    model, source = model_of(3, **BOTH), torch.tensor([[4, 3, 5]])
    pairs = list(itertools.product(all_rows(2, (0, 1, 3, 4, 5)), repeat=2))
    assert float(pair_log_probs(model, source, pairs).exp().sum()) == pytest.approx(1, abs=1e-10)


# ---- interleaved ----


def target_log_probs(model: Seq2SeqTransformer, source: Tensor, targets: list[tuple[int, ...]], steps: int) -> Tensor:
    """Return the log-probability of each target by one full forward, float64; cut ones fill all steps."""
    rows = [interleaved(target) if target[-1] == EOS else interleaved((*target, EOS))[:-1] for target in targets]
    labels = torch.tensor([[*row, *[-1] * (2 * steps - len(row))] for row in rows])
    inputs = torch.cat([torch.full((len(rows), 2), START), labels[:, :-2].clamp(min=0)], 1)
    many = source.expand(len(rows), -1)
    with torch.no_grad():
        logits = model.teacher_forced(many, torch.ones_like(many, dtype=torch.bool), inputs)
    picked = logits.log_softmax(-1).gather(2, labels.clamp(min=0).unsqueeze(2)).squeeze(2)
    return picked.masked_fill(labels < 0, 0).sum(1)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("steps", [1, 2])
def test_a_wide_interleaved_search_finds_the_best_of_all_targets(steps: int, seed: int) -> None:
    """Up to three words, and four where the limit cuts: 781 targets, empty, odd and even ones."""
    model, source = model_of(seed, generation_order="interleaved"), torch.tensor([[4, 3, 5]])
    targets = all_rows(2 * steps, (0, 1, 3, 4, 5))
    log_probs = target_log_probs(model, source, targets, steps)
    assert float(log_probs.exp().sum()) == pytest.approx(1, abs=1e-10)
    search = InterleavedBeamSearch(beam_width=800, n_best=20, max_length=2 * steps, length_penalty=0)
    [found] = search.search(model, source, torch.ones_like(source, dtype=torch.bool))
    best = log_probs.topk(20)
    assert [h.tokens for h in found] == [targets[i] for i in best.indices]
    assert [h.score for h in found] == pytest.approx(best.values.tolist(), abs=1e-5)


def test_interleaved_lengths_count_tokens() -> None:
    model = model_of(4, generation_order="interleaved")
    for minimum in range(6):
        search = InterleavedBeamSearch(beam_width=4, n_best=4, min_length=minimum, max_length=8, length_penalty=1.0)
        for hypotheses in search.search(model, *sources()):
            for h in hypotheses:
                assert len(h.tokens) > minimum
                assert h.normalized_score == pytest.approx(h.score / len(h.tokens), abs=1e-6)
                assert h.score == pytest.approx(sum(h.token_log_probs), abs=1e-6)
                assert h.finished == (h.tokens[-1] == EOS)


# ---- batches ----

SEARCHES: list[tuple[dict[str, Any], Any]] = [
    (BOTH, SynchronousBeamSearch(beam_width=4, n_best=3, max_length=11)),
    (BOTH, SynchronousBeamSearch(beam_width=4, n_best=3, max_length=11, pairing="companion")),
    ({**BOTH, "interaction": "gate"}, JointBeamSearch(beam_width=6, n_best=3, max_length=11)),
    ({"generation_order": "interleaved"}, InterleavedBeamSearch(beam_width=3, n_best=3, max_length=11)),
    ({"generation_order": "interleaved", "positions": "rotary"}, InterleavedBeamSearch(beam_width=3, max_length=11)),
    (BOTH, FromSide(BeamSearch(beam_width=3, n_best=3, max_length=11), RIGHT)),
]


@pytest.mark.parametrize(("options", "search"), SEARCHES)
def test_neither_batch_mates_nor_padding_nor_order_matter(options: dict[str, Any], search: Any) -> None:
    model = model_of(6, **options)
    input_ids, mask = sources(7)
    together = search.search(model, input_ids, mask)
    for i in range(7):
        length = int(mask[i].sum())
        same(search.search(model, input_ids[i : i + 1, :length], mask[i : i + 1, :length]), together[i : i + 1])
    order = torch.tensor([3, 6, 0, 5, 1, 4, 2])
    same(search.search(model, input_ids[order], mask[order]), [together[i] for i in order])
    padded = torch.nn.functional.pad(input_ids, (0, 3)), torch.nn.functional.pad(mask, (0, 3))
    same(search.search(model, *padded), together)


def test_an_odd_beam_cannot_be_halved() -> None:
    for kind in (SynchronousBeamSearch, JointBeamSearch):
        with pytest.raises(ValueError, match="use 4 or 6"):
            kind(beam_width=5)


@pytest.mark.parametrize("trained", ["l2r", "r2l", "interleaved", "bidirectional"])
def test_searches_refuse_models_of_other_orders(trained: str) -> None:
    model = model_of(1, generation_order=trained)
    searches = {
        "bidirectional": [SynchronousBeamSearch(), JointBeamSearch()],
        "interleaved": [InterleavedBeamSearch()],
    }
    for order, kinds in searches.items():
        for search in kinds if order != trained else []:
            with pytest.raises(ValueError, match=f"trained to generate in the order `{trained}`"):
                search.search(model, *sources(1))


def test_the_same_string_from_both_ends_counts_once() -> None:
    a = Hypothesis((3, 2), (-1.0, -1.0), -2.0, -1.0, True)
    b = replace(a, normalized_score=-0.5, direction="r2l")
    c = replace(a, tokens=(4, 2), normalized_score=-0.7)
    assert best_of([a, c], [b]) == [b, c]


# ---- rescoring ----


def test_weights_of_one_direction_rank_by_it_alone() -> None:
    for seed in range(5):
        model = model_of(seed, **BOTH)
        inner = BeamSearch(beam_width=6, n_best=6, max_length=9, length_penalty=0)
        left, right = FromSide(inner, LEFT), FromSide(inner, RIGHT)
        same(Rescored((left,), 0.0, 6, length_penalty=0).search(model, *sources()), left.search(model, *sources()))
        same(Rescored((right,), 1.0, 6, length_penalty=0).search(model, *sources()), right.search(model, *sources()))


@torch.no_grad()
def test_pooled_strings_are_ranked_by_both_directions() -> None:
    model, inner = model_of(2, **BOTH), BeamSearch(beam_width=4, n_best=4, max_length=9)
    input_ids, mask = sources()
    found = Rescored((FromSide(inner, LEFT), FromSide(inner, RIGHT)), 0.3, n_best=8).search(model, input_ids, mask)
    for i, hypotheses in enumerate(found):
        assert len({h.tokens for h in hypotheses}) == len(hypotheses) > 4
        for h in hypotheses:
            turned = from_right(h.tokens) if h.finished else list(reversed(h.tokens))
            one = input_ids[i : i + 1], mask[i : i + 1]
            left = log_probs_of(model.from_side(0), *one, [list(h.tokens)])
            right = log_probs_of(model.from_side(1), *one, [turned])
            expected = float(0.7 * left + 0.3 * right) / len(h.tokens)
            assert h.normalized_score == pytest.approx(expected, abs=1e-5)
        normalized = [h.normalized_score for h in hypotheses]
        assert normalized == sorted(normalized, reverse=True)


def test_two_models_of_one_direction_rescore_each_other() -> None:
    left, right = model_of(1), model_of(2, generation_order="r2l")
    both, inner = BothDirections(left, right), BeamSearch(beam_width=4, n_best=4, max_length=9, length_penalty=0)
    same(FromSide(inner, LEFT).search(both, *sources()), inner.search(left, *sources()))
    same(Rescored((FromSide(inner, RIGHT),), 1.0, 4, length_penalty=0).search(both, *sources()),
         FromSide(inner, RIGHT).search(right, *sources()))  # fmt: skip
    with pytest.raises(ValueError, match="cannot search from both ends"):
        SynchronousBeamSearch().search(both, *sources())
    with pytest.raises(ValueError, match="order `r2l`"):
        BothDirections(right, left)


def test_weights_outside_of_zero_to_one() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Rescored((BeamSearch(),), weight=1.5)
