"""What `equality.py` runs: a corpus, twelve trainings and the searches; data alone, and the one place for their syntax.

`TRAININGS` is written in the syntax of the first record; a tree that knows another one gets what `new_syntax` makes of
it. Nothing here may depend on a library, the time or a folder: two trees must be given the same.
"""

import random
from typing import Any

Configuration = dict[str, Any]

# ---- the corpus: Latin to Greek letters, words in another order, lengths of one to twelve words ----------------------

LATIN, GREEK = "abcdefghiklmnopr", "αβγδεζηθικλμνξοπ"
SIZES = {"train": 340, "validation": 20, "test": 40}


def corpus() -> dict[str, list[tuple[str, str]]]:
    """Return the pairs of each part, always the same ones."""
    draw = random.Random(20)
    words = ["".join(draw.choice(LATIN) for _ in range(draw.randint(1, 6))) for _ in range(24)]
    pairs = []
    for _ in range(sum(SIZES.values())):
        chosen = [words[min(draw.randrange(24), draw.randrange(24))] for _ in range(draw.randint(1, 12))]
        translated = [word[::-1].translate(str.maketrans(LATIN, GREEK)) for word in chosen]
        # Pairs of words change places, and a long source loses its last word.
        swapped = [word for i in range(0, len(translated), 2) for word in reversed(translated[i : i + 2])]
        pairs.append((" ".join(chosen), " ".join(swapped[:9])))
    parts, start = {}, 0
    for part, size in SIZES.items():
        parts[part] = pairs[start : start + size]
        start += size
    return parts


# ---- trainings, in the syntax of the first record --------------------------------------------------------------------

BASE: dict[str, Configuration] = {
    "data": {"batch_tokens": 700},
    "tokenizer": {"kind": "byte_bpe", "vocab_size": 400},
    "model": {
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "num_heads": 2,
        "ffn_size": 64,
        "dropout": 0.1,
    },
    "optimizer": {"learning_rate": 1e-2, "warmup_steps": 15},
    "training": {"max_steps": 12, "log_every": 1, "checkpoint_every": 6, "threads": 1},
    "validation": {"every": 6},
    "decoding": {"beam_width": 4, "max_length": 24},
}
"""What all share; a training's own options are put over it."""

LEARNT = {"max_steps": 150, "checkpoint_every": 75, "log_every": 5}
"""Enough for outputs that depend on their sources, so that searches have something to choose between."""
FROM_LEFT = "{runs}/l2r"
"""Of another training; the folder is filled in where it is run."""
PROCESSES = {"two_processes": 2}
"""Trainings on more than one process."""

TRAININGS: dict[str, dict[str, Configuration]] = {
    "l2r": {"training": LEARNT, "validation": {"every": 50, "metrics": ["chrf"], "select_by": "chrf"}},
    "r2l": {"model": {"generation_order": "r2l"}, "training": LEARNT},
    "bidirectional": {
        "model": {"generation_order": "bidirectional", "interaction": "tanh"},
        "companions": {"model": "self", "first_steps": 100},
        "training": LEARNT,
    },
    "interleaved": {"model": {"generation_order": "interleaved"}, "training": LEARNT},
    "r_drop": {
        "objective": {"kind": "r_drop", "consistency_weight": 3.0, "label_smoothing": 0.05},
        "optimizer": {"learning_rate": 5e-3, "warmup_steps": 5, "ema_decay": 0.8},
        "training": {"gradient_accumulation": 2},
    },
    "tailr_bf16": {
        "objective": {"kind": "token_reweighting", "weighting": "tailr", "tailr_gamma": 0.2},
        "training": {"precision": "bf16", "average_checkpoints": 2},
    },
    "minimum_risk": {
        "objective": {"kind": "minimum_risk", "sharpness": 0.01},
        "candidates": {"cost": "chrf", "num_candidates": 4, "add_reference": True},
        "optimizer": {"learning_rate": 1e-3, "schedule": "constant", "warmup_steps": 1},
        "training": {"initialize_from": FROM_LEFT, "max_steps": 10},
    },
    "ranking_on_r2l": {
        "model": {"generation_order": "r2l"},
        "objective": {"kind": "ranking", "margin": 0.01},
        "candidates": {"cost": "word_error_rate", "num_candidates": 4},
        "optimizer": {"learning_rate": 1e-3, "schedule": "linear", "warmup_steps": 2},
        "training": {"initialize_from": "{runs}/r2l", "max_steps": 10},
    },
    "adversarial": {
        "gradient": {"kind": "adversarial_training", "perturbation_size": 0.3, "norm_over": "row"},
        "model": {"positions": "rotary", "norm": "rms_norm", "activation": "gelu_tanh", "tie_embeddings": "none"},
        "tokenizer": {"kind": "unigram", "vocab_size": 200, "shared": False},
    },
    "parameter_search": {
        "gradient": {"kind": "parameter_search"},
        "parameter_search": {"cost": "chrf", "num_candidates": 4, "alpha": 1.0, "alpha_mode": "std"},
        "training": {"initialize_from": FROM_LEFT, "max_steps": 10},
    },
    "scheduled_sampling": {
        "decoder_inputs": {
            "kind": "scheduled_sampling",
            "mixing": "top_k",
            "step_schedule": "constant",
            "gold_floor": 0.4,
        },
        "tokenizer": {"sampling": 0.1},
        "optimizer": {"learning_rate": 5e-3, "schedule": "cosine", "warmup_steps": 3},
    },
    "two_processes": {
        "model": {"generation_order": "bidirectional", "norm_position": "post", "positions": "learned"},
        "tokenizer": {"kind": "characters"},
        "data": {"batch_tokens": 1200},
    },
}


