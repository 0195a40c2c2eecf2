"""Batches of random targets, and a model that says what a test wants it to say."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from seq2seq.data.batch import Batch
from seq2seq.data.collate import collate
from seq2seq.data.generation_order import TargetRows
from seq2seq.data.sequences import Sequences

PAD, START, EOS, FIRST, VOCAB_SIZE = 0, 1, 2, 3, 37
SPECIAL_IDS = (PAD, START, EOS)


def random_batch(
    num_sources: int = 5, rows_per_source: int = 1, num_starts: int = 1, longest: int = 7, seed: int = 1
) -> Batch:
    """Return sources of 1 to `longest` + 4 words and targets of 1 to `longest` words, both with end of sentence."""
    generator = torch.Generator().manual_seed(seed)

    def sentences(count: int, most: int) -> Sequences:
        lengths = [most, *torch.randint(1, most + 1, (count - 1,), generator=generator).tolist()]
        return Sequences.of(
            [[*torch.randint(FIRST, VOCAB_SIZE, (n,), generator=generator).tolist(), EOS] for n in lengths]
        )

    targets = TargetRows(Sequences.of(sentences(num_sources * rows_per_source, longest)), num_starts=num_starts)
    return collate(
        Sequences.of(sentences(num_sources, longest + 4)),
        targets,
        range(num_sources),
        source_pad_id=PAD,
        target_pad_id=PAD,
        decoder_start_id=START,
    )


class SayingModel(nn.Module):
    """Has given logits [B * G, T, V] whatever it sees, and notes what it was called with."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits
        self.seen: list[dict[str, Any]] = []

    def forward(self, score: Any = None, **inputs: Tensor) -> SimpleNamespace:
        self.seen.append(inputs | {"grad": torch.is_grad_enabled()})
        return SimpleNamespace(loss=score(self.logits, torch.eye(self.logits.shape[-1], dtype=self.logits.dtype)))


def saying(tokens: Tensor) -> SayingModel:
    """Return a model whose likeliest tokens are these, [B * G, T]."""
    return SayingModel(10.0 * nn.functional.one_hot(tokens.clamp(min=0), VOCAB_SIZE).double())
