"""Random configurations, right and wrong ones, of tiny trainings of two steps and decodings of two lines.

`random_case(seed)` draws one, in the syntax of the configuration files. It may be spoiled on purpose by one option, and
then has to be refused. `random_running` runs them.
"""

import json
import random
from dataclasses import dataclass, replace
from typing import Any

from tests.end_to_end.random_spoiling import Spoiled, spoiled

Sections = dict[str, dict[str, Any]]

TOKEN_OBJECTIVES: dict[str, dict[str, tuple[Any, ...]]] = {
    "cross_entropy": {"label_smoothing": (0.0, 0.1)},
    "r_drop": {"consistency_weight": (0.0, 1.0, 5)},
    "unlikelihood": {"unlikelihood_weight": (0.0, 0.5)},
    "token_reweighting": {"weighting": ("tailr", "mixce", "gold")},
    "raml": {"raml_temperature": (0.0, 0.5)},
    "bag_of_words": {"bag_of_words_weight": (0.0, 0.2)},
}
JUDGED: dict[str, dict[str, tuple[Any, ...]]] = {
    "minimum_risk": {"sharpness": (0.005, 1.0)},
    "reinforce": {"baseline": ("leave_one_out", "greedy")},
    "ranking": {"margin": (0.0, 0.1), "length_exponent": (0.0, 1.0)},
    "sequence_unlikelihood": {"repeat_ngram": (1, 4)},
}
INPUTS: dict[str, dict[str, tuple[Any, ...]]] = {
    "random_replacement": {"pool": ("target", "source", "both", "vocabulary"), "token_probability": (0.0, 0.5)},
    "scheduled_sampling": {
        "mixing": ("argmax", "sampled", "top_k", "soft"),
        "gold_by": ("step", "position", "step_and_position"),
        "step_schedule": ("constant", "linear", "exponential", "inverse_sigmoid"),
    },
    "confidence_sampling": {"gold_confidence": (0.0, 0.5), "mixing": ("argmax", "soft")},
    "word_oracle": {"oracle_noise": (0.0, 0.5), "decay_steps": (1.0, 100)},
}
RULES: dict[str, dict[str, tuple[Any, ...]]] = {
    "adversarial_training": {
        "perturbation_size": (0.0, 0.5),
        "norm_over": ("batch", "row"),
        "where": ("source", "both"),
    },
    "gradient_penalty": {"penalty_weight": (0.0, 1.0), "where": ("source", "target", "both")},
    "parameter_search": {},
}
MODEL: dict[str, tuple[Any, ...]] = {
    "norm_position": ("pre", "post"),
    "norm": ("layer_norm", "rms_norm"),
    "positions": ("sinusoidal", "learned", "rotary"),
    "activation": ("relu", "gelu", "gelu_tanh", "swiglu"),
    "dropout": (0, 0.1, 0.5),
    "attention_dropout": (0.0, 0.1),
    "token_dropout": (0.0, 0.1),
    "layer_dropout": (0.0, 0.2),
    "tie_embeddings": ("all", "target", "none"),
    "initialization": ("xavier", "orthogonal", "truncated_normal"),
    "talking_heads": (False, True),
    "encoder_attention": ("softmax", "linear"),
    "encoder_layers": (1, 2),
    "key_size": (None, 4),
}
OPTIMIZER: dict[str, tuple[Any, ...]] = {
    "name": ("adamw", "adafactor"),
    "schedule": ("inverse_square_root", "cosine", "linear", "constant"),
    "warmup_steps": (0, 1, 2, 10),
    "clip_norm": (0, 1.0),
    "clipping": ("hard", "soft"),
    "weight_decay": (0.0, 0.1),
    "ema_decay": (0.0, 0.5),
    "flooding": (0.0, 0.0, 0.5),
}
TRAINING: dict[str, tuple[Any, ...]] = {
    "gradient_accumulation": (1, 1, 2),
    "log_every": (1, 50),
    "checkpoint_every": (0, 1, 2, 1000),
    "average_checkpoints": (0, 0, 0, 2),
    "keep_checkpoints": (1, 3),
    "seed": (1, 2),
}


