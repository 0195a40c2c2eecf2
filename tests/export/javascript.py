"""What the modules of the page's engine say without a browser, in Node, whose language is that of Chromium."""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from seq2seq.export.onnx_page import BROWSER

NODE = shutil.which("node")
RUN = """
import * as module from "./{module}";
import {{readFileSync}} from "node:fs";
const values = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(await ({script})(module, values)));
"""


def evaluated(module: str, script: str, values: Any) -> Any:
    """Return what a function of a module and of values in JSON returns; skip where there is no Node.

    Args:
        module: a file of the engine's that loads no runtime.
        script: the function, such as `(module, values) => values.map(module.name)`.
    """
    if NODE is None:
        pytest.skip("Node, which runs the engine's modules, is not installed")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in BROWSER.glob("*.js"):
            shutil.copyfile(file, folder / file.name)
        (folder / "package.json").write_text('{"type": "module"}')
        (folder / "run.js").write_text(RUN.format(module=module, script=script))
        given = json.dumps(values)
        ran = subprocess.run([NODE, "run.js"], cwd=folder, input=given, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)
