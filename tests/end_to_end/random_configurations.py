"""Random configurations, right and wrong ones, of tiny trainings of two steps and decodings of two lines.

`random_case(seed)` draws one, in the syntax of the configuration files. It may be spoiled on purpose by one option, and
then has to be refused. `random_running` runs them.
"""

import json
import random
from dataclasses import dataclass, replace
from typing import Any

from tests.end_to_end.random_spoiling import Spoiled, spoiled
from tests.extras import is_installed

Sections = dict[str, Any]
Values = dict[str, tuple[Any, ...]]

TOKEN_OBJECTIVES: dict[str, Values] = {
    "cross_entropy": {"label_smoothing": (0.0, 0.1)},
    "r_drop": {"consistency_weight": (0.0, 1.0, 5)},
    "unlikelihood": {"unlikelihood_weight": (0.0, 0.5)},
    "tailr": {"gamma": (0.0, 0.5, 1), "min_weight": (0.0, 0.3)},
    "mixce": {"eta": (0.0, 0.5)},
    "gold": {"reward": ("sump", "logp"), "horizon": (0, 2), "discount": (0.5, 1.0)},
    "raml": {"raml_temperature": (0.0, 0.5)},
    "experimental.bag_of_words": {"bag_of_words_weight": (0.0, 0.2)},
}
JUDGED: dict[str, Values] = {
    "minimum_risk": {"sharpness": (0.005, 1.0), "add_reference": (True, False)},
    "reinforce": {"baseline": ("leave_one_out", "greedy")},
    "ranking": {"margin": (0.0, 0.1), "length_exponent": (0.0, 1.0), "add_reference": (True, False)},
    "experimental.sequence_unlikelihood": {"repeat_ngram": (1, 4)},
}
CANDIDATES: dict[str, Values] = {
    "sampling": {"temperature": (0.5, 1), "top_k": (0, 3)},
    "beam": {},
    "diverse_beam": {"diversity_penalty": (0.0, 1.0)},
}
GOLD: Values = {
    "gold_by": ("step", "step_and_position"),
    "step_schedule": ("linear", "exponential", "inverse_sigmoid"),
    "decay_steps": (1.0, 100),
    "gold_floor": (0.0, 0.5),
}
INPUTS: dict[str, Values] = {
    "random_replacement": {"pool": ("target", "source", "both", "vocabulary"), "token_probability": (0.0, 0.5)},
    "scheduled_sampling": {"mixing": ("argmax", "sampled", "top_k", "soft")},
    "confidence_sampling": {"gold_confidence": (0.0, 0.5), "mixing": ("argmax", "soft")},
    "experimental.word_oracle": {"oracle_noise": (0.0, 0.5)},
}
RULES: dict[str, Values] = {
    "adversarial_training": {
        "perturbation_size": (0.0, 0.5),
        "norm_over": ("batch", "row"),
        "where": ("source", "both"),
    },
    "experimental.gradient_penalty": {"penalty_weight": (0.0, 1.0), "where": ("source", "target", "both")},
    "parameter_search": {"density": ("none", "unit"), "pooled": (True, False), "candidates_at_once": (1, 2)},
}
MODEL: Values = {
    "norm_position": ("pre", "post"),
    "norm": ("layer_norm", "rms_norm"),
    "positions": ("sinusoidal", "learned", "rotary"),
    "activation": ("relu", "gelu", "gelu_tanh"),
    "dropout": (0, 0.1, 0.5),
    "attention_dropout": (0.0, 0.1),
    "token_dropout": (0.0, 0.1),
    "tie_embeddings": ("all", "target", "none"),
    "encoder_layers": (1, 2),
    "key_size": (None, 4),
}
OPTIMIZER: Values = {
    "name": ("adamw", "muon", "adafactor"),
    "schedule": ("inverse_square_root", "cosine", "linear", "constant"),
    "warmup_steps": (0, 1, 2, 10),
    "clip_norm": (0, 1.0),
    "weight_decay": (0.0, 0.1),
    "ema_decay": (0.0, 0.5),
    "flooding": (0.0, 0.0, 0.5),
}
TRAINING: Values = {
    "activation_checkpointing": (False, False, True),
    "gradient_accumulation": (1, 1, 2),
    "log_every": (1, 50),
    "checkpoint_every": (0, 1, 2, 1000),
    "average_checkpoints": (0, 0, 0, 2),
    "keep_checkpoints": (1, 3),
    "seed": (1, 2),
}
SEARCHES = {"l2r": "beam", "r2l": "beam", "bidirectional": "synchronous", "interleaved": "interleaved"}
"""The search of a configuration, by the order of the model."""


