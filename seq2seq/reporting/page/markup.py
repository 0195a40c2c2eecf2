"""HTML that cannot be broken by a text: elements are made of names and texts, and only here is a text made markup.

A text that is put into an element is escaped; markup is what `element` has returned.
"""

import html
from collections.abc import Iterable
from typing import TypeAlias

VOID = {"meta", "br", "hr", "col"}


class Markup(str):
    """HTML that is whole and safe, made by `element`."""

    __slots__ = ()


Child: TypeAlias = "str | Markup | None | Iterable[Child]"


def element(tag: str, *children: Child, **attributes: str | int | float | None) -> Markup:
    """Return an element.

    Args:
        children: texts, elements, or lists of some; None is nothing.
        attributes: by name, `class_` for `class` and `aria_label` for `aria-label`; None is not there.
    """
    said = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in VOID:
        return Markup(f"<{tag}{said}>")
    return Markup(f"<{tag}{said}>{together(*children)}</{tag}>")


def together(*children: Child) -> Markup:
    """Return elements and texts one after another."""
    found = []
    for child in children:
        if isinstance(child, Markup):
            found.append(str(child))
        elif isinstance(child, str):
            found.append(html.escape(child))
        elif child is not None:
            found.append(str(together(*child)))
    return Markup("".join(found))


def table(head: list[Child], rows: Iterable[list[Child]], caption: str, class_: str = "") -> Markup:
    """Return a table that scrolls by itself where a screen is too narrow; the first cell of a row is its heading."""
    heading = element("tr", [element("th", cell, scope="col") for cell in head])
    body = [
        element("tr", element("th", first, scope="row"), [element("td", cell) for cell in rest])
        for first, *rest in rows
    ]
    inner = element("table", element("caption", caption), element("thead", heading), element("tbody", body))
    return element("div", inner, class_=f"scroll {class_}".strip(), role="region", aria_label=caption, tabindex=0)
