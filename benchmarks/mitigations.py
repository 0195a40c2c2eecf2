"""Ways of training beside plain cross-entropy, by name, each as the options that switch it on.

Settings are the published ones where there are any for translation (docs/results says which were changed, and why).
"""

BASELINE = "continued"
"""Cross-entropy, for as long as the others."""


def _options(**values: object) -> list[str]:
    """Return options of `train.py`; the two parts of a name are joined by two underscores."""
    return [part for name, value in values.items() for part in (f"--{name.replace('__', '.')}", str(value))]


def _objective(kind: str, **values: object) -> list[str]:
    return _options(objective__kind=kind, **{f"objective__{name}": value for name, value in values.items()})


def _inputs(kind: str, **values: object) -> list[str]:
    return _options(decoder_inputs__kind=kind, **{f"decoder_inputs__{name}": value for name, value in values.items()})


R_DROP = _objective("r_drop", consistency_weight=5)
REPLACEMENT = _inputs("random_replacement")
BY_POSITION = _inputs("scheduled_sampling", gold_by="position", position_schedule="exponential", decay_positions=100)
ADVERSARIAL = _options(gradient__kind="adversarial_training", gradient__norm_over="row", gradient__perturbation_size=1)
CANDIDATES = _options(optimizer__learning_rate=1e-4, candidates__num_candidates=8, candidates__mle_weight=0.3)
"""Objectives over what is generated take a smaller step."""

VARIANTS: dict[str, list[str]] = {
    BASELINE: [],
    "R-Drop": R_DROP,
    "random replacement": REPLACEMENT,
    "sampling by position": BY_POSITION,
    "sampling by confidence": _inputs("confidence_sampling"),
    "oracle words": _inputs("word_oracle", gold_steps=200),
    "adversarial": ADVERSARIAL,
    "gradient penalty": _options(gradient__kind="gradient_penalty", gradient__penalty_weight=1),
    "unlikelihood": _objective("unlikelihood"),
    "TaiLr": _objective("token_reweighting", weighting="tailr"),
    "MixCE": _objective("token_reweighting", weighting="mixce"),
    "GOLD": _objective("token_reweighting", weighting="gold"),
    "RAML": _objective("raml"),
    "bag of words": _objective("bag_of_words"),
    "minimum risk": _objective("minimum_risk") + CANDIDATES,
    "reinforce": _objective("reinforce") + CANDIDATES,
    "ranking": _objective("ranking") + CANDIDATES,
    "sequence unlikelihood": _objective("sequence_unlikelihood") + CANDIDATES,
    "parameter search": _options(gradient__kind="parameter_search", optimizer__learning_rate=6.25e-5),
    "R-Drop, random replacement": R_DROP + REPLACEMENT,
    "R-Drop, sampling by position": R_DROP + BY_POSITION,
    "R-Drop, random replacement, adversarial": R_DROP + REPLACEMENT + ADVERSARIAL,
}
