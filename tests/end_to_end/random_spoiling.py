"""What makes a configuration wrong: a number out of range, no number, another type, an option of something else or of
an earlier version.

`spoiled` puts one such thing into a configuration or into the options of `decode`. What it puts in is wrong whatever
stands beside it, or belongs to the kind that is chosen there. In the dotted names, `*` is that kind.
"""

import copy
import random
from dataclasses import dataclass
from typing import Any

from seq2seq.assembly.configuration import MOVED

Sections = dict[str, Any]
NAN, INFINITE = float("nan"), float("inf")

OUT_OF_RANGE: dict[str, tuple[Any, ...]] = {
    "data.batch_tokens": (0, -1),
    "data.max_batch_rows": (-1,),
    "data.max_source_tokens": (0, -5),
    "data.max_target_tokens": (-5,),
    "data.max_length_ratio": (-1.0,),
    "data.num_workers": (-1,),
    "data.num_folds": (-2,),
    "tokenizer.vocab_size": (0, -3),
    "tokenizer.min_frequency": (-1,),
    "tokenizer.sampling": (-0.1,),
    "model.d_model": (0, -4, 7),
    "model.encoder_layers": (-1,),
    "model.decoder_layers": (-1,),
    "model.num_heads": (0, -2, 3),
    "model.ffn_size": (0, -8),
    "model.key_size": (0, -1),
    "model.value_size": (0, -1),
    "model.dropout": (-0.1, 1.5),
    "model.attention_dropout": (-0.1, 1.5),
    "model.activation_dropout": (-0.1, 1.5),
    "model.token_dropout": (-0.1, 1.5),
    "optimizer.learning_rate": (-1.0,),
    "optimizer.betas": ([2.0, 3.0], [-0.1, 0.9], [0.9]),
    "optimizer.epsilon": (-1.0,),
    "optimizer.weight_decay": (-0.1,),
    "optimizer.warmup_steps": (-1,),
    "optimizer.final_learning_rate": (-1.0,),
    "optimizer.clip_norm": (-1.0,),
    "optimizer.flooding": (-1.0,),
    "optimizer.ema_decay": (-0.1, 1.5),
    "training.max_steps": (-1,),
    "training.max_minutes": (-1.0,),
    "training.gradient_accumulation": (0, -1),
    "training.threads": (-2,),
    "training.log_every": (-1,),
    "training.checkpoint_every": (-1,),
    "training.keep_checkpoints": (-1,),
    "training.average_checkpoints": (-2,),
    "validation.every": (-1,),
    "validation.patience": (-1,),
    "validation.max_rows": (-1,),
    "validation.beam_width": (0, -1),
    "validation.metrics": (["nothing"],),
    "validation.select_by": ("nothing",),
    "objective.*.label_smoothing": (-0.1, 1.0, 2.0),
    "validation.batch_tokens": (-1,),
    "decoding.*.beam_width": (0, -1),
    "decoding.*.n_best": (0, -1, 99),
    "decoding.*.max_length": (0, -1),
    "decoding.*.min_length": (-1, 300),
    "decoding.*.max_length_ratio": (-1.0,),
    "decoding.*.no_repeat_ngram": (-1,),
    "decoding": ({"minimum_bayes_risk": {"metric": "nothing"}}, {"rescored": {"weight": 1.5}}),
}
"""Wrong values of options that every run has."""

CANDIDATES: dict[str, tuple[Any, ...]] = {
    "objective.*.candidates.num_candidates": (0, -1),
    "objective.*.candidates.max_length": (0, -1),
    "objective.*.candidates.max_length_ratio": (0.0, -1.0),
    "objective.*.mle_weight": (-0.1, 1.5),
    "objective.*.cost": ("nothing",),
}
SEARCHED = {name.replace("candidates.", "candidates.*."): values for name, values in CANDIDATES.items()}
SCHEDULE: dict[str, tuple[Any, ...]] = {
    "decoder_inputs.*.gold.gold_floor": (-0.1, 1.5),
    "decoder_inputs.*.gold.decay_steps": (0.0, -1.0),
    "decoder_inputs.*.gold.gold_steps": (-1,),
}
OF_KINDS: dict[str, dict[str, tuple[Any, ...]]] = {
    "r_drop": {"objective.*.consistency_weight": (-1.0,)},
    "unlikelihood": {"objective.*.unlikelihood_weight": (-1.0,)},
    "tailr": {"objective.*.gamma": (-0.1, 1.5), "objective.*.min_weight": (-0.1, 1.5)},
    "mixce": {"objective.*.eta": (-0.1, 1.5)},
    "gold": {"objective.*.horizon": (-1,), "objective.*.min_probability": (-0.1, 1.5), "objective.*.scorer": ("no",)},
    "raml": {"objective.*.raml_temperature": (-1.0,)},
    "experimental.bag_of_words": {"objective.*.bag_of_words_weight": (-1.0,)},
    "minimum_risk": SEARCHED | {"objective.*.sharpness": (0.0, -1.0)},
    "reinforce": CANDIDATES | {"objective.*.candidates.temperature": (0.0, -1.0)},
    "ranking": SEARCHED | {"objective.*.margin": (-1.0,)},
    "experimental.sequence_unlikelihood": {
        "objective.*.repeat_ngram": (0, -1),
        "objective.*.candidates.max_length": (0, -1),
    },
    "random_replacement": {
        "decoder_inputs.*.example_probability": (-0.1, 1.5),
        "decoder_inputs.*.token_probability": (-0.1, 1.5),
    },
    "scheduled_sampling": SCHEDULE
    | {"decoder_inputs.*.mixture.mixing_temperature": (0.0, -1.0), "decoder_inputs.*.mixture.mixing_top_k": (0, -1)},
    "confidence_sampling": {"decoder_inputs.*.gold_confidence": (-0.1,), "decoder_inputs.*.random_confidence": (-1.0,)},
    "experimental.word_oracle": SCHEDULE | {"decoder_inputs.*.oracle_noise": (-1.0,)},
    "adversarial_training": {"gradient.*.perturbation_size": (-1.0,)},
    "experimental.gradient_penalty": {"gradient.*.penalty_weight": (-1.0,)},
    "parameter_search": {
        "gradient.*.num_candidates": (0, -1, 3),
        "gradient.*.noise": (-1.0,),
        "gradient.*.candidates_at_once": (0, -1),
        "gradient.*.clip_norm": (-1.0,),
        "gradient.*.cost": ("nothing",),
    },
}
"""Wrong values of options of a kind, for configurations that choose it."""

