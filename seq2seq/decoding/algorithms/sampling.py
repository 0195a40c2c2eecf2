"""Sampling: draw `n_best` hypotheses per source from the model's distribution, tempered and truncated.

A draw depends on the seed, the row number of the source in its corpus, the number of the sample and the step, and on
nothing else: not on batch-mates, their order or the number of processes. Scores are the model's own log-probabilities,
free of temperature and truncation.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

from seq2seq.decoding.parts.constraints import next_log_probs
from seq2seq.decoding.parts.hypothesis import Hypothesis
from seq2seq.decoding.parts.options import SearchOptions
from seq2seq.decoding.parts.search import finite_or_error
from seq2seq.decoding.parts.state import PathState, enough_done, select
from seq2seq.models.interface import Seq2Seq


def uniform_draws(seed: int, rows: Sequence[int], num_steps: int, num_samples: int) -> Tensor:
    """Return numbers in [0, 1), float64 [B, num_steps, num_samples], each row's from a generator of its own.

    More steps leave the earlier draws as they are.
    """
    draws = [numpy.random.default_rng((seed, row)).random((num_steps, num_samples)) for row in rows]
    return torch.from_numpy(numpy.stack(draws))


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
class Sampling(SearchOptions):
    """Ancestral sampling.

    `top_k`, `top_p` (Holtzman et al. 2020), `min_p` (Nguyen et al. 2024) and `epsilon` (Hewitt et al. 2022) each name a
    set of tokens by the tempered distribution, before any of the others has changed it; what is in all sets is kept,
    and the likeliest token always. Other options as in `options`.
    """

    n_best: int = 1
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    epsilon: float = 0.0
    seed: int = 1

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

    @torch.inference_mode()
    def search(
        self,
        model: Seq2Seq,
        input_ids: Tensor,
        attention_mask: Tensor,
        prefixes: Sequence[Sequence[int]] | None = None,
        rows: Sequence[int] | None = None,
    ) -> list[list[Hypothesis]]:
        """Return each sentence's `n_best` samples, best first; see `search.Search`."""
        constraints = self.started_constraints(model, prefixes, input_ids.device)
        limits = self.limits(attention_mask)
        state = PathState.start(limits, self.n_best)
        rows = range(len(input_ids)) if rows is None else rows
        draws = uniform_draws(self.seed, rows, int(limits.max()), self.n_best).to(input_ids.device)
        model_state = model.encode(input_ids, attention_mask)
        copies = torch.zeros(len(input_ids), self.n_best, dtype=torch.long, device=input_ids.device)
        model_state = model.reorder(model_state, copies)
        last = copies + model.decoder_start_id
        results: list[list[Hypothesis]] = [[] for _ in input_ids]
        while True:
            logits, model_state = model.step(model_state, last)
            known = state.known_tokens(model.pad_id)
            log_probs = next_log_probs(logits, known, constraints)
            token_ids = self.draw(log_probs, draws[:, known.shape[-1]])
            chosen = log_probs.gather(-1, token_ids.unsqueeze(-1)).squeeze(-1)
            state = state.append(token_ids, chosen, model.eos_id)

            if enough_done(state.done):
                done = state.done.nonzero().squeeze(1)
                for position, hypotheses in state.hypotheses(
                    done, model.eos_id, self.length_penalty, self.length_normalization
                ):
                    results[position] = hypotheses
                sentences = (~state.done).nonzero().squeeze(1)
                if len(sentences) == 0:
                    return finite_or_error(results)
                state, constraints, draws = select(state, sentences), constraints.select(sentences), draws[sentences]
                model_state = model.reorder(model_state, sentences=sentences)
            last = state.last_tokens(model.pad_id)
