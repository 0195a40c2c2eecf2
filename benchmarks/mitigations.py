"""Ways of training beside plain cross-entropy, by name, each as the options that switch it on.

Settings are the published ones where there are any for translation (docs/results says which were changed, and why).
"""

BASELINE = "continued"
"""Cross-entropy, for as long as the others."""


def _way(axis: str, kind: str, **values: object) -> list[str]:
    """Return options of `train.py` that choose a way of an axis; `gold__x` is the option `gold.x` of it."""
    chosen = [f"--{axis}", kind]
    for name, value in values.items():
        chosen += [f"--{axis}.{kind}.{name.replace('__', '.')}", str(value)]
    return chosen


def _objective(kind: str, **values: object) -> list[str]:
    return _way("objective", kind, **values)


def _inputs(kind: str, **values: object) -> list[str]:
    return _way("decoder_inputs", kind, **values)


def _on_candidates(kind: str, learning_rate: float = 1e-4) -> list[str]:
    """Return an objective over what is generated, with the smaller step that they take."""
    return [*_objective(kind, mle_weight=0.3), "--optimizer.learning_rate", str(learning_rate)]


ORACLE_WORDS, BAG_OF_WORDS = "experimental.word_oracle", "experimental.bag_of_words"
GRADIENT_PENALTY, REPEATS = "experimental.gradient_penalty", "experimental.sequence_unlikelihood"
R_DROP = _objective("r_drop", consistency_weight=5)
REPLACEMENT = _inputs("random_replacement")
BY_POSITION = _inputs("scheduled_sampling", gold__gold_by="position", gold__decay_positions=100)
ADVERSARIAL = _way("gradient", "adversarial_training", norm_over="row", perturbation_size=1)

VARIANTS: dict[str, list[str]] = {
    BASELINE: [],
    "R-Drop": R_DROP,
    "random replacement": REPLACEMENT,
    "sampling by position": BY_POSITION,
    "sampling by confidence": _inputs("confidence_sampling"),
    "oracle words": _inputs(ORACLE_WORDS, gold__gold_steps=200),
    "adversarial": ADVERSARIAL,
    "gradient penalty": _way("gradient", GRADIENT_PENALTY, penalty_weight=1),
    "unlikelihood": _objective("unlikelihood"),
    "TaiLr": _objective("tailr"),
    "MixCE": _objective("mixce"),
    "GOLD": _objective("gold"),
    "RAML": _objective("raml"),
    "bag of words": _objective(BAG_OF_WORDS),
    "minimum risk": _on_candidates("minimum_risk"),
    "reinforce": _on_candidates("reinforce"),
    "ranking": _on_candidates("ranking"),
    "sequence unlikelihood": _on_candidates(REPEATS),
    "parameter search": [*_way("gradient", "parameter_search"), "--optimizer.learning_rate", "6.25e-5"],
    "R-Drop, random replacement": R_DROP + REPLACEMENT,
    "R-Drop, sampling by position": R_DROP + BY_POSITION,
    "R-Drop, random replacement, adversarial": R_DROP + REPLACEMENT + ADVERSARIAL,
}

COSTS = {
    "R-Drop": 2.26,
    "sampling by position": 1.19,
    "sampling by confidence": 1.32,
    "sampling by step": 1.32,
    "oracle words": 1.3,
    "adversarial": 1.58,
    "gradient penalty": 2.56,
    "minimum risk": 13.3,
    "reinforce": 12.5,
    "ranking": 11.2,
    "sequence unlikelihood": 2.7,
    "parameter search": 5.4,
    "R-Drop, random replacement": 2.26,
    "R-Drop, sampling by position": 2.26 * 1.19,
    "R-Drop, random replacement, adversarial": 2.26 * 1.58,
}
"""Time of a step on a CPU relative to cross-entropy (docs/results/cost_of_ways.md); what is not here costs as much. Not
measured but assumed: combinations cost the product, sampling by step as much as by confidence, and oracle words too
once most are replaced."""

SETTINGS: dict[str, dict[str, list[str]]] = {
    "R-Drop": {f"alpha {value}": _objective("r_drop", consistency_weight=value) for value in (1, 2.5)},
    "random replacement": {
        "tokens 0.1": _inputs("random_replacement", token_probability=0.1),
        "all examples, tokens 0.15": _inputs("random_replacement", example_probability=1, token_probability=0.15),
    },
    "sampling by position": {
        f"decay {value}": _inputs("scheduled_sampling", gold__gold_by="position", gold__decay_positions=value)
        for value in (30, 300)
    },
    "sampling by step": {
        f"linear to {floor}": _inputs(
            "scheduled_sampling", gold__step_schedule="linear", gold__decay_steps=800, gold__gold_floor=floor
        )
        for floor in (0.5, 0.8)
    },
    "sampling by confidence": {
        "0.95, 0.99": _inputs("confidence_sampling", gold_confidence=0.95, random_confidence=0.99),
        "0.7, 0.95": _inputs("confidence_sampling", gold_confidence=0.7, random_confidence=0.95),
    },
    "oracle words": {
        "noise 0.5": _inputs(ORACLE_WORDS, gold__gold_steps=200, oracle_noise=0.5),
        "floor 0.8": _inputs(ORACLE_WORDS, gold__gold_steps=200, gold__gold_floor=0.8),
    },
    "adversarial": {
        f"size {value}": _way("gradient", "adversarial_training", norm_over="row", perturbation_size=value)
        for value in (0.3, 3)
    },
    "gradient penalty": {
        f"weight {value}": _way("gradient", GRADIENT_PENALTY, penalty_weight=value) for value in (0.1, 10)
    },
    "unlikelihood": {f"weight {value}": _objective("unlikelihood", unlikelihood_weight=value) for value in (0.2, 0.5)},
    "TaiLr": {f"gamma {value}": _objective("tailr", gamma=value) for value in (0.01, 0.03, 0.3)},
    "MixCE": {f"eta {value}": _objective("mixce", eta=value) for value in (0.2, 0.8)},
    "GOLD": {f"at least {value}": _objective("gold", min_probability=value) for value in (0.5, 0.8)},
    "RAML": {f"tau {value}": _objective("raml", raml_temperature=value) for value in (0.12, 0.15)},
    "bag of words": {f"weight {value}": _objective(BAG_OF_WORDS, bag_of_words_weight=value) for value in (0.1, 0.3)},
    "minimum risk": {
        "learning rate 3e-4": _on_candidates("minimum_risk", 3e-4),
    },
    "reinforce": {
        "learning rate 3e-4": _on_candidates("reinforce", 3e-4),
    },
    "ranking": {"learning rate 3e-4": _on_candidates("ranking", 3e-4)},
    "sequence unlikelihood": {
        "learning rate 3e-4": _on_candidates(REPEATS, 3e-4),
    },
    "parameter search": {
        "guided by R-Drop": [*_way("gradient", "parameter_search"), "--optimizer.learning_rate", "5e-4", *R_DROP],
    },
}
"""Other settings of each way, to be chosen among on development text."""


def settings() -> dict[str, tuple[list[str], float]]:
    """Return options and cost of every way, at the setting of `VARIANTS` and at each of `SETTINGS`."""
    found = {name: (options, COSTS.get(name, 1.0)) for name, options in VARIANTS.items()}
    for name, choices in SETTINGS.items():
        for setting, options in choices.items():
            found[f"{name}, {setting}"] = (options, COSTS.get(name, 1.0))
    return found
