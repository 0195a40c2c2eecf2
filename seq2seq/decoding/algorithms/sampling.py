"""Sampling: draw `n_best` hypotheses per source from the model's distribution, tempered and truncated.

A draw depends on the seed, the row number of the source in its corpus, the number of the sample and the step, and on
nothing else: not on batch-mates, their order or the number of processes. Scores are the model's own log-probabilities,
free of temperature and truncation.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy
import torch
from torch import Tensor

from seq2seq.data.random_keys import random_keys
from seq2seq.decoding.algorithms.driver import Algorithm, Sources, Start
from seq2seq.decoding.parts.constraints import next_log_probs
from seq2seq.decoding.parts.options import OneSided, SearchOptions
from seq2seq.decoding.parts.state import OfSentences, PathState, Specials
from seq2seq.generation.hypothesis import Hypothesis
from seq2seq.models.interface import Seq2Seq

SAMPLES_OF_A_SENTENCE = 16
"""Most samples that share a sentence. They attend over each other's slots, hidden but not for free: 64 samples of 64
tokens took 2.42 s as one sentence and 0.92 s as one each; 16 took as long either way."""


def uniform_draws(seed: int, rows: Sequence[int], num_steps: int, num_samples: int) -> Tensor:
    """Return numbers in [0, 1), float64 [B, num_steps, num_samples], each of (seed, row, step, sample) alone."""
    numbers = numpy.asarray(rows, dtype=numpy.int64)[:, None, None]
    keys = random_keys(seed, numbers, numpy.arange(num_samples), numpy.arange(num_steps)[:, None])
    return torch.from_numpy((keys >> numpy.uint64(11)) * 2.0**-53)


@dataclass(frozen=True)
class SamplingState(OfSentences):
    """Samples, and the numbers that they are drawn by."""

    paths: PathState
    draws: Tensor
    """float64 [B, steps, N]"""

    @property
    def done(self) -> Tensor:
        return self.paths.done


def pick(probabilities: Tensor, draws: Tensor) -> Tensor:
    """Return the index at which the cumulative distribution passes each draw, int64 [B, N].

    Args:
        probabilities: [B, N, V], not necessarily normalised.
        draws: float64 [B, N], in [0, 1).
    """
    # In float32, sums over a large vocabulary would lose its rare tokens.
    cumulative = probabilities.double().cumsum(-1)
    passed = torch.searchsorted(cumulative, draws.unsqueeze(-1) * cumulative[..., -1:], right=True).squeeze(-1)
    return passed.clamp(max=probabilities.shape[-1] - 1)


@dataclass(frozen=True)
class Sampling(SearchOptions, OneSided, Algorithm[SamplingState]):
    """Ancestral sampling.

    `top_k`, `top_p` (Holtzman et al. 2020), `min_p` (Nguyen et al. 2024) and `epsilon` (Hewitt et al. 2022) each name a
    set of tokens by the tempered distribution, before any of the others has changed it; what is in all sets is kept,
    and the likeliest token always. Other options as in `options`.
    """

    n_best: int = 1
    """Samples drawn and returned per sentence."""
    temperature: float = 1.0
    """Divides the logits."""
    top_k: int = 0
    """Sample among the k likeliest tokens; 0 switches it off."""
    top_p: float = 1.0
    """Sample among the likeliest tokens that hold this share of probability; 1 switches it off."""
    min_p: float = 0.0
    """Drop tokens below this fraction of the likeliest token's probability; 0 switches it off."""
    epsilon: float = 0.0
    """Drop tokens below this probability; 0 switches it off."""
    seed: int = 1
    """Seed of sampling."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.temperature <= 0:
            raise ValueError(f"`temperature` must be above 0, but is {self.temperature}; use greedy search instead.")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"`top_p` must be above 0 and at most 1, but is {self.top_p}; 1 switches it off.")
        for name in ("min_p", "epsilon"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 0 and below 1, but is {getattr(self, name)}.")
        for name, least in (("n_best", 1), ("top_k", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"`{name}` must be at least {least}, but is {getattr(self, name)}.")

    @property
    def width(self) -> int:
        return self.n_best

    def truncate(self, probabilities: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return what may be drawn, [B, N, V'], 0 for tokens that may not, and its token ids (None if V' is V)."""
        token_ids = None
        if self.top_k:
            probabilities, token_ids = probabilities.topk(min(self.top_k, probabilities.shape[-1]))
        elif self.top_p < 1:
            probabilities, token_ids = probabilities.sort(descending=True)
        likeliest = probabilities.amax(-1, keepdim=True)
        threshold = (self.min_p * likeliest).clamp(min=self.epsilon).minimum(likeliest)
        kept = probabilities >= threshold
        if self.top_p < 1:
            kept &= probabilities.cumsum(-1) - probabilities < self.top_p
        return probabilities * kept, token_ids

    def draw(self, log_probs: Tensor, draws: Tensor) -> Tensor:
        """Return tokens, int64 [B, N], for log-probabilities, [B, N, V], and draws, float64 [B, N]."""
        probabilities, token_ids = self.truncate((log_probs / self.temperature).softmax(-1))
        chosen = pick(probabilities, draws)
        return chosen if token_ids is None else token_ids.gather(-1, chosen.unsqueeze(-1)).squeeze(-1)

    def start(self, model: Seq2Seq, sources: Sources) -> Start[SamplingState]:
        """See `Algorithm.start`; many samples of a source are spread over several sentences."""
        limits, device = self.limits(sources.attention_mask), sources.input_ids.device
        num_parts = math.ceil(self.n_best / SAMPLES_OF_A_SENTENCE)
        width = math.ceil(self.n_best / num_parts)
        rows = range(len(limits)) if sources.rows is None else sources.rows
        draws = uniform_draws(self.seed, rows, int(limits.max()), num_parts * width)
        draws = draws.unflatten(2, (num_parts, width)).transpose(1, 2).flatten(0, 1).to(device)
        sentences = torch.arange(len(limits), device=device).repeat_interleave(num_parts)
        constraints = self.started_constraints(model, sources.prefixes, device).select(sentences)
        paths = PathState.start(limits[sentences], width, constraints, Specials.of(model, self.other_ends))
        numbers = torch.arange(num_parts * width, device=device).view(num_parts, width).repeat(len(limits), 1)
        state = SamplingState(replace(paths, ended=numbers >= self.n_best), draws)
        copies = torch.zeros_like(numbers)
        return Start(state, copies, None if num_parts == 1 else sentences)

    def feed(self, state: SamplingState) -> tuple[Tensor, ...]:
        return (state.paths.last_tokens(),)

    def advance(self, logits: Tensor, state: SamplingState) -> tuple[SamplingState, None]:
        log_probs = next_log_probs(logits, state.paths)
        token_ids = self.draw(log_probs, state.draws[:, state.paths.length])
        chosen = log_probs.gather(-1, token_ids.unsqueeze(-1)).squeeze(-1)
        return replace(state, paths=state.paths.append(token_ids, chosen)), None

    def results(self, state: SamplingState, sentences: Tensor) -> list[list[Hypothesis]]:
        return state.paths.hypotheses(sentences, self.divisor)

    def agreed(self, state: SamplingState, sentence: int) -> list[int]:
        return state.paths.agreed(sentence)
