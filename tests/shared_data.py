"""Real data beside the checkout, read by tests where it is present."""

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("SEQ2SEQ_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def shared_data(name: str) -> Path:
    """Return the path of a shared file or folder; skip the test where it is absent."""
    path = ROOT / name
    if not path.exists():
        pytest.skip(f"shared data {name} is absent; set SEQ2SEQ_SHARED_DATA to the folder that holds it")
    return path
