"""Each direction ends right behind its own last word, however long what it sees of the other is."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from seq2seq.data.batch import IGNORED_LABEL
from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig

PAD, START, EOS, FIRST, NUM_TOKENS, LONGEST, ROWS = 0, 1, 2, 3, 7, 5, 128


def rows_of(words: Tensor, lengths: Tensor) -> Tensor:
    """Return words with end of sentence behind them, `IGNORED_LABEL` behind that, [B, LONGEST + 1]."""
    place = torch.arange(LONGEST + 1)
    padded = functional.pad(words, (0, 1))
    ended = padded.masked_fill(place == lengths.unsqueeze(1), EOS)
    return ended.masked_fill(place > lengths.unsqueeze(1), IGNORED_LABEL)


def copies() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return sources, their masks, a row each from either end, and which rows are scored.

    One row of each target is the target, the other a companion: other words, of another length.
    """
    words, others = torch.randint(FIRST, FIRST + NUM_TOKENS, (2, ROWS, LONGEST))
    lengths, other_lengths = torch.randint(1, LONGEST + 1, (2, ROWS))
    is_left = torch.rand(ROWS) < 0.5
    place = torch.arange(LONGEST)
    turned = words.gather(1, (lengths.unsqueeze(1) - 1 - place).clamp(min=0))
    own = rows_of(torch.where(is_left[:, None], words, turned), lengths)
    other = rows_of(others, other_lengths)
    rows = torch.stack([torch.where(is_left[:, None], own, other), torch.where(is_left[:, None], other, own)], 1)
    source = rows_of(words, lengths)
    is_scored = torch.stack([is_left, ~is_left], 1).flatten()
    return source.clamp(min=PAD), source != IGNORED_LABEL, rows.flatten(0, 1), is_scored


@pytest.mark.slow
def test_rows_end_behind_their_last_word_beside_longer_and_shorter_companions() -> None:
    torch.manual_seed(3)
    model = Seq2SeqTransformer(
        Seq2SeqTransformerConfig(
            vocab_size=FIRST + NUM_TOKENS, d_model=64, num_heads=4, ffn_size=128, encoder_layers=2, decoder_layers=2,
            dropout=0.0, generation_order="bidirectional", interaction="tanh", interaction_weight=0.5,
        )
    )  # fmt: skip
    steps = 1500
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)

    def logits_and_labels() -> tuple[Tensor, Tensor]:
        source, mask, rows, is_scored = copies()
        inputs = torch.cat([torch.full((2 * ROWS, 1), START), rows[:, :-1].clamp(min=PAD)], 1)
        sides, visible = torch.arange(2).repeat(ROWS), rows != IGNORED_LABEL
        logits = model(source, mask, inputs, sides=sides, visible=visible).logits
        return logits, rows.masked_fill(~is_scored.unsqueeze(1), IGNORED_LABEL)

    for _ in range(steps):
        logits, labels = logits_and_labels()
        optimizer.zero_grad()
        functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED_LABEL).backward()
        optimizer.step()
        schedule.step()
    right = total = 0
    with torch.no_grad():
        for _ in range(40):
            logits, labels = logits_and_labels()
            scored = labels != IGNORED_LABEL
            ends = (logits.argmax(-1) == EOS) == (labels == EOS)
            right += int(ends[scored].sum())
            total += int(scored.sum())
    assert right / total >= 0.999
