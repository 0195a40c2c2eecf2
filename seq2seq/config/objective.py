"""The sections of a configuration that say what is scored; pure data, as in `schema`."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ObjectiveConfig:
    """What is scored."""

    kind: Literal[
        "cross_entropy",
        "r_drop",
        "unlikelihood",
        "token_reweighting",
        "raml",
        "bag_of_words",
        "minimum_risk",
        "reinforce",
        "ranking",
        "sequence_unlikelihood",
    ] = "cross_entropy"
    """`cross_entropy` is the label-smoothed negative log-likelihood of the reference; `r_drop` adds the divergence of
    two passes under different dropout (Liang et al. 2021), `unlikelihood` what earlier target tokens are given (Welleck
    et al. 2020), `bag_of_words` the set of target tokens, predicted from the source; `token_reweighting` weights tokens
    by how likely they are; `raml` takes samples from around the reference (Norouzi et al. 2016). The others are for a
    model that is trained already (`training.initialize_from`) and look at what it generates (`candidates`):
    `minimum_risk` is the expected cost (Shen et al. 2016), `reinforce` the policy gradient of the cost, `ranking` a
    margin loss that puts candidates in the order of their cost (Liu et al. 2022), and `sequence_unlikelihood` a penalty
    of repeated n-grams."""
    label_smoothing: float = 0.1
    """Probability mass spread evenly over the whole vocabulary."""
    consistency_weight: float = 5.0
    """`r_drop`: alpha of the paper, which is twice that of its authors' README; 0 is cross-entropy."""
    unlikelihood_weight: float = 1.0
    """`unlikelihood`: alpha; 0 is cross-entropy."""
    weighting: Literal["gold", "tailr", "mixce"] = "tailr"
    """`token_reweighting`: weights by GOLD (Pang & He 2021), TaiLr (Ji et al. 2023) or MixCE (Zhang et al. 2023)."""
    tailr_gamma: float = 0.1
    """`tailr`: gamma, 0 to 1; 0 is cross-entropy."""
    tailr_min_weight: float = 0.3
    """`tailr`: least weight of a token, m."""
    mixce_eta: float = 0.5
    """`mixce`: share of cross-entropy, eta; 1 is cross-entropy."""
    gold_min_probability: float = 0.2
    """`gold`: least factor that the model's own probability becomes, u."""
    gold_reward: Literal["sump", "logp"] = "sump"
    """`gold`: whether a token's reward is the `scorer`'s probabilities or their logarithms, added over what follows."""
    gold_min_reward: float = 0.1
    """`gold`: least probability that a reward counts."""
    gold_horizon: int = 5
    """`gold`: tokens behind a token that its reward looks at."""
    gold_discount: float = 1.0
    """`gold`: gamma, what the reward of a token loses per position."""
    scorer: str | None = None
    """`gold`: run or model folder that gives rewards, of the same tokenizer and order; by default all are 1."""
    raml_temperature: float = 0.08
    """`raml`: tau; 0 is cross-entropy. A token is replaced with probability (V - 1) / (V - 1 + exp(1 / tau))."""
    bag_of_words_weight: float = 0.1
    """`bag_of_words`: weight of the set's loss, of which there is one per source; 0 is cross-entropy."""
    sharpness: float = 0.005
    """Exponent alpha of the probabilities that `minimum_risk` weighs candidates by."""
    baseline: Literal["leave_one_out", "greedy"] = "leave_one_out"
    """What `reinforce` compares a sample's cost with: the mean of the source's other samples, or its greedy output."""
    margin: float = 0.001
    """Least difference that `ranking` wants between the scores of candidates of successive ranks."""
    length_exponent: float = 1.0
    """Exponent of the length that `ranking` divides the log-probability of a candidate by."""
    repeat_ngram: int = 4
    """Tokens of the n-grams that `sequence_unlikelihood` does not want to see twice."""


@dataclass(frozen=True)
class CandidatesConfig:
    """What a model in training generates, for objectives that judge it (`objective.kind`)."""

    cost: str = "bleu"
    """Metric whose cost is minimised: 1 - score / 100, or the error rate / 100; one of those of `validation.metrics`.
    Sentence BLEU is taken with effective order. Or `word_rotators_distance` or `word_movers_distance` between word
    vectors, which are the target embeddings of the model that the training starts from (needs the package POT)."""
    mle_weight: float = 0.1
    """Share of cross-entropy of the reference in the loss, 0 to 1; 1 leaves nothing else."""
    num_candidates: int = 8
    """Candidates generated for each source."""
    search: Literal["auto", "sampling", "beam", "diverse_beam"] = "auto"
    """How they are found; `auto` is `diverse_beam` for `ranking` and `sampling` otherwise. `sequence_unlikelihood`
    looks at the greedy output, whatever stands here."""
    temperature: float = 1.0
    """Divides the logits in sampling."""
    top_k: int = 0
    """Sample among the k likeliest tokens; 0 switches it off."""
    diversity_penalty: float = 1.0
    """What a token chosen by another candidate at the same step costs in diverse beam search, where each candidate is a
    group."""
    add_reference: bool = False
    """Whether `minimum_risk` and `ranking` count the reference among the candidates."""
    max_length_ratio: float = 1.5
    """Most tokens of a candidate relative to its reference's."""
    max_length: int = 256
    """Most tokens of a candidate, end of sentence included."""
