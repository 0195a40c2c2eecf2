"""Which options suit which pairs: a table, `recipes.json`, of what was measured, and how it is read.

Features enter; the kind of task, the options of a configuration and the rows that they come from leave. A row counts
where all its bounds hold; of several that say the same option the last counts. A row without evidence says so.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("recipes.json")
Bounds = Mapping[str, Sequence[float | None]]
UNMEASURED = "not measured, a rule of thumb"


@dataclass(frozen=True)
class Kind:
    """A kind of task.

    Args:
        when: the least and the most of each feature; None is no bound.
    """

    kind: str
    called: str
    when: Bounds


@dataclass(frozen=True)
class Recipe:
    """One fact: what to set for which pairs, and how it is known.

    Args:
        what: its options in words.
        kinds: the kinds of tasks it is for; none is all.
        evidence: what was measured, "" where nothing was.
        record: where that stands.
    """

    what: str
    when: Bounds
    options: Mapping[str, Any]
    evidence: str
    record: str
    kinds: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        return f"{self.what} ({self.evidence or UNMEASURED})"


@cache
def recipe_table() -> tuple[tuple[Kind, ...], tuple[Recipe, ...], tuple[Recipe, ...]]:
    """Return the kinds, in the order in which they are tried; the recipes; and those for pretrained models."""
    read = json.loads(TABLE.read_text(encoding="utf-8"))
    kinds = tuple(Kind(**row) for row in read["kinds"])
    of_names = [
        tuple(Recipe(**row | {"kinds": tuple(row.get("kinds", ()))}) for row in read[name])
        for name in ("recipes", "from_pretrained")
    ]
    return kinds, of_names[0], of_names[1]


def holds(when: Bounds, numbers: Mapping[str, float]) -> bool:
    """Return whether all numbers are there and within their bounds."""
    return all(
        name in numbers and (low is None or numbers[name] >= low) and (high is None or numbers[name] <= high)
        for name, (low, high) in when.items()
    )


def task_kind(numbers: Mapping[str, float]) -> Kind:
    """Return the first kind of task whose bounds hold; the last has none."""
    return next(kind for kind in recipe_table()[0] if holds(kind.when, numbers))


def recipes_for(kind: Kind, numbers: Mapping[str, float], *, is_pretrained: bool = False) -> tuple[Recipe, ...]:
    """Return the recipes that count, in the order in which they do.

    Args:
        numbers: features; where no time is given `without_minutes`, which is 1; and, where one is and once they are
            known, the `steps` and the `passes` over the pairs that there is time for by the batches of the recipe, and
            `spare`, what is left of it after its steps, in parts of their time.
        is_pretrained: whether the weights are those of a trained model.
    """
    _, recipes, from_pretrained = recipe_table()
    found = [row for row in recipes if (not row.kinds or kind.kind in row.kinds) and holds(row.when, numbers)]
    if not is_pretrained:
        return tuple(found)
    judged = {name: value for name, value in recipe_options(found).items() if name.startswith("validation.")}
    rows = [row for row in from_pretrained if holds(row.when, numbers)]
    return *rows, Recipe("judged as other models of this task", {}, judged, "what the task is about", "docs/fit.md")


def for_optimizer(recipes: Sequence[Recipe], name: str | None) -> tuple[Recipe, ...]:
    """Return the recipes without those for another optimizer than a user wants: their rates are not for it.

    Args:
        name: None where a user has not said any.
    """
    return tuple(row for row in recipes if name in (None, row.options.get("optimizer.name", name)))


def in_effect(recipes: Sequence[Recipe]) -> list[Recipe]:
    """Return the recipes without those of which others have set everything anew, but for how a model is judged."""
    last = {name: number for number, recipe in enumerate(recipes) for name in recipe.options}
    return [
        recipe
        for number, recipe in enumerate(recipes)
        if any(last[name] == number for name in recipe.options if not name.startswith("validation."))
    ]


def recipe_options(recipes: Sequence[Recipe]) -> dict[str, Any]:
    """Return all that recipes set, by dotted names."""
    options: dict[str, Any] = {}
    for recipe in recipes:
        options |= recipe.options
    return options
