"""Models on the Hugging Face Hub: fetched by name into its cache, and uploaded when that is asked for."""

import re
from pathlib import Path

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
FETCHED = ["*.json", "*.safetensors", "*.model", "*.spm", "*.txt", "README.md"]
"""Safetensors, JSON and text, and the models of SentencePiece: nothing else is read."""


def is_hub_name(path: str | Path) -> bool:
    """Return whether something that is nowhere on this machine may be the name of a model on the Hub."""
    name = str(path)
    return bool(HUB_NAME.fullmatch(name)) and not Path(name).exists() and not Path(name.partition("/")[0]).exists()


def fetched(name: str) -> Path:
    """Return the folder that a model of the Hub is in, downloaded unless it is there.

    Raises:
        ValueError: there is no such model, or no way to it.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=FETCHED))
    except Exception as error:  # network, permissions, names: many types, none of them ours
        reason = " ".join(str(error).split()).partition(". ")[0]
        raise ValueError(
            f"{name}: there is no such folder, and the Hub gave no model of this name: {reason.rstrip('.')}."
        ) from None


def uploaded(folder: Path, name: str, *, is_private: bool = True) -> str:
    """Upload a model folder under a name; return its address.

    Raises:
        ValueError: the Hub does not take it.
    """
    from huggingface_hub import HfApi

    hub = HfApi()
    try:
        address = hub.create_repo(name, exist_ok=True, private=is_private)
        hub.upload_folder(folder_path=folder, repo_id=name, commit_message="Model and tokenizer")
    except Exception as error:  # as above
        raise ValueError(f"{name}: the Hub did not take {folder}: {' '.join(str(error).split())}") from None
    return str(address)
