"""What a search remembers of hypotheses that grow on their own."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seq2seq.decoding.parts.constraints import Constraints
from seq2seq.decoding.parts.state import EMPTY, Growing, Specials, common_start, read_hypothesis
from seq2seq.generation.hypothesis import Hypothesis


@dataclass(frozen=True, kw_only=True)
class PathState(Growing):
    """Hypotheses that grow on their own, after t steps."""

    ended: Tensor
    """bool [B, W]"""

    @classmethod
    def start(cls, limits: Tensor, num_paths: int, constraints: Constraints, specials: Specials) -> "PathState":
        """Return the state before the first step."""
        num_sentences, device = len(limits), limits.device
        return cls(
            tokens=torch.zeros(num_sentences, num_paths, 0, dtype=torch.long, device=device),
            log_probs=torch.zeros(num_sentences, num_paths, 0, device=device),
            ended=torch.zeros(num_sentences, num_paths, dtype=torch.bool, device=device),
            limits=limits,
            constraints=constraints,
            specials=specials,
        )

    @property
    def done(self) -> Tensor:
        """bool [B], all hypotheses have ended"""
        return self.ended.all(1)

    def append(self, token_ids: Tensor, log_probs: Tensor) -> "PathState":
        """Return the state one token later; `token_ids` and `log_probs`, [B, W], do not count where it has ended."""
        added = token_ids.masked_fill(self.ended, EMPTY).unsqueeze(-1)
        tokens = torch.cat([self.tokens, added], dim=-1)
        at_limit = (self.limits == tokens.shape[-1]).unsqueeze(1)
        return replace(
            self,
            tokens=tokens,
            log_probs=torch.cat([self.log_probs, log_probs.unsqueeze(-1)], dim=-1),
            ended=self.ended | self.specials.are_ends(token_ids) | at_limit | log_probs.isnan(),
        )

    def last_tokens(self) -> Tensor:
        newest = super().last_tokens()
        return newest if self.length == 0 else newest.masked_fill(self.ended, self.specials.pad_id)

    def agreed(self, sentence: int) -> list[int]:
        """Return the tokens that all hypotheses of a sentence begin with."""
        return common_start(self.tokens[sentence, :, self.start_of(sentence) :])

    def hypotheses(self, sentences: Tensor, divisor: Callable[[int], float]) -> list[list[Hypothesis]]:
        """Return the hypotheses, best first, of some sentences, given by their indices, int64 [B'].

        Those that had ended before the first step are left out.

        Args:
            divisor: what the score of a hypothesis of so many tokens is divided by.
        """
        results = []
        columns = (self.tokens[sentences].tolist(), self.log_probs[sentences].tolist(), self.starts_of(sentences))
        for tokens, log_probs, start in zip(*columns, strict=True):
            found = [
                read_hypothesis(t[start:], p[start:], math.nan, self.specials.ends)
                for t, p in zip(tokens, log_probs, strict=True)
            ]
            scored = [replace(h, normalized_score=h.score / divisor(len(h.tokens))) for h in found if h.tokens]
            results.append(sorted(scored, key=lambda h: -h.normalized_score))
        return results
