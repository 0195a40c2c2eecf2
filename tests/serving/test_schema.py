"""A fuzzer of descriptions over the whole interface: what it says is answered, and what is answered is what it says.

schemathesis is a command of its own, since pytest would load it in every session. Longer, by hand: a server by
`python -m tests.serving.fake_service 8123`, then `schemathesis --config-file tests/serving/schemathesis.toml run
http://127.0.0.1:8123/openapi.json --max-examples 300`.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("uvicorn")

from tests.serving.served import served  # noqa: E402

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
COMMAND = shutil.which("schemathesis")


@pytest.mark.slow
@pytest.mark.skipif(COMMAND is None, reason="there is no command `schemathesis` on the path")
def test_the_description_holds(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with served() as server:
        words = [str(COMMAND), "--config-file", str(CONFIGURATION), "run", server.url + "/openapi.json"]
        words += ["--max-examples", "10", "--seed", "1", "--no-color", "--phases", "examples,coverage,fuzzing"]
        run = subprocess.run(words, capture_output=True, text=True, timeout=600, cwd=tmp_path, env=environment)
        _, said = server.end()
    assert run.returncode == 0, run.stdout[-5000:]
    assert "Traceback" not in said
