"""A tiny model and pairs for objectives that look at what a model generates; text is the ids, with spaces between."""

from collections.abc import Sequence
from typing import Any

import torch

from seq2seq.data.batch import IGNORED_LABEL, Batch
from seq2seq.metrics.cost import make_cost
from seq2seq.models.transformer import Seq2SeqTransformer
from seq2seq.objectives.candidates import CANDIDATE_SEARCHES, CandidateSearch
from seq2seq.objectives.sequences import TextCost
from tests.models.tiny import tiny_model

PAD, START, EOS = 0, 1, 2
TARGET_LENGTHS = [5, 2, 7, 3, 4]
"""Of rows 0 … 4, end of sentence included."""


def searched_model(**options: Any) -> Seq2SeqTransformer:
    """Return a float64 model in training mode of 11 tokens, so that candidates repeat and end."""
    sizes = {"vocab_size": 11, "pad_token_id": PAD, "bos_token_id": START, "eos_token_id": EOS}
    return tiny_model(**(sizes | {"dropout": 0.0, "max_positions": 31} | options)).train()


def pairs(rows: Sequence[int]) -> Batch:
    """Return pairs that depend on their row alone, padded to what this choice of rows needs."""
    sources = [[3 + (row * 5 + i * 3) % 8 for i in range(2 + 2 * row)] for row in rows]
    targets = [[3 + (row * 3 + i * 5) % 8 for i in range(TARGET_LENGTHS[row] - 1)] + [EOS] for row in rows]
    width, length = max(map(len, sources)), max(map(len, targets))
    return Batch(
        input_ids=torch.tensor([ids + [PAD] * (width - len(ids)) for ids in sources]),
        attention_mask=torch.tensor([[i < len(ids) for i in range(width)] for ids in sources]),
        decoder_input_ids=torch.tensor([[START, *ids[:-1]] + [PAD] * (length - len(ids)) for ids in targets]),
        labels=torch.tensor([ids + [IGNORED_LABEL] * (length - len(ids)) for ids in targets]),
        rows=torch.tensor(rows),
    )


def read(rows: Sequence[Sequence[int]]) -> list[str]:
    return [" ".join(str(token) for token in ids if token > EOS) for ids in rows]


def text_cost(name: str = "word_error_rate") -> TextCost:
    return TextCost(make_cost(name), read)


def candidate_search(num_candidates: int = 8, search: str = "sampling", **options: Any) -> Any:
    """Return a search for candidates, also the greedy one."""
    if search == "greedy":
        return CandidateSearch(**options)
    return CANDIDATE_SEARCHES[search](num_candidates=num_candidates, **options)
