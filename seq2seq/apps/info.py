"""Describe a run or an exported model; without one, describe this installation (versions, devices)."""

import argparse
import importlib.metadata
import json
import platform
from pathlib import Path

LIBRARIES = ("torch", "transformers", "tokenizers", "datasets", "accelerate", "sacrebleu", "jsonargparse", "rouge-score")
OPTIONAL = ("sentencepiece", "POT", "matplotlib", "tensorboard", "babel", "num2words")


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


def describe_installation() -> dict[str, str | int]:
    """Return versions and devices: what a bug report needs."""
    import torch

    def version(library: str) -> str:
        try:
            return importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            return "not installed"

    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "seq2seq": version("seq2seq"),
        "python": platform.python_version(),
        **{library: version(library) for library in LIBRARIES},
        **{library: f"{version(library)} (optional)" for library in OPTIONAL},
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "GPUs": ", ".join(devices) or "none",
    }
