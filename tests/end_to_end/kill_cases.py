"""Trainings and decodings to be killed: every order of generation, objective and gradient rule in turn, and at random
what a run keeps besides its weights.

`kill_case(seed)` is a configuration in the syntax of the configuration files, and the decodings that follow it.
"""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.end_to_end.random_configurations import (
    INPUTS,
    JUDGED,
    RULES,
    SEARCHES,
    TOKEN_OBJECTIVES,
    Sections,
    make_fit,
    random_candidates,
    random_inputs,
    some,
)

ORDERS = ("l2r", "interleaved", "r2l", "bidirectional")
TURNS = [
    *(("objective", kind) for kind in TOKEN_OBJECTIVES),
    *(("decoder_inputs", kind) for kind in INPUTS),
    *(("gradient", kind) for kind in RULES),
    *(("judged", kind) for kind in JUDGED),
    ("companions", "self"),
    ("teaching", "self"),
]
NUM_TRAINING, NUM_VALIDATION, NUM_TEST = 24, 6, 40
LETTERS = "abcdefgh"


@dataclass(frozen=True)
class KillCase:
    """What is run, and on how many processes.

    Args:
        decode: options of each decoding.
    """

    seed: int
    sections: Sections
    num_processes: int
    decode: tuple[tuple[str, ...], ...]


def kill_case(seed: int) -> KillCase:
    """Return the case of a seed; as many in a row as there are `TURNS` have each of them."""
    draw = random.Random(seed)
    axis, kind = TURNS[seed % len(TURNS)]
    one_sided = axis == "judged" or kind == "parameter_search"
    order = "bidirectional" if axis == "companions" else ORDERS[seed % 2 * 2 if one_sided else (seed // 3) % 4]
    if kind == "parameter_search" or axis == "teaching":
        order = "l2r"
    tokenizer = draw.choice(("bpe", "byte_bpe", "characters", "unigram"))
    if tokenizer == "unigram":
        tokenizer = ("unigram", "sentencepiece", "sentencepiece_bpe")[seed % 3]
    sections: Sections = {
        "data": {"batch_tokens": 96},
        "tokenizer": {"kind": tokenizer, "vocab_size": 40 if tokenizer in ("bpe", "characters", "unigram") else 300},
        "model": {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "num_heads": 2, "ffn_size": 16},
        "optimizer": {"learning_rate": 3e-3, "ema_decay": draw.choice((0.0, 0.9)), "warmup_steps": 2},
        "training": {"max_steps": draw.choice((9, 12)), "log_every": draw.choice((1, 2, 4))},
        "validation": {"every": draw.choice((2, 3)), "metrics": ["chrf"], "select_by": draw.choice(("loss", "chrf"))},
        "decoding": {SEARCHES[order]: {"beam_width": draw.choice((2, 4)), "max_length": 8}},
    }
    if tokenizer != "characters" and draw.random() < 0.7:
        sections["tokenizer"]["sampling"] = 0.2
    sections["model"] |= {"generation_order": order, "dropout": 0.1, "token_dropout": draw.choice((0.0, 0.1))}
    sections["training"] |= {
        "threads": 1,
        "checkpoint_every": draw.choice((2, 3, 5)),
        "keep_checkpoints": draw.choice((1, 3)),
        "average_checkpoints": draw.choice((0, 0, 2, 3)),
        "gradient_accumulation": draw.choice((1, 2)),
        "precision": draw.choice(("fp32", "fp32", "bf16")),
    }
    sections["validation"] |= some(draw, {"patience": (2, 3), "max_rows": (4,)}, 0.4)
    _take_turn(draw, sections, axis, kind)
    average = sections["training"]["average_checkpoints"]
    make_fit(sections)
    sections["training"]["checkpoint_every"] = min(sections["training"]["checkpoint_every"], 3 if average else 5)
    return KillCase(seed, sections, draw.choices((1, 2), (5, 1))[0], tuple(_decodings(draw, order)))


def _take_turn(draw: random.Random, sections: Sections, axis: str, kind: str) -> None:
    """Put in the options of the way of training whose turn it is."""
    if axis == "objective":
        sections["objective"] = {kind: some(draw, TOKEN_OBJECTIVES[kind], 0.6)}
    elif axis == "decoder_inputs":
        sections["decoder_inputs"] = {kind: random_inputs(draw, kind)}
    elif axis == "gradient":
        sections["gradient"] = {kind: some(draw, RULES[kind], 0.6)}
        if kind == "parameter_search":
            sections["gradient"][kind] |= {"cost": "chrf", "num_candidates": 2}
    elif axis == "judged":
        sections["objective"] = {kind: some(draw, JUDGED[kind], 0.6) | random_candidates(draw, kind)}
    elif axis == "teaching":
        sections["teaching"] = {"model": "self", "steps": 4} | some(draw, {"right_model": ("self",)}, 0.7)
    else:
        sections["model"]["interaction"] = draw.choice(("linear", "tanh", "relu", "gate"))
        sections["companions"] = {"model": "self", "first_steps": 4}
        sections["companions"] |= some(draw, {"refreshes": (1,), "folds": (2,)}, 0.5)


def _decodings(draw: random.Random, order: str) -> list[tuple[str, ...]]:
    """Return options of `decode` that fit the order of generation."""
    beam = ("--beam-width=4", "--n-best=2", "--format=jsonl")
    choices: dict[str, list[tuple[str, ...]]] = {
        "l2r": [
            beam,
            ("--method=sampling", "--n-best=3", "--format=moses"),
            ("--mbr=chrf", "--num-samples=3", "--max-length=9"),
            (),
        ],
        "r2l": [beam, ("--method=greedy",), ("--method=sampling", "--n-best=3", "--format=jsonl")],
        "bidirectional": [("--bidirectional", *beam), ("--pairing=joint", *beam), ("--generation-order=r2l", *beam)],
        "interleaved": [beam, ("--method=greedy",)],
    }
    return draw.sample(choices[order], 2)


def write_kill_case(case: KillCase, folder: Path) -> list[str]:
    """Write corpora and configuration into a folder, for a run in `folder`/run; return the arguments of `train`."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(1)
    total = NUM_TRAINING + NUM_VALIDATION + NUM_TEST
    texts = [" ".join("".join(draw.choices(LETTERS, k=3)) for _ in range(draw.randint(1, 3))) for _ in range(total)]
    parts = {"train": texts[:NUM_TRAINING], "validation": texts[NUM_TRAINING:-NUM_TEST]}
    for part, lines in parts.items():
        (folder / f"{part}.tsv").write_text("".join(f"{line}\t{line[::-1]}\n" for line in lines))
    (folder / "test.txt").write_text("".join(f"{line}\n" for line in texts[-NUM_TEST:]))
    data: dict[str, Any] = case.sections["data"] | {part: {"path": str(folder / f"{part}.tsv")} for part in parts}
    sections = {"run_directory": str(folder / "run"), **case.sections, "data": data}
    (folder / "run.yaml").write_text(yaml.safe_dump(sections, sort_keys=False))
    return ["train", str(folder / "run.yaml")]
