"""A folder as npm leaves it, whose files are only there."""

import json
from pathlib import Path

from seq2seq.export.onnx_page import LICENCES, RUNTIME_FILES


def empty_packages(folder: Path) -> Path:
    """Make the folder and return it."""
    for name in RUNTIME_FILES.values():
        (folder / "node_modules" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "node_modules" / name).write_text(name)
    for name in LICENCES:
        (folder / "node_modules" / name / "package.json").write_text(json.dumps({"version": "1.2.3"}))
    return folder