def configuration(name: str, folder: str) -> Configuration:
    """Return a training's whole configuration, in the old syntax, for a folder that holds `data` and `runs`."""
    own = TRAININGS[name]
    sections = {section: BASE.get(section, {}) | own.get(section, {}) for section in {**BASE, **own}}
    for part in ("train", "validation"):
        sections["data"][part] = {"path": f"{folder}/data/{part}.tsv"}
    start = sections["training"].get("initialize_from")
    if start is not None:
        sections["training"]["initialize_from"] = start.format(runs=f"{folder}/runs")
        sections["tokenizer"] = {"from_run": sections["training"]["initialize_from"]}
    return {"run_directory": f"{folder}/runs/{name}", **sections}


# ---- the other syntax ------------------------------------------------------------------------------------------------


OF_CANDIDATES = ("num_candidates", "temperature", "top_k", "diversity_penalty", "max_length_ratio", "max_length")
OF_GOLD = (
    "gold_by",
    "step_schedule",
    "decay_steps",
    "position_schedule",
    "decay_positions",
    "gold_floor",
    "gold_steps",
)
OF_MIXTURE = ("mixing", "mixing_temperature", "mixing_top_k")
SEARCH_OF_ORDER = {"bidirectional": "synchronous", "interleaved": "interleaved"}


def new_syntax(old: Configuration) -> Configuration:
    """Return a configuration of the old syntax in that of tagged unions, such as `objective: {r_drop: {...}}`."""
    new = dict(old)
    candidates, search = new.pop("candidates", {}), new.pop("parameter_search", {})
    if "objective" in new:
        new["objective"] = new_objective(dict(new["objective"]), dict(candidates))
    if "gradient" in new:
        options = dict(new["gradient"])
        new["gradient"] = {options.pop("kind"): options | search}
    if "decoder_inputs" in new:
        options = dict(new["decoder_inputs"])
        parts = {part: taken(options, names) for part, names in (("gold", OF_GOLD), ("mixture", OF_MIXTURE))}
        new["decoder_inputs"] = {options.pop("kind"): options | {part: own for part, own in parts.items() if own}}
    order = new["model"].get("generation_order", "l2r")
    new["decoding"] = {SEARCH_OF_ORDER.get(order, "beam"): new["decoding"]}
    return new


def new_objective(options: Configuration, candidates: Configuration) -> Configuration:
    """Return an objective of the old syntax, with the candidates that it judges, in the new one."""
    kind = options.pop("kind")
    if kind == "token_reweighting":
        kind = options.pop("weighting")
        options = {name.removeprefix(f"{kind}_"): value for name, value in options.items()}
    of_search = taken(candidates, OF_CANDIDATES)
    found_by = candidates.pop("search", "diverse_beam" if kind == "ranking" else "sampling")
    if of_search:
        candidates["candidates"] = of_search if kind == "reinforce" else {found_by: of_search}
    return {kind: options | candidates}


