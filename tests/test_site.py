"""The site that `make docs` makes: it looks right in a browser, wide and narrow, light and dark."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import browser, violations

__all__ = ["browser"]

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("index", "tasks/translation", "concepts", "commands", "results")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    pytest.importorskip("furo", reason="the extra `docs` makes the site")
    folder = tmp_path_factory.mktemp("site")
    options = ["--builder", "html", "--fail-on-warning", "--quiet", "--doctree-dir", str(folder / "doctrees")]
    subprocess.run([sys.executable, "-m", "sphinx", *options, str(ROOT / "docs"), str(folder / "html")], check=True)
    yield folder / "html"
    shutil.rmtree(folder)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_pages_in_a_browser(browser: Any, site: Path, name: str, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto((site / f"{name}.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth)")
    assert violations(page) == []
    page.close()


def test_what_follows_from_the_code_is_there(site: Path) -> None:
    assert "--beam-width" in (site / "commands.html").read_text(encoding="utf-8")
    assert 'id="seq2seq.load"' in (site / "python.html").read_text(encoding="utf-8")
    assert "<!-- site:" not in "".join(page.read_text(encoding="utf-8") for page in site.rglob("*.html"))
