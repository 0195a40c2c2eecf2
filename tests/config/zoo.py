"""Components of every kind that options have, for the tests of `config`."""

from dataclasses import dataclass, field
from typing import Any, Literal

from seq2seq.config.declaring import choice, part, refuse_unused


@dataclass(frozen=True, kw_only=True)
class Animal:
    """Whatever lives here."""

    age: int = 3
    """Years."""


@dataclass(frozen=True)
class Cat(Animal):
    """A cat.

    Args:
        lives: how many are left.
    """

    lives: int = 9
    owner: Any = part(None)

    def __post_init__(self) -> None:
        if self.lives < 1:
            raise ValueError(f"`lives` must be at least 1, but is {self.lives}.")


@dataclass(frozen=True)
class Fish(Animal):
    """A fish."""

    water: Literal["salt", "fresh"] = "fresh"
    """Where it swims."""
    depth: float = 1.5
    """Metres, of salt water alone."""

    def __post_init__(self) -> None:
        refuse_unused(self, ("depth",), "water: salt", applies=self.water == "salt")


ANIMALS: dict[str, type[Animal]] = {"cat": Cat, "fish": Fish}


@dataclass(frozen=True)
class Box:
    """Where one lives."""

    size: tuple[float, float] = (0.5, 2.0)
    """Metres."""
    names: tuple[str, ...] = ()
    """What is written on it."""
    lid: bool = False
    """Whether it can be closed."""
    label: str | None = None
    """What is glued to it."""


@dataclass(frozen=True)
class Crate(Box):
    """A box among others."""

    weight: float = 1.0
    """Kilograms."""

    def __post_init__(self) -> None:
        if self.weight <= 0:
            raise ValueError(f"`weight` must be above 0, but is {self.weight}.")


@dataclass(frozen=True)
class Zoo:
    """Everything."""

    name: str
    """What it is called."""
    box: Box = field(default_factory=Box)
    """Where one lives."""
    animal: Any = choice(ANIMALS, "cat")
    """Who lives there."""
    guest: Any = choice(ANIMALS, None)
    """Who is there today."""
    spare: Box = field(default_factory=lambda: Box(lid=True))
    """Another box, with a lid unless it is said to have none."""
    store: Box | tuple[Crate, ...] = field(default_factory=Box)
    """A box, or several crates."""
    crates: tuple[Crate, ...] = ()
    """Further crates."""
