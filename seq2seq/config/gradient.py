"""The sections of a configuration that say how gradients are obtained; pure data, as in `schema`."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class GradientConfig:
    """How the gradient of the objective is obtained."""

    kind: Literal["backprop", "adversarial_training", "gradient_penalty", "parameter_search"] = "backprop"
    """`backprop` takes the gradient as it is; `adversarial_training` takes it where token vectors are moved against the
    model; `gradient_penalty` adds a penalty on the loss's gradient with respect to the token vectors; with
    `parameter_search` it guides a search for weights whose greedy output has a lower cost (Welleck and Cho 2021), see
    the section of that name."""
    where: Literal["source", "target", "both"] = "both"
    """Whose token vectors `adversarial_training` and `gradient_penalty` look at."""
    perturbation_size: float = 0.5
    """For `adversarial_training`: how far token vectors are moved, as a Euclidean length; one vector is about
    sqrt(d_model) long. 0 is plain training."""
    norm_over: Literal["batch", "row"] = "batch"
    """For `adversarial_training`: what has that length, a whole micro-batch or each pair."""
    penalty_weight: float = 1.0
    """For `gradient_penalty`: weight w of w/2 times the squared gradient of the summed loss, per target token; 0 is
    plain training."""


@dataclass(frozen=True)
class ParameterSearchConfig:
    """Candidate updates are tried by decoding the batch, and averaged by what they cost (Welleck and Cho 2021)."""

    cost: str = "bleu"
    """Metric to improve, any that `validation.metrics` knows, or a distance as in `candidates.cost`."""
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
    density: Literal["none", "unit"] = "none"
    """The proposal's density that weights are divided by: left out, or taken with variance 1 as in the authors'
    code."""
    components: Literal["both", "zero", "mle"] = "both"
    """Candidates lie, in turns, around the gradient's step and around the current weights; or all around one of them:
    `zero` is random search, `mle` noisy descent."""
    clip_norm: float = 1.0
    """Norm that the guiding gradient is clipped to, and so the distance of candidates; 0 switches it off."""
    candidates_at_once: int = 1
    """Candidates that are decoded in one batch, each by a copy of the weights."""
    measure_current: bool = False
    """Log the cost of the current weights as well, at one more decoding."""
