"""By which options a model's search returns several outputs, for clients that say how many and nothing of a search."""

from collections.abc import Mapping
from typing import Any


def draws_only(search: Mapping[str, Any]) -> bool:
    """Return whether a search draws its outputs and ranks nothing; `search` is what `Served.search` says."""
    return "temperature" in search and not {"beam_width", "metric"} & search.keys()


def options_for_outputs(number: int, search: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flat options by which a search finds so many outputs; `search` is what `Served.search` says.

    A beam that is too narrow is made as wide as that, greedy search becomes such a beam, and what samples only draws.
    """
    if number == 1:
        return {}
    options: dict[str, Any] = {"n_best": number}
    width = search.get("beam_width", None if "n_best" in search else 1)
    if width is not None and width < number:
        options |= {"method": "beam", "beam_width": number}
    return options
