"""Slow and obvious versions of what the toolkit does fast."""

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from seq2seq.models.interface import Seq2Seq


def token_log_probs(model: Seq2Seq, source: Sequence[int], target: Sequence[int]) -> list[float]:
    """Return the log-probability of each target token, by one teacher-forced pass."""
    input_ids = torch.tensor([list(source)])
    decoder_input_ids = torch.tensor([[model.decoder_start_id, *target[:-1]]])
    with torch.no_grad():
        logits = model.teacher_forced(input_ids, torch.ones_like(input_ids, dtype=torch.bool), decoder_input_ids)
    log_probs: Tensor = logits[0].double().log_softmax(-1)
    return [float(log_probs[position, token]) for position, token in enumerate(target)]


def exhaustive_search(
    model: Seq2Seq, source: Sequence[int], max_length: int, divisor: Callable[[int], float]
) -> list[tuple[tuple[int, ...], float]]:
    """Return (tokens, normalised score) of all sequences up to the length limit, best first."""
    others = [token for token in range(model.vocab_size) if token != model.eos_id]
    ended = [(*body, model.eos_id) for length in range(max_length) for body in itertools.product(others, repeat=length)]
    cut = list(itertools.product(others, repeat=max_length))
    scored = [(tokens, sum(token_log_probs(model, source, tokens)) / divisor(len(tokens))) for tokens in ended + cut]
    return sorted(scored, key=lambda pair: -pair[1])


def repeats_ngram(tokens: Sequence[int], size: int) -> bool:
    """Return whether an n-gram of this size occurs twice."""
    ngrams = [tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1)]
    return len(ngrams) != len(set(ngrams))