@dataclass(frozen=True)
class Case:
    """A configuration to train with and options to decode with.

    Args:
        overrides: what of it stands on the command line instead, by dotted name.
        processes: more than one is launched, and takes seconds.
        spoiled: what was put in to be refused, by `train` or by `decode`.
    """

    seed: int
    sections: Sections
    decode: tuple[str, ...] = ()
    overrides: tuple[tuple[str, str], ...] = ()
    processes: int = 1
    spoiled: Spoiled | None = None

    def __str__(self) -> str:
        words = " ".join(f"--{name} {value}" for name, value in self.overrides)
        shown = f"decode {self.decode}: {json.dumps(self.sections)} {words}"
        return f"seed {self.seed}, spoiled: {self.spoiled}, processes: {self.processes}, {shown}"


# ---- drawing ---------------------------------------------------------------------------------------------------------


def random_case(seed: int) -> Case:
    """Return the case of a seed; two in five are spoiled, by one option each."""
    draw = random.Random(seed)
    sections = random_sections(draw)
    processes = draw.choices((1, 2, 3), (985, 10, 5))[0]
    spoils = processes == 1 and draw.random() < 0.4
    if spoils or draw.random() < 0.8:  # else it would be refused for something else
        make_fit(sections)
    case = Case(seed, sections, random_decoding(draw, sections), processes=processes)
    if spoils:
        ruined, decode, how = spoiled(draw, case.sections, case.decode)
        case = replace(case, sections=ruined, decode=decode, spoiled=how)
    kept, overrides = dict[str, Any](), list[tuple[str, str]]()
    for section, value in case.sections.items():
        kept[section] = moved(draw, value, section, overrides)
    return replace(case, sections=kept, overrides=tuple(overrides))


def moved(draw: random.Random, value: Any, name: str, overrides: list[tuple[str, str]]) -> Any:
    """Return a section without some of its values, which become options of the command line."""
    if not isinstance(value, dict):
        return value
    kept = {}
    for own, entry in value.items():
        if isinstance(entry, dict) or draw.random() > 0.15:
            kept[own] = moved(draw, entry, f"{name}.{own}", overrides)
        else:
            overrides.append((f"{name}.{own}", entry if isinstance(entry, str) else json.dumps(entry)))
    return kept


def some(draw: random.Random, options: dict[str, tuple[Any, ...]], share: float = 0.4) -> dict[str, Any]:
    """Return values of about this share of the options."""
    return {name: draw.choice(values) for name, values in options.items() if draw.random() < share}


