"""Which process measures which candidates on which pairs, and the few numbers that processes tell each other.

Processes form a grid: `candidate_processes` of them share the candidates on the same pairs, and as many such groups as
there are processes for share the pairs. With 1 each process measures all candidates on pairs of its own; with all of
them, each measures some candidates on all pairs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class CandidateGrid:
    """This process's place.

    Raises:
        ValueError: the processes cannot be divided into such groups.
    """

    num_processes: int = 1
    process_index: int = 0
    candidate_processes: int = 1

    def __post_init__(self) -> None:
        if self.candidate_processes < 1 or self.num_processes % self.candidate_processes:
            raise ValueError(
                f"`parameter_search.candidate_processes` ({self.candidate_processes}) must divide the number of "
                f"processes ({self.num_processes})."
            )

    @property
    def num_shards(self) -> int:
        """Parts that the pairs of a step are divided into."""
        return self.num_processes // self.candidate_processes

    @property
    def shard(self) -> int:
        """The part that this process has."""
        return self.process_index // self.candidate_processes

    def own(self, num_candidates: int) -> range:
        """Return the candidates that this process measures."""
        return range(self.process_index % self.candidate_processes, num_candidates, self.candidate_processes)

    def added(self, values: Tensor) -> Tensor:
        """Return the sum over all processes, on each of them."""
        return self._reduced(values, torch.distributed.ReduceOp.SUM) if self.num_processes > 1 else values

    def largest(self, values: Tensor) -> Tensor:
        """Return the largest over all processes, on each of them."""
        return self._reduced(values, torch.distributed.ReduceOp.MAX) if self.num_processes > 1 else values

    def _reduced(self, values: Tensor, operation: torch.distributed.ReduceOp.RedOpType) -> Tensor:
        reduced = values.clone()
        torch.distributed.all_reduce(reduced, operation)
        return reduced