FLOATS = (
    *("data.max_length_ratio", "tokenizer.sampling", "model.dropout", "model.token_dropout", "model.attention_dropout"),
    *("optimizer.learning_rate", "optimizer.weight_decay", "optimizer.epsilon", "optimizer.flooding"),
    *("optimizer.ema_decay", "optimizer.final_learning_rate", "optimizer.clip_norm", "training.max_minutes"),
    *("objective.*.label_smoothing", "decoding.*.length_penalty", "decoding.*.max_length_ratio", "training.max_steps"),
)
WRONG_TYPES: dict[str, tuple[Any, ...]] = {
    "model.d_model": ("wide", [16], None, 16.5, True),
    "model.norm": (1, "batch_norm"),
    "training.max_steps": ("many", None, 2.5, [2]),
    "training.precision": ("fp8", 32),
    "training.tracker": ("often", "[wandb, often]"),
    "tokenizer.kind": ("bytes", None),
    "tokenizer.special_tokens": ("<de>", [["<de>"]]),
    "optimizer.betas": (0.9, "high", [0.9, "high"]),
    "validation.metrics": ("chrf", {"chrf": 1}),
    "decoding.*.beam_width": ("wide", 2.5, {"width": 2}),
    "decoding": (5, ["beam"], "nothing", {"beam": 4}, {}, {"beam": {}, "greedy": {}}),
    "objective": (5, "nothing", None, [], {"r_drop": 5.0}, {"r_drop": {}, "raml": {}}, {"experimental": {"raml": {}}}),
    "gradient": ("backward", {"backprop": {"seed": 1}}, {"parameter_search": {"seed": 1}}),
    "decoder_inputs": ({"scheduled_sampling": "argmax"}, {"scheduled_sampling": {"gold": 0.5}}, "word_oracle"),
    "data.train": ("train.tsv", []),
    "data.batch_tokens": ("4k", None),
}
SECTION_VALUES: tuple[Any, ...] = (3, "none", [1, 2], [], True)
OF_OTHER_KINDS: dict[str, tuple[Any, str]] = {
    "objective.*.gamma": (0.2, "tailr"),
    "objective.*.consistency_weight": (1.0, "r_drop"),
    "objective.*.sharpness": (0.1, "minimum_risk"),
    "objective.*.margin": (0.1, "ranking"),
    "objective.*.repeat_ngram": (3, "experimental.sequence_unlikelihood"),
    "objective.*.text_cost": (None, ""),
    "decoder_inputs.*.oracle_noise": (0.5, "experimental.word_oracle"),
    "decoder_inputs.*.gold_confidence": (0.4, "confidence_sampling"),
    "decoder_inputs.*.token_probability": (0.2, "random_replacement"),
    "gradient.*.perturbation_size": (0.2, "adversarial_training"),
    "gradient.*.penalty_weight": (0.3, "experimental.gradient_penalty"),
    "decoding.*.temperature": (0.8, "sampling"),
    "decoding.*.num_groups": (2, "diverse_beam"),
    "decoding.*.samples": ({"n_best": 3}, "minimum_bayes_risk"),
}
"""Options with a value and the kind that they belong to; beside another kind they would be dropped."""
OF_OTHER_SECTIONS: dict[str, Any] = {
    "companions.beam_width": 2,
    "teaching.beam_width": 2,
    "optimizer.seed": 2,
    "training.batch_tokens": 64,
}
"""Options of sections that mean nothing to a configuration which has no reason to have them, or of other sections."""
MISSPELT = (
    "model.d_modle",
    "training.steps",
    "objective.*.smoothing",
    "decoding.*.beam",
    "data.train.file",
    "modle.d_model",
)
HARD = ("range",) * 3
DECODE = (
    *("--beam-width=0", "--beam-width=-2", "--beam-width=two", "--n-best=0", "--n-best=99", "--max-length=0"),
    *("--min-length=-1", "--min-length=99", "--length-penalty=nan", "--no-repeat-ngram=-1", "--batch-tokens=0"),
    *("--max-length-ratio=-1", "--max-length-ratio=nan", "--length-penalty=1e9", "--method=nothing", "--bem-width=2"),
    *("--coverage-penalty=0.2", "--method=greedy --beam-width=2", "--rescoring-weight=0.3", "--num-samples=4"),
    *("--method=sampling --temperature=0", "--method=sampling --temperature=nan", "--method=sampling --top-p=0"),
    *("--method=sampling --top-p=1.5", "--method=sampling --top-k=-1", "--method=sampling --min-p=2", "--threads=-1"),
    *("--method=diverse_beam --num-groups=0", "--method=diverse_beam --beam-width=4 --num-groups=3"),
    *("--mbr=nothing", "--mbr=chrf --num-samples=0", "--rescore=both --rescoring-weight=1.5"),
    *("--rescore=both --rescoring-weight=nan", "--processes=-1", "--max-source-tokens=0", "--early-stopping=maybe"),
    *("--mbr=none --rescore=none --method=beam --top-k=3", "--mbr=none --rescore=none --method=beam --num-groups=2"),
    *("--weights 1 2", "--prefixes=absent.txt", "--weights 0", "--metrics=nothing --reference=test.txt"),
)