def random_sections(draw: random.Random) -> Sections:
    """Return a configuration that is mostly right; what does not fit together in it should be refused."""
    order = draw.choice(("l2r", "l2r", "r2l", "bidirectional", "interleaved"))
    kind = draw.choice(("byte_bpe", "bpe", "unigram", "characters", "words"))
    if kind == "unigram" and not is_installed("sentencepiece"):
        kind = "bpe"  # drawn all the same, so that other draws stay as they are
    if kind == "unigram":  # by order instead of by another draw
        kind = {"r2l": "sentencepiece", "bidirectional": "sentencepiece_bpe"}.get(order, kind)
    has_bytes = kind in ("byte_bpe", "sentencepiece", "sentencepiece_bpe")
    tokenizer: dict[str, Any] = {"kind": kind, "vocab_size": 300 if has_bytes else 60}
    tokenizer |= some(
        draw,
        {
            "shared": (True, False),
            "lowercase": (True,),
            "normalization": ("nfc", "nfkc"),
            "split_digits": (False,),
            "min_relative_frequency": (0.1,),
        },
        0.3,
    )
    if kind not in ("characters", "words") and draw.random() < 0.5:
        tokenizer["sampling"] = 0.1
    if not tokenizer.get("shared", True) and draw.random() < 0.3:
        tokenizer["target_kind"] = draw.choice(("characters", "words"))
    sections: Sections = {
        "data": {"batch_tokens": 96},
        "tokenizer": tokenizer,
        "model": {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "num_heads": 2, "ffn_size": 16},
        "optimizer": {"learning_rate": 1e-3} | some(draw, OPTIMIZER),
        "training": {"max_steps": 2, "threads": 1} | some(draw, TRAINING),
        "validation": {"every": draw.choice((0, 1, 2))},
        "decoding": {SEARCHES[order]: {"beam_width": draw.choice((2, 2, 4)), "max_length": 8}},
    }
    sections["model"] |= some(draw, MODEL, 0.3) | {"generation_order": order}
    sections["training"]["precision"] = draw.choice(("fp32", "fp32", "bf16", "auto"))
    if order == "bidirectional" and draw.random() < 0.5:
        sections["model"]["interaction"] = draw.choice(("linear", "tanh", "relu", "gate"))
        sections["companions"] = {"model": "self", "first_steps": 2} | some(draw, {"scored": (True,)}, 0.3)
    if order == "l2r" and draw.random() < 0.2:
        sections["teaching"] = {"model": "self", "steps": 2} | some(draw, {"right_model": ("self",)}, 0.5)
    if draw.random() < 0.3:
        sections["validation"] |= {"metrics": ["chrf"], "select_by": draw.choice(("loss", "chrf")), "max_rows": 3}
    return sections | random_axes(draw, order)


def make_fit(sections: Sections) -> None:
    """Take back what is known not to go together; whatever else does not is found by the commands."""
    model, optimizer, training, tokenizer = (sections[name] for name in ("model", "optimizer", "training", "tokenizer"))
    if optimizer.get("schedule") in ("cosine", "linear"):
        optimizer["warmup_steps"] = 1
    if training.get("average_checkpoints"):
        training["checkpoint_every"] = 1
    if model.get("positions") == "learned" and model["generation_order"] == "interleaved":
        model["positions"] = "rotary"
    if not tokenizer.get("shared", True):
        model["tie_embeddings"] = "target"
    if "target_kind" in tokenizer:
        tokenizer["sampling"] = 0.0
    if tokenizer["kind"].startswith("sentencepiece"):
        tokenizer.pop("lowercase", None)
        if tokenizer.get("normalization") == "nfc":
            tokenizer["normalization"] = "nfkc"
    for inputs in sections.get("decoder_inputs", {}).values():
        if inputs.get("mixture", {}).get("mixing") in ("soft", "top_k") and model.get("tie_embeddings") == "none":
            model["tie_embeddings"] = "target"
        if inputs.get("pool") in ("source", "both") and not tokenizer.get("shared", True):
            inputs["pool"] = "target"
    if "parameter_search" in sections.get("gradient", {}):
        training["gradient_accumulation"], optimizer["flooding"] = 1, 0.0
        if sections["gradient"]["parameter_search"].get("candidates_at_once", 1) > 1:
            model["positions"] = "sinusoidal"


def random_axes(draw: random.Random, order: str) -> Sections:
    """Return decoder inputs, objective and gradient rule, most often one of them out of the ordinary."""
    sections: Sections = {}
    axis = draw.choice(("none", "inputs", "objective", "judged", "rule", "all"))
    if axis in ("inputs", "all"):
        kind = draw.choice(list(INPUTS))
        sections["decoder_inputs"] = {kind: random_inputs(draw, kind)}
    if axis in ("objective", "all"):
        kind = draw.choice(list(TOKEN_OBJECTIVES))
        sections["objective"] = {kind: some(draw, TOKEN_OBJECTIVES[kind], 0.6)}
    if axis == "judged" and (order in ("l2r", "r2l") or draw.random() < 0.1):
        kind = draw.choice(list(JUDGED))
        options = some(draw, JUDGED[kind] | {"mle_weight": (0.0, 0.1)}, 0.6)
        sections["objective"] = {kind: options | random_candidates(draw, kind)}
    if axis in ("rule", "all"):
        kind = draw.choice(list(RULES) if order == "l2r" or draw.random() < 0.1 else list(RULES)[:2])
        sections["gradient"] = {kind: some(draw, RULES[kind], 0.6)}
        if kind == "parameter_search":
            sections["gradient"][kind] |= {"cost": "chrf", "num_candidates": 2}
    return sections


