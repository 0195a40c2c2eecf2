"""What is served: engines by name, in this process only to tokenise and to check what is asked of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property, lru_cache
from typing import Any

from seq2seq.assembly.explaining import explains
from seq2seq.data.cutting import smallest
from seq2seq.generation.engine import TextEngine


@dataclass(frozen=True)
class ServedModel:
    """A model with its name; implements `requests.Served`.

    Attributes:
        of: its engine in this process, which tokenises and checks, and never searches.
        languages: codes of source and target as the name says them, for a model that is not told any.
    """

    name: str
    of: TextEngine
    languages: tuple[str, str] | None = None

    @property
    def engine(self) -> str:
        return self.of.kind

    @property
    def source_languages(self) -> tuple[str, ...]:
        return self._languages(0)

    @property
    def target_languages(self) -> tuple[str, ...]:
        return self._languages(1)

    def _languages(self, side: int) -> tuple[str, ...]:
        told = self.of.tokenizer.languages
        if told.ids and not (side == 0 and told.of_target_only):
            return tuple(told.ids)
        return () if self.languages is None else (self.languages[side],)

    @property
    def is_told(self) -> tuple[bool, bool]:
        """Whether its engine is told the language of sources, and of targets."""
        told = self.of.tokenizer.languages
        return bool(told.ids) and not told.of_target_only, bool(told.ids)

    @property
    def is_translator(self) -> bool:
        """Whether its outputs say what their sources say, in another language."""
        return bool(self.source_languages and self.target_languages)

    @property
    def generation_order(self) -> str:
        return self.of.generation_order

    @cached_property
    def max_source_tokens(self) -> int | None:
        return smallest((self.of.max_source_tokens, self.of.searcher().max_source_tokens))

    @cached_property
    def search(self) -> Mapping[str, Any]:
        """Return the options of its search by default that are numbers or words."""
        found: dict[str, Any] = {}
        inner: Any = self.of.searcher().search
        while is_dataclass(inner):
            values = {option.name: getattr(inner, option.name) for option in fields(inner)}
            found |= {n: v for n, v in values.items() if isinstance(v, int | float | str) and n not in found}
            inner = next((value for value in values.values() if is_dataclass(value)), None)
        return found

    @property
    def explains(self) -> bool:
        return explains(self.of)


@dataclass
class Spoken:
    """An engine in some languages, and its searches by option, for checks."""

    engine: TextEngine
    searcher: Callable[[tuple[tuple[str, Any], ...]], Any] = field(init=False)

    def __post_init__(self) -> None:
        self.searcher = lru_cache(maxsize=64)(lambda options: self.engine.searcher(token_scores=True, **dict(options)))
