"""A task in which each direction needs what only the other one can know, learnt in the two stages of a real training.

Targets are running sums modulo 3: their left half of the source from its left end on, their right half from its right
end on. Either direction adds one number at a time, until it comes to the middle: its next token is the sum of the whole
other half, which it has to guess, while the other direction had begun there.
"""

from collections.abc import Callable
from typing import Any

import numpy
import pytest
import torch
from torch.nn import functional

from seq2seq.data.batch import IGNORED_LABEL, Batch
from seq2seq.data.collate import collate
from seq2seq.data.companions import CompanionRows
from seq2seq.data.generation_order import LEFT, RIGHT, Arranged, Arrangement
from seq2seq.data.sequences import Sequences
from seq2seq.decoding.algorithms.directions import FromSide
from seq2seq.decoding.algorithms.greedy import Greedy
from seq2seq.decoding.algorithms.synchronous import SynchronousBeamSearch
from seq2seq.decoding.parts.search import Search
from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig

EOS, FIRST, MODULUS, HALF = 2, 3, 3, 5
ROWS, NUM_COMPANIONS, NUM_TEST = 64, 1500, 200
GREEDY = Greedy(max_length=2 * HALF + 2)
FROM_LEFT, FROM_RIGHT = FromSide(GREEDY, LEFT), FromSide(GREEDY, RIGHT)
FROM_BOTH = SynchronousBeamSearch(beam_width=2, max_length=2 * HALF + 2)

Pairs = tuple[list[list[int]], list[list[int]]]


def fresh_pairs(count: int) -> Pairs:
    numbers = torch.randint(MODULUS, (count, 2 * HALF))
    left, right = numbers[:, :HALF].cumsum(1), numbers[:, HALF:].flip(1).cumsum(1).flip(1)
    sums = torch.cat([left, right], 1) % MODULUS
    sources, targets = ([[*row, EOS] for row in (part + FIRST).tolist()] for part in (numbers, sums))
    return sources, targets


def copies(count: int) -> Pairs:
    sources, _ = fresh_pairs(count)
    return sources, sources


def reversals(count: int) -> Pairs:
    sources, _ = fresh_pairs(count)
    return sources, [[*row[-2::-1], EOS] for row in sources]


def model_of(**options: Any) -> Seq2SeqTransformer:
    config = Seq2SeqTransformerConfig(
        vocab_size=FIRST + MODULUS, d_model=32, num_heads=4, ffn_size=128, encoder_layers=1, decoder_layers=2,
        dropout=0.0, generation_order="bidirectional", **options,
    )  # fmt: skip
    return Seq2SeqTransformer(config)


def batch_of(found: Pairs, rows: numpy.ndarray, arrange: Arrangement, epoch: int) -> Batch:
    sources, targets = (Sequences.of([part[row] for row in rows]) for part in found)
    arranged = arrange(targets, rows, epoch)
    return collate(sources, arranged, rows, source_pad_id=0, target_pad_id=0, decoder_start_id=1)


def train(model: Seq2SeqTransformer, batch: Callable[[int], Batch], steps: int) -> None:
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / 50, 1) * (1 - step / steps))
    for step in range(steps):
        here = batch(step)
        logits = model(**here.model_inputs()).logits
        optimizer.zero_grad()
        functional.cross_entropy(logits.flatten(0, 1), here.labels.flatten(), ignore_index=IGNORED_LABEL).backward()
        optimizer.step()
        schedule.step()


def generated(model: Seq2SeqTransformer, search: Search, sources: list[list[int]]) -> list[list[int]]:
    input_ids = torch.tensor(sources)
    found = search.search(model.eval(), input_ids, torch.ones_like(input_ids, dtype=torch.bool))
    return [list(best.tokens) for [best] in found]


def share_right(model: Seq2SeqTransformer, search: Search, test: Pairs) -> float:
    found = generated(model, search, test[0])
    return sum(a == b for a, b in zip(found, test[1], strict=True)) / NUM_TEST


def trained_in_two_stages(fresh: Callable[[int], Pairs]) -> tuple[Seq2SeqTransformer, Seq2SeqTransformer]:
    """Return a model of both directions for themselves, and one that went on from it with interaction on companions."""
    torch.manual_seed(1)
    apart = model_of()
    references = Arranged("bidirectional")
    train(apart, lambda step: batch_of(fresh(ROWS), numpy.arange(ROWS), references, step), steps=1000)

    known = fresh(NUM_COMPANIONS)
    found = (Sequences.of(generated(apart, search, known[0])) for search in (FROM_LEFT, FROM_RIGHT))
    companions = CompanionRows(*found, seed=1, dropout=0.1, is_scored=True)
    draw = numpy.random.default_rng(1)
    together = model_of(interaction="tanh", interaction_weight=1.0)
    together.load_state_dict(apart.state_dict())
    train(
        together,
        lambda step: batch_of(known, draw.choice(NUM_COMPANIONS, ROWS, replace=False), companions, step),
        steps=400,
    )
    return apart, together


@pytest.mark.slow
def test_directions_that_see_each_other_solve_what_neither_can_alone() -> None:
    """A guess is right in one of three cases, and of two guesses at least one in 56 %: the most without interaction.

    With seeds 1, 2 and 3 the better of both directions had 49, 49 and 29 %, and with interaction 94, 91 and 80 %.
    """
    apart, together = trained_in_two_stages(fresh_pairs)
    test = fresh_pairs(NUM_TEST)
    for model in (apart, together):
        for search in (FROM_LEFT, FROM_RIGHT):
            assert share_right(model, search, test) < 0.5
    assert share_right(apart, FROM_BOTH, test) < 0.65
    assert share_right(together, FROM_BOTH, test) > 0.75


@pytest.mark.slow
@pytest.mark.parametrize("fresh", [copies, reversals])
def test_interaction_takes_nothing_from_what_either_direction_can_do_alone(fresh: Callable[[int], Pairs]) -> None:
    apart, together = trained_in_two_stages(fresh)
    test = fresh(NUM_TEST)
    for model in (apart, together):
        for search in (FROM_LEFT, FROM_RIGHT, FROM_BOTH):
            assert share_right(model, search, test) > 0.98
