"""Sites without a server for tests in a real Chromium: a plain web server, and what pages load.

`SEQ2SEQ_WEB_RUNTIME` names the folder where `npm install onnxruntime-web @huggingface/tokenizers` was run.
"""

import functools
import http.server
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from seq2seq.export.onnx_page import packages_of

WEB_RUNTIME = os.environ.get("SEQ2SEQ_WEB_RUNTIME")
HTML = "<!doctype html><html><head><title>a model</title></head><body></body></html>"
LOADED = "async () => (await window.seq2seqEngine.describe()).models[0]"


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


class Site:
    """A folder behind a plain web server, as long as it is needed."""

    def __init__(self, folder: Path) -> None:
        handler = functools.partial(QuietHandler, directory=str(folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def packages() -> Path:
    if WEB_RUNTIME is None:
        pytest.skip("SEQ2SEQ_WEB_RUNTIME does not name a folder with onnxruntime-web and @huggingface/tokenizers")
    found = packages_of(Path(WEB_RUNTIME))
    assert found is not None
    return found
