"""The section `decoder_inputs` of a YAML file; see `schema`.

Pure data, as all of them: options enter, nothing is built here.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class DecoderInputsConfig:
    """What the decoder sees of the reference in training."""

    kind: Literal[
        "teacher_forcing", "random_replacement", "scheduled_sampling", "confidence_sampling", "word_oracle"
    ] = "teacher_forcing"
    """`teacher_forcing` shows the reference itself; `random_replacement` puts random tokens in some places. The others
    put there what the model predicts in a first pass: `scheduled_sampling` by a schedule, `confidence_sampling` where
    the model is sure, `word_oracle` by a schedule over steps and with noise."""
    example_probability: float = 0.5
    """For `random_replacement`: probability that a target is touched at all."""
    token_probability: float = 0.3
    """For `random_replacement`: probability that a token of such a target is replaced."""
    pool: Literal["target", "source", "both", "vocabulary"] = "target"
    """For `random_replacement`: where random tokens are drawn from, the same target, its source, both, or all there
    are; `source` and `both` need one vocabulary for both sides."""
    gold_by: Literal["step", "position", "step_and_position"] = "step"
    """What the probability of the reference's token depends on: the training step, the position in the target, or both
    (then the position counts the more, the further training is). The next six options are for all with a schedule."""
    step_schedule: Literal["constant", "linear", "exponential", "inverse_sigmoid"] = "inverse_sigmoid"
    """How it falls with steps i: to `gold_floor` at once, or as 1 - i/k, exp(-i/k) or k/(k + exp(i/k)) with k
    `decay_steps`."""
    decay_steps: float = 1000.0
    """Scale of `step_schedule`, in steps; `inverse_sigmoid` comes to one half after k ln k, 6900 at k = 1000."""
    position_schedule: Literal["constant", "linear", "exponential", "inverse_sigmoid"] = "exponential"
    """How it falls with positions, in the same way."""
    decay_positions: float = 100.0
    """Scale of `position_schedule`, in positions of the target."""
    gold_floor: float = 0.0
    """Least probability of the reference's token, and that of a `constant` schedule; 1 is teacher forcing."""
    gold_steps: int = 0
    """Steps at the start that see nothing but the reference, also for `confidence_sampling`."""
    mixing: Literal["argmax", "sampled", "top_k", "soft"] = "argmax"
    """For `scheduled_sampling` and `confidence_sampling`: the likeliest token, one drawn from the model, or the
    expected token vector over the k likeliest tokens or all; the last two need tied target and output embeddings."""
    mixing_temperature: float = 1.0
    """Divides the logits in `mixing`, for all kinds but `argmax`."""
    mixing_top_k: int = 5
    """Tokens of `mixing: top_k`."""
    gold_confidence: float = 0.9
    """For `confidence_sampling`: probability of the reference's token up to which it is the input; 1 is teacher
    forcing."""
    random_confidence: float = 0.95
    """For `confidence_sampling`: probability up to which the prediction is the input; above, it is a random token of
    the same target."""
    oracle_noise: float = 1.0
    """For `word_oracle`: weight of the Gumbel noise that is added to logits before the best is taken; 0 adds none."""