@dataclass(frozen=True)
class Case:
    """A configuration to train with and options to decode with.

    Args:
        processes: more than one is launched, and takes seconds.
        spoiled: what was put in to be refused, by `train` or by `decode`.
    """

    seed: int
    sections: Sections
    decode: tuple[str, ...] = ()
    processes: int = 1
    spoiled: Spoiled | None = None

    def __str__(self) -> str:
        shown = json.dumps(self.sections)
        return f"seed {self.seed}, spoiled: {self.spoiled}, processes: {self.processes}, decode {self.decode}: {shown}"


# ---- drawing ---------------------------------------------------------------------------------------------------------


def random_case(seed: int) -> Case:
    """Return the case of a seed; two in five are spoiled, by one option each."""
    draw = random.Random(seed)
    sections = random_sections(draw)
    processes = draw.choices((1, 2, 3), (985, 10, 5))[0]
    spoils = processes == 1 and draw.random() < 0.4
    if spoils or draw.random() < 0.8:  # else it would be refused for something else
        make_fit(sections)
    case = Case(seed, sections, random_decoding(draw, sections), processes)
    if spoils:
        ruined, decode, how = spoiled(draw, case.sections, case.decode)
        case = replace(case, sections=ruined, decode=decode, spoiled=how)
    return case


def some(draw: random.Random, options: dict[str, tuple[Any, ...]], share: float = 0.4) -> dict[str, Any]:
    """Return values of about this share of the options."""
    return {name: draw.choice(values) for name, values in options.items() if draw.random() < share}


def random_sections(draw: random.Random) -> Sections:
    """Return a configuration that is mostly right; what does not fit together in it should be refused."""
    order = draw.choice(("l2r", "l2r", "r2l", "bidirectional", "interleaved"))
    kind = draw.choice(("byte_bpe", "bpe", "unigram", "characters", "words"))
    tokenizer: dict[str, Any] = {"kind": kind, "vocab_size": 280 if kind == "byte_bpe" else 60}
    tokenizer |= some(draw, {"shared": (True, False), "lowercase": (True,), "normalization": ("nfc", "nfkc")}, 0.3)
    if kind in ("byte_bpe", "bpe", "unigram") and draw.random() < 0.5:
        tokenizer["sampling"] = 0.1
    if not tokenizer.get("shared", True) and draw.random() < 0.3:
        tokenizer["target_kind"] = draw.choice(("characters", "words"))
    sections: Sections = {
        "data": {"batch_tokens": 96},
        "tokenizer": tokenizer,
        "model": {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "num_heads": 2, "ffn_size": 16},
        "optimizer": {"learning_rate": 1e-3} | some(draw, OPTIMIZER),
        "training": {"max_steps": 2, "threads": 1, "tensorboard": False} | some(draw, TRAINING),
        "validation": {"every": draw.choice((0, 1, 2))},
        "decoding": {"beam_width": draw.choice((1, 2, 4)), "max_length": 8},
    }
    sections["model"] |= some(draw, MODEL, 0.3) | {"generation_order": order}
    sections["training"]["precision"] = draw.choice(("fp32", "fp32", "bf16", "auto"))
    if order == "bidirectional" and draw.random() < 0.5:
        sections["model"]["interaction"] = draw.choice(("linear", "tanh", "relu", "gate"))
        sections["companions"] = {"model": "self", "first_steps": 2} | some(draw, {"scored": (True,)}, 0.3)
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
    if model.get("encoder_attention") == "linear":
        model |= {"positions": "sinusoidal", "talking_heads": False}
    if model.get("positions") == "learned" and model["generation_order"] == "interleaved":
        model["positions"] = "rotary"
    if not tokenizer.get("shared", True):
        model["tie_embeddings"] = "target"
    if "target_kind" in tokenizer:
        tokenizer["sampling"] = 0.0
    inputs = sections.get("decoder_inputs", {})
    if inputs.get("mixing") in ("soft", "top_k") and model.get("tie_embeddings") == "none":
        model["tie_embeddings"] = "target"
    if inputs.get("pool") in ("source", "both") and not tokenizer.get("shared", True):
        inputs["pool"] = "target"
    if "parameter_search" in sections:
        training["gradient_accumulation"], optimizer["flooding"] = 1, 0.0
        if sections["parameter_search"].get("candidates_at_once", 1) > 1:
            model |= {"positions": "sinusoidal", "talking_heads": False}