def taken(options: Configuration, names: tuple[str, ...]) -> Configuration:
    """Take some options out of others."""
    return {name: options.pop(name) for name in names if name in options}


SYNTAXES = {"old": dict, "new": new_syntax}

# ---- decodings: the models, and options of `decode` ------------------------------------------------------------------

FORMATS = {"text": ".txt", "jsonl": ".jsonl", "moses": ".moses"}
PREFIXES = "{data}/prefixes.txt"
BOTH = "bidirectional"

SEARCHES: dict[str, list[str]] = {
    "greedy": ["l2r", "--method", "greedy"],
    "beam": ["l2r", "--beam-width", "5"],
    "beam gnmt": ["l2r", "--length-normalization", "gnmt", "--length-penalty", "0.6"],
    "beam early": ["l2r", "--early-stopping", "--batch-tokens", "300", "--max-length-ratio", "0.5"],
    "diverse beam": ["l2r", "--method", "diverse_beam", "--beam-width", "6", "--num-groups", "3", "--n-best", "2"],
    "sampling": ["l2r", "--method", "sampling", "--top-k", "20", "--temperature", "0.8", "--seed", "3"],
    "sampling top p": ["l2r", "--method", "sampling", "--top-p", "0.9", "--min-p", "0.01", "--n-best", "2"],
    "n best": ["l2r", "--n-best", "3"],
    "prefixes": ["l2r", "--prefixes", PREFIXES],
    "lengths": ["l2r", "--min-length", "6", "--max-length", "9"],
    "no repeat": ["l2r", "--no-repeat-ngram", "2"],
    "mbr": ["l2r", "--mbr", "chrf", "--num-samples", "6"],
    "mbr pairwise": ["l2r", "--mbr", "chrf", "--num-samples", "6", "--mbr-candidates", "search", "--mbr-pairwise"],
    "ensemble": ["l2r", "minimum_risk", "--weights", "0.7", "0.3"],
    "int8": ["l2r", "--precision", "int8"],
    "bf16": ["tailr_bf16", "--precision", "bf16"],
    "not shared": ["adversarial", "--n-best", "2"],
    "from the right": ["r2l", "--n-best", "2"],
    "from the right sampling": ["r2l", "--method", "sampling", "--no-repeat-ngram", "2"],
    "both, left": [BOTH, "--generation-order", "l2r"],
    "both, right": [BOTH, "--generation-order", "r2l", "--method", "greedy"],
    "synchronous": [BOTH, "--bidirectional"],
    "synchronous n best": [BOTH, "--bidirectional", "--n-best", "3", "--beam-width", "6", "--no-repeat-ngram", "2"],
    "joint": [BOTH, "--bidirectional", "--pairing", "joint", "--n-best", "2"],
    "companion": [BOTH, "--bidirectional", "--pairing", "companion", "--n-best", "2", "--min-length", "5"],
    "rescored": [BOTH, "--rescore", "both", "--n-best", "2"],
    "rescored from the right": [BOTH, "--rescore", "r2l", "--rescoring-weight", "0.3", "--rescoring-margin", "0.2"],
    "rescored by another": ["l2r", "--rescore", "both", "--right-model", "{runs}/r2l", "--n-best", "2"],
    "interleaved": ["interleaved", "--n-best", "2"],
    "interleaved greedy": ["interleaved", "--method", "greedy", "--min-length", "4", "--max-length", "11"],
    "both, from the right, mbr": [BOTH, "--generation-order", "r2l", "--mbr", "chrf", "--num-samples", "6"],
    "interleaved rescored": ["interleaved", "--rescore", "l2r", "--left-model", "{runs}/l2r"],
    "parameter search": ["parameter_search"],
}
"""Models first, then options. All are decoded in each format by one process and by two workers."""
LAUNCHED = ("beam", "joint")
"""Searches that are decoded by two launched processes too."""


def models_and_options(name: str, folder: str) -> tuple[list[str], list[str]]:
    """Return the names of a search's models, and its command."""
    own = SEARCHES[name]
    border = next((i for i, word in enumerate(own) if word.startswith("--")), len(own))
    options = [word.format(runs=f"{folder}/runs", data=f"{folder}/data") for word in own[border:]]
    return own[:border], ["--model", *(f"{folder}/runs/{model}" for model in own[:border]), *options]
