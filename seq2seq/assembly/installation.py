"""What is installed where a command runs: versions and devices, for reports of faults and of results."""

import importlib.metadata
import platform

from seq2seq import __version__

LIBRARIES = (
    "torch",
    "transformers",
    "tokenizers",
    "datasets",
    "accelerate",
    "sacrebleu",
    "rouge-score",
)
OPTIONAL = (
    "sentencepiece",
    "POT",
    "matplotlib",
    "tensorboard",
    "wandb",
    "trackio",
    "ctranslate2",
    "babel",
    "num2words",
)


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
        "seq2seq": __version__,
        "python": platform.python_version(),
        **{library: version(library) for library in LIBRARIES},
        "torch": torch.__version__,  # with its build, which the package's version may lack
        **{library: f"{version(library)} (optional)" for library in OPTIONAL},
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "GPUs": ", ".join(devices) or "none",
    }