def random_axes(draw: random.Random, order: str) -> Sections:
    """Return decoder inputs, objective and gradient rule, most often one of them out of the ordinary."""
    sections: Sections = {}
    axis = draw.choice(("none", "inputs", "objective", "judged", "rule", "all"))
    if axis in ("inputs", "all"):
        kind = draw.choice(list(INPUTS))
        sections["decoder_inputs"] = {"kind": kind} | some(draw, INPUTS[kind], 0.6)
    if axis in ("objective", "all"):
        kind = draw.choice(list(TOKEN_OBJECTIVES))
        sections["objective"] = {"kind": kind} | some(draw, TOKEN_OBJECTIVES[kind], 0.6)
    if axis == "judged" and (order in ("l2r", "r2l") or draw.random() < 0.1):
        kind = draw.choice(list(JUDGED))
        sections["objective"] = {"kind": kind} | some(draw, JUDGED[kind], 0.6)
        judging = {
            "cost": ("bleu", "chrf", "word_error_rate"),
            "mle_weight": (0.0, 0.1),
            "add_reference": (True, False),
        }
        sections["candidates"] = {"num_candidates": 2, "max_length": 8} | some(draw, judging)
    if axis in ("rule", "all"):
        kind = draw.choice(list(RULES) if order == "l2r" or draw.random() < 0.1 else list(RULES)[:2])
        sections["gradient"] = {"kind": kind} | some(draw, RULES[kind], 0.6)
        if kind == "parameter_search":
            searching = {"density": ("none", "unit"), "pooled": (True, False), "candidates_at_once": (1, 2)}
            sections["parameter_search"] = {"cost": "chrf", "num_candidates": 2} | some(draw, searching)
    return sections


def random_decoding(draw: random.Random, sections: Sections) -> tuple[str, ...]:
    """Return options of `decode` that mostly fit the order of generation."""
    order = sections["model"]["generation_order"]
    options = [f"--format={draw.choice(('text', 'jsonl', 'moses'))}"]
    width = draw.choice((1, 2, 3, 4, 5))
    options += [f"--beam-width={width}", f"--n-best={draw.choice((1, 1, width))}"]
    searches = {
        "l2r": (["--method=greedy"], ["--method=sampling", "--top-k=3"], ["--mbr=chrf", "--num-samples=3"]),
        "r2l": (["--method=greedy"], ["--method=sampling", "--top-p=0.8"], ["--rescore=both"]),
        "bidirectional": (
            ["--bidirectional"],
            ["--generation-order=l2r"],
            ["--generation-order=r2l", "--method=greedy"],
            *(["--pairing=joint"], ["--pairing=companion"], ["--rescore=both"], ["--rescore=r2l"]),
        ),
        "interleaved": (["--method=greedy"], ["--generation-order=interleaved"], ["--bidirectional"]),
    }
    diverse = ["--method=diverse_beam", f"--num-groups={width}"]
    fits_diverse = order in ("l2r", "r2l") or draw.random() < 0.1
    options += draw.choice((*searches[order], [], *([diverse] if fits_diverse else [])))
    further = ("--min-length=2", "--no-repeat-ngram=2", "--length-penalty=0", "--length-normalization=gnmt")
    further += ("--coverage-penalty=0.2", "--max-length-ratio=1", "--early-stopping", "--precision=bf16")
    options += [option for option in further if draw.random() < 0.15]
    return tuple(dict.fromkeys(options))
