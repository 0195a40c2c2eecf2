"""A copy task that likelihood learns to 80 %, where it stops, and the search goes on.

All targets are copies of their sources, but where the source begins with one of 2 letters of 9: there 7 of 10 targets
are `z` and noise that nobody can foresee. The likeliest first token is therefore `z`, and a greedy search gets none of
these right; had it begun otherwise, it would copy them too, and be right 3 times in 10. Seen with seeds 1 to 4: 80 to
83 % of unseen sources are copied before; 100, 91, 100 and 100 % after 30 steps of search, where 91 is one of the two
letters won; 80, 80, 81 and 80 % after 150 steps of likelihood, five for each.
"""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import nn

from seq2seq.data.batch import Batch
from seq2seq.decoding.algorithms.greedy import Greedy
from seq2seq.gradients.base import Backprop, GradientRule
from seq2seq.gradients.greedy_cost import GreedyCost
from seq2seq.gradients.parameter_search import ParameterSearch
from seq2seq.gradients.transforms import clip, scale_gradients
from seq2seq.metrics.cost import make_cost
from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig
from seq2seq.objectives.cross_entropy import CrossEntropy
from tests.fakes import CharTokenizer

LENGTH, NUM_LETTERS, NUM_ODD_LETTERS, NUM_PAIRS = 4, 9, 2, 64
TOKENIZER = CharTokenizer("abcdefghiz")
FIRST, START, END = 4, 1, 2
ODD = FIRST + NUM_LETTERS


def pairs(letters: torch.Tensor, targets: torch.Tensor) -> Batch:
    ends = torch.full((len(letters), 1), END)
    labels, source = torch.cat([targets, ends], 1), torch.cat([letters, ends], 1)
    inputs = torch.cat([torch.full_like(ends, START), targets], 1)
    return Batch(source, torch.ones_like(source).bool(), inputs, labels, torch.arange(len(letters)))


def drawn(generator: torch.Generator, num_pairs: int = NUM_PAIRS, odd_share: float = 0.7) -> Batch:
    letters, noise = torch.randint(FIRST, FIRST + NUM_LETTERS, (2, num_pairs, LENGTH), generator=generator)
    noise[:, 0] = ODD
    is_odd = (torch.rand(num_pairs, 1, generator=generator) < odd_share) & (letters[:, :1] < FIRST + NUM_ODD_LETTERS)
    return pairs(letters, torch.where(is_odd, noise, letters))


def tiny_model() -> Seq2SeqTransformer:
    ids = {"pad_token_id": 0, "bos_token_id": START, "eos_token_id": END, "decoder_start_token_id": START}
    sizes = {"d_model": 16, "num_heads": 2, "ffn_size": 32, "encoder_layers": 1, "decoder_layers": 1}
    return Seq2SeqTransformer(Seq2SeqTransformerConfig(vocab_size=ODD + 1, dropout=0.0, **ids, **sizes))


def train(model: nn.Module, rule: GradientRule, num_steps: int, learning_rate: float, seed: int) -> None:
    generator, parameters = torch.Generator().manual_seed(seed), list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, learning_rate, betas=(0.9, 0.98), weight_decay=0.0)
    for step in range(1, num_steps + 1):
        optimizer.zero_grad()
        loss = rule(
            CrossEntropy(label_smoothing=0.0), model.train(), drawn(generator), step, lambda scalar: scalar.backward()
        )
        scale_gradients(parameters, 1 / loss.weight)
        clip(parameters, 1.0)
        optimizer.step()


def share_of_copies(model: Seq2SeqTransformer) -> float:
    """Return the share of unseen sources that a greedy search copies."""
    unseen = drawn(torch.Generator().manual_seed(99), 300, odd_share=0.0)
    found = Greedy(max_length=9).search(model.eval(), unseen.input_ids, unseen.attention_mask)
    return sum(list(best.tokens) == row for (best,), row in zip(found, unseen.labels.tolist(), strict=True)) / 300


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_search_learns_what_the_likelihood_does_not(seed: int) -> None:
    torch.manual_seed(seed)
    model = tiny_model()
    train(model, Backprop(), 400, 5e-3, seed)
    train(model, Backprop(), 100, 1e-3, seed + 500)
    assert 0.75 < share_of_copies(model) < 0.85
    search = ParameterSearch(GreedyCost(make_cost("exact_match"), TOKENIZER))
    shares = []
    runs: list[Callable[[nn.Module], None]] = [
        lambda copy: train(copy, search, 30, 2e-3, seed + 1000),
        lambda copy: train(copy, Backprop(), 150, 2e-3, seed + 1000),
    ]
    for run in runs:
        copy = deepcopy(model)
        run(copy)
        shares.append(share_of_copies(copy))
    assert shares[0] > 0.88 > 0.85 > shares[1], shares
