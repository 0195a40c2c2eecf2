"""Describe a run or an exported model; without one, describe this installation.

    seq2seq info runs/x
    seq2seq info --json

Of an installation it tells versions and devices, which a report of a fault needs.
"""

import argparse
import json
import math
from pathlib import Path

from seq2seq.assembly.installation import describe_installation
from seq2seq.files import read_object


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="?", help="a run directory or an exported model")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    facts = describe_model(Path(arguments.model)) if arguments.model else describe_installation()
    if arguments.json:
        print(json.dumps(facts, ensure_ascii=False))
    else:
        width = max(map(len, facts))
        print("\n".join(f"{name:{width}}  {value}" for name, value in facts.items()))
    return 0


def describe_model(path: Path) -> dict[str, str | int | float]:
    """Return what a run directory or model folder holds: the model, its vocabulary, how and how long it was trained.

    Raises:
        ValueError: there is no model.
    """
    from seq2seq.assembly.model_folder import find_model, read_model

    return {"model": str(find_model(path))} | read_model(path, model_facts) | training_facts(path)


def model_facts(folder: Path) -> dict[str, str | int | float]:
    """Return what a model folder says of its model, and of the search that it is decoded with."""
    from seq2seq.assembly.decoding_defaults import DecodingDefaults, read_decoding
    from seq2seq.assembly.search import default_search
    from seq2seq.config.writing import dotted, plain
    from seq2seq.models.foreign_sizes import saved_shapes

    config = read_object(folder / "config.json")
    facts: dict[str, str | int | float] = {"type": str(config.get("model_type"))}
    facts["parameters"] = sum(math.prod(shape) for shape in saved_shapes(folder).values())
    shown = ("d_model", "encoder_layers", "decoder_layers", "num_heads", "ffn_size", "source_vocab_size", "vocab_size")
    facts |= {name: config[name] for name in shown if config.get(name) is not None}
    order = str(config.get("generation_order", "l2r"))
    search = read_decoding(folder, order).search or default_search(order)
    found = dotted(plain(DecodingDefaults(search))["search"])
    return facts | {f"decoding.{name}": value for name, value in found.items() if value}


def training_facts(path: Path) -> dict[str, str | int | float]:
    """Return the last training and validation lines of a run's log; nothing where there is no log."""
    from seq2seq.training.tracking import LOG_NAME, read_log

    last = {entry["kind"]: entry for entry in read_log(path / LOG_NAME)}
    return {
        f"{kind}.{name}": value
        for kind in ("data", "train", "validation")
        for name, value in last.get(kind, {}).items()
        if name != "kind"
    }
