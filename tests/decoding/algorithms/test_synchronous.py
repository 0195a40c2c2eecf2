"""Synchronous search against a replay over lists, a greedy loop without cache, and a search that never stops early."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from seq2seq.data.generation_order import LEFT, RIGHT, from_right
from seq2seq.decoding.algorithms.beam import BeamSearch
from seq2seq.decoding.algorithms.directions import FromSide
from seq2seq.decoding.algorithms.joint import JointBeamSearch
from seq2seq.decoding.algorithms.synchronous import SynchronousBeamSearch, best_of
from seq2seq.models.transformer import Seq2SeqTransformer
from seq2seq.models.transformer.attention import Partner
from tests.decoding.algorithms.both_ends import BOTH, EOS, PAD, START, assert_same, model_of, search_pairs, sources


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


def test_with_one_row_a_side_all_pairings_are_a_greedy_loop() -> None:
    """Where one row ends before the other, pairings differ: by rank its place is taken by another that runs on."""
    source, mask = torch.tensor([[4, 3, 5]]), torch.ones(1, 3, dtype=torch.bool)
    num_ended_together = 0
    for seed in range(60):
        model = model_of(seed, **BOTH)
        left, right, left_score, right_score = greedy_without_cache(model, source, max_length=4)
        [[pair]] = search_pairs(JointBeamSearch(beam_width=2, max_length=4, length_penalty=0), model, source, mask)
        assert (pair.left[0], pair.right[0]) == (left, right)
        assert sum(pair.left[1]) == pytest.approx(left_score, abs=1e-5)
        assert sum(pair.right[1]) == pytest.approx(right_score, abs=1e-5)
        if len(left) != len(right) or (left[-1] == EOS) != (right[-1] == EOS):
            continue
        num_ended_together += left[-1] == EOS
        for pairing in ("rank", "companion"):
            search = SynchronousBeamSearch(beam_width=2, max_length=4, length_penalty=0, pairing=pairing)
            [[found]] = search.search(model, source, mask)
            assert found.direction == ("r2l" if right_score > left_score else "l2r")
            assert found.score == pytest.approx(max(left_score, right_score), abs=1e-5)
            read = left
            if right_score > left_score:
                read = from_right(right) if found.finished else right[::-1]
            assert list(found.tokens) == read
    assert num_ended_together >= 5


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
        assert_same(stopped, NeverStops(**options).search(model, *sources()))
        for [best] in stopped:
            wins[best.direction] += 1
    assert min(wins.values()) > 20, "both directions must win often for this to say anything"


def test_without_interaction_synchronous_search_is_the_better_of_two() -> None:
    for seed in range(6):
        model = model_of(seed, generation_order="bidirectional")
        inner = BeamSearch(beam_width=3, n_best=3, max_length=9, length_penalty=0)
        left, right = FromSide(inner, LEFT).search(model, *sources()), FromSide(inner, RIGHT).search(model, *sources())
        found = SynchronousBeamSearch(beam_width=6, max_length=9, length_penalty=0).search(model, *sources())
        assert_same(found, [best_of(a, b)[:1] for a, b in zip(left, right, strict=True)])