def random_inputs(draw: random.Random, kind: str) -> dict[str, Any]:
    """Return options of decoder inputs; those of schedules and mixtures stand in sections of their own."""
    options = some(draw, INPUTS[kind], 0.6)
    if "mixing" in options:
        options["mixture"] = {"mixing": options.pop("mixing")}
    if kind in ("scheduled_sampling", "experimental.word_oracle"):
        gold = some(draw, GOLD, 0.5)
        if kind == "scheduled_sampling" and draw.random() < 0.2:
            gold = {"gold_by": "position", "position_schedule": draw.choice(("constant", "linear"))}
        elif draw.random() < 0.2:
            gold = {"step_schedule": "constant"}
        options["gold"] = gold
    return options


def random_candidates(draw: random.Random, kind: str) -> dict[str, Any]:
    """Return how an objective finds its candidates, and their cost."""
    limits = {"max_length": 8}
    if kind == "experimental.sequence_unlikelihood":
        return {"candidates": limits}
    cost = some(draw, {"cost": ("bleu", "chrf", "word_error_rate")}, 0.6)
    several = limits | {"num_candidates": 2}
    if kind == "reinforce":
        return cost | {"candidates": several | some(draw, CANDIDATES["sampling"])}
    search = draw.choice(list(CANDIDATES))
    return cost | {"candidates": {search: several | some(draw, CANDIDATES[search])}}


def random_decoding(draw: random.Random, sections: Sections) -> tuple[str, ...]:
    """Return options of `decode` that mostly fit the order of generation."""
    order = sections["model"]["generation_order"]
    width = draw.choice((1, 2, 3, 4, 5) if order in ("l2r", "r2l", "interleaved") else (2, 4, 6))
    beam = [f"--beam-width={width}", f"--n-best={draw.choice((1, 1, width))}"]
    one_sided = (
        beam,
        ["--method=greedy", "--n-best=1"][: draw.choice((1, 1, 1, 2))],
        ["--method=sampling", f"--n-best={width}", "--top-k=3", "--temperature=0.8"],
        ["--method=sampling", "--top-p=0.8"],
        ["--method=diverse_beam", *beam, f"--num-groups={width}"],
        ["--mbr=chrf", "--num-samples=3"],
        ["--mbr=bleu", "--num-samples=3", "--mbr-candidates=search", "--beam-width=2", "--mbr-pairwise"],
    )
    rescored = (["--rescore=both", *beam], ["--rescore=r2l", "--rescoring-weight=0.3", *beam])
    searches: dict[str, tuple[list[str], ...]] = {
        "l2r": (*one_sided, *one_sided, *rescored),
        "r2l": (*one_sided, *one_sided, ["--rescore=both"]),
        "bidirectional": (
            ["--bidirectional", *beam],
            *(["--generation-order=l2r", *options] for options in one_sided[:4]),
            *(["--generation-order=r2l", "--method=greedy"], ["--method=sampling"], one_sided[-2]),
            *(["--pairing=joint", *beam], ["--pairing=companion", *beam], *rescored),
        ),
        "interleaved": (beam, ["--method=greedy"], ["--generation-order=interleaved", *beam], ["--bidirectional"]),
    }
    options = [f"--format={draw.choice(('text', 'jsonl', 'moses'))}", *draw.choice((*searches[order], []))]
    further = ("--min-length=2", "--no-repeat-ngram=2", "--length-penalty=0", "--length-normalization=gnmt")
    further += ("--max-length-ratio=1", "--precision=bf16", "--batch-tokens=40", "--max-source-tokens=3")
    options += [option for option in further if draw.random() < 0.15]
    if "--method" not in " ".join(options) and draw.random() < 0.2:
        options.append("--early-stopping")
    return tuple(options)
