"""The Content-Security-Policy of the page: nothing but itself, its one script and its one style by their hashes.

`python -m tests.serving.page.policy` writes it into the page after a change; a test says when that was forgotten.
"""

import base64
import hashlib
import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[3] / "seq2seq" / "serving" / "page" / "index.html"


def policy(page: str) -> str:
    """Return the policy that lets a page's own inline script and style run, and no other.

    An engine that runs in the page is a script of the same folder, and WebAssembly. Texts cannot become HTML even by
    mistake: `require-trusted-types-for` forbids it wherever a browser knows it.
    """
    script, style = (_hash(page, tag) for tag in ("script", "style"))
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src 'self' 'wasm-unsafe-eval' {script}",
            f"style-src {style}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
        ]
    )


def with_policy(page: str) -> str:
    return re.sub(r'(?<=Security-Policy" content=")[^"]*', policy(page), page, count=1)


def _hash(page: str, tag: str) -> str:
    [content] = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


if __name__ == "__main__":
    PAGE.write_text(with_policy(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
