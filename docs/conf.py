"""How `make docs` makes a site of these pages: Sphinx, with Markdown by MyST and the theme furo (decision 42).

The pages are plain Markdown that reads well where it lies. What only the site has is put in here as a page is read:
the navigation, and below the marks of `generated.py` what follows from the code. Every warning is an error.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from generated import PARTS, mark  # noqa: E402
from navigation import RESULTS, SECTIONS, toctree  # noqa: E402

project = "seq2seq"
copyright = "the authors of seq2seq-toolkit; Apache-2.0"  # noqa: A001
language = "en"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_static"]

myst_heading_anchors = 4
default_role = "code"
"""Of docstrings, which write names as Markdown does."""
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!seq2seq\.\w+$).*")]
"""No reference to a public name may be dead; other libraries' names lead nowhere, since no network is asked."""

html_theme = "furo"
html_title = "seq2seq"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
html_favicon = "pictures/icon.svg"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b6b4f", "color-brand-content": "#0b6b4f"},
    "dark_css_variables": {"color-brand-primary": "#6fcfae", "color-brand-content": "#6fcfae"},
}


def decisions() -> str:
    """Return the list of decisions."""
    pages = sorted(page.stem for page in (HERE / "decisions").glob("0*.md"))
    return "```{toctree}\n:maxdepth: 1\n\n" + "\n".join(pages) + "\n```\n"


LISTS: dict[str, Callable[[], str]] = {
    "index": lambda: "\n\n".join(toctree(caption, pages) for caption, pages in SECTIONS.items()),
    "results": lambda: toctree("", RESULTS),
    "decisions/README": decisions,
}
"""By page, the list of others that it ends with."""


def complete(app: Any, name: str, content: list[str]) -> None:
    """Put into a page what only the site has."""
    if name in LISTS:
        content[0] += "\n\n" + LISTS[name]()
    for part, make in PARTS.items():
        if mark(part) in content[0]:
            content[0] = content[0].replace(mark(part), make())


def read_anew(app: Any, env: Any, added: set[str], changed: set[str], removed: set[str]) -> list[str]:
    """Return the pages of which a part follows from something else than their text: a site that is there has it old."""

    def has_part(name: str) -> bool:
        text = (HERE / f"{name}.md").read_text(encoding="utf-8")
        return any(mark(part) in text for part in PARTS)

    return [name for name in env.found_docs if name in LISTS or has_part(name)]


def setup(app: Any) -> None:
    app.connect("source-read", complete)
    app.connect("env-get-outdated", read_anew)