@dataclass(frozen=True)
class Spoiled:
    """What was put in, and the verb that has to refuse it."""

    verb: str
    how: str
    what: str

    def __str__(self) -> str:
        return f"{self.how}: {self.what}"


def spoiled(
    draw: random.Random, sections: Sections, decode: tuple[str, ...]
) -> tuple[Sections, tuple[str, ...], Spoiled]:
    """Return a configuration and options of `decode`, one of which has been made wrong, and how."""
    how = draw.choice((*HARD, "nan", "type", "type", "section", "elsewhere", "misspelt", "old", "decode", "decode"))
    ruined: Any = copy.deepcopy(sections)
    if how == "decode":
        words = draw.choice(DECODE)
        return ruined, (*decode, *words.split()), Spoiled("decode", how, words)
    if how == "section":
        section, value = draw.choice(sorted(ruined)), draw.choice(SECTION_VALUES)
        return ruined | {section: value}, decode, Spoiled("train", how, f"{section}: {value!r}")
    if how == "range":
        option, values = draw.choice(sorted(in_force(sections).items()))
    elif how == "nan":
        option, values = draw.choice(FLOATS), (NAN, INFINITE, -INFINITE)
    elif how == "type":
        option, values = draw.choice(sorted(WRONG_TYPES.items()))
    elif how == "misspelt":
        option, values = draw.choice(MISSPELT), (2,)
    elif how == "old":
        option, values = draw.choice(sorted(MOVED)), (1, "gold")
    else:
        option, value = draw.choice(sorted(elsewhere(sections).items()))
        values = (value,)
    value = draw.choice(values)
    put(ruined, option, value)
    return ruined, decode, Spoiled("train", how, f"{option}: {value!r}")


def in_force(sections: Sections) -> dict[str, tuple[Any, ...]]:
    """Return wrong values of the options that a configuration's kinds have."""
    found = dict(OUT_OF_RANGE)
    for kind in chosen(sections):
        found |= OF_KINDS.get(kind, {})
    return found


def chosen(sections: Sections) -> list[str]:
    """Return the kinds that a configuration chooses."""
    return [kind for section in DEFAULTS for kind in sections.get(section, {})]


def elsewhere(sections: Sections) -> dict[str, Any]:
    """Return options that belong to kinds or sections which a configuration does not choose."""
    kinds = {option: value for option, (value, kind) in OF_OTHER_KINDS.items() if kind not in chosen(sections)}
    others = {
        option: value
        for option, value in OF_OTHER_SECTIONS.items()
        if (section := option.split(".")[0]) not in ("companions", "teaching") or section not in sections
    }
    return kinds | others


DEFAULTS = {"objective": "cross_entropy", "decoder_inputs": "teacher_forcing", "gradient": "backprop", "decoding": ""}
"""Kinds of sections that are left out."""


def put(sections: Any, option: str, value: Any) -> None:
    """Set an option by its dotted name."""
    *parents, name = option.split(".")
    for i, parent in enumerate(parents):
        word = next(iter(sections), DEFAULTS.get(parents[i - 1])) if parent == "*" else parent
        sections = sections.setdefault(word, {})
    sections[name] = value
