"""The section of a configuration that `gradient.kind: parameter_search` reads; pure data, as in `schema`."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ParameterSearchConfig:
    """Candidate updates are tried by decoding the batch, and averaged by what they cost (Welleck and Cho 2021)."""

    cost: str = "bleu"
    """Metric to improve, any that `validation.metrics` knows."""
    pooled: bool = False
    """Whether the cost of a batch is one corpus score of its summed statistics, or the mean of its sentences' costs."""
    num_candidates: int = 4
    """Candidate updates K, each a greedy decoding of the batch."""
    alpha: float = 100.0
    """How much a lower cost counts: a candidate weighs exp(-alpha * cost). Costs are 0 to 1 for most metrics."""
    alpha_mode: Literal["raw", "std"] = "raw"
    """`std` divides the costs by their standard deviation over the candidates; an `alpha` of about 1 suits it."""
    noise: float = 1.0
    """Standard deviation of the noise, in mean absolute gradients."""
    noise_scale: Literal["tensor", "global", "constant"] = "tensor"
    """What the mean is over: each tensor, or all weights; with `constant`, `noise` is in the weights' own unit."""
    density: Literal["none", "unit", "exact"] = "none"
    """The proposal's density that weights are divided by: left out, taken with variance 1 as in the authors' code, or
    the true one, for at most 10,000 weights."""
    components: Literal["both", "zero", "mle"] = "both"
    """Candidates lie, in turns, around the gradient's step and around the current weights; or all around one of them:
    `zero` is random search, `mle` noisy descent."""
    clip_norm: float = 1.0
    """Norm that the guiding gradient is clipped to, and so the distance of candidates; 0 switches it off."""
    measure_current: bool = False
    """Log the cost of the current weights as well, at one more decoding."""
    candidate_processes: int = 1
    """Processes that share the candidates of the same pairs; it divides the number of processes, whose other factor
    shares the pairs. 1 lets every process try all candidates on pairs of its own."""
