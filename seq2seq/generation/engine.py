"""An engine: texts in, scored hypotheses out, whatever searches behind it.

`TextGenerator` (`assembly/generator.py`) is that of this toolkit's own searches, `CTranslate2Engine` that of an export.
Whoever has one, be it the command line, the server or a benchmark, needs to know no more of it than what stands here.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self, overload

from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.generation.batches import Searcher
from seq2seq.generation.corpus import POOL_LINES, decode_lines
from seq2seq.generation.output import NBest, TextHypothesis
from seq2seq.own_pieces import said_by_user

DECODING_FILE = "decoding.json"
"""In a model folder or an export: what it says of decoding with its model."""


class TextEngine(ABC):
    """Generates text from text.

    Attributes:
        kind: which engine it is, for people.
        tokenizer: of both sides.
        source_prefix: put before every source for the model alone.
        batch_tokens: budget of one batch, see `batches.BATCH_TOKENS`.
        max_source_tokens: longer sources are cut, with a warning; None = at what the searcher takes alone.
        languages: of sources and of targets, for a model of many; None = nothing is said.
        fingerprint: of all that decides what it says.
    """

    kind: str
    tokenizer: TextTokenizer
    source_prefix: str
    batch_tokens: int
    max_source_tokens: int | None
    languages: tuple[str | None, str | None]
    fingerprint: str

    @property
    @abstractmethod
    def generation_order(self) -> str:
        """In which its model was trained to generate; see `models.interface.Seq2Seq`."""

    @abstractmethod
    def searcher(self, token_scores: bool = True, **options: Any) -> Searcher:
        """Return this engine's search on its model, changed by flat search options such as `beam_width`.

        Args:
            token_scores: whether hypotheses need the log-probability of each token; where that is free they have it.

        Raises:
            ValueError: there is no such option here, or it cannot have that value.
        """

    @abstractmethod
    def speaking(self, source_language: str | None = None, target_language: str | None = None) -> Self:
        """Return an engine for texts of these languages; None leaves a side as it is.

        Raises:
            ValueError: there is no such language.
        """

    @overload
    def __call__(self, texts: str, **options: Any) -> list[TextHypothesis]: ...
    @overload
    def __call__(self, texts: Sequence[str], **options: Any) -> list[list[TextHypothesis]]: ...
    @overload
    def __call__(self, texts: Iterable[str], **options: Any) -> Iterable[list[TextHypothesis]]: ...
    def __call__(self, texts: Any, **options: Any) -> Any:
        """Return the n-best hypotheses, best first: of a string, a list of them; of a list, a list of lists; of any
        other iterable, an iterator that reads and decodes as it goes.

        A text whose search fails has one hypothesis with an empty text and the reason as its `error`.

        Args:
            options: search options for this call, such as `beam_width=10, n_best=5`; and `source_language` and
                `target_language`, for a list of texts each also a list.

        Raises:
            ValueError: an option is unknown or out of range.
        """
        said_by_user(options.values())
        said = [options.pop(name, None) for name in ("source_language", "target_language")]
        if any(name is not None and not isinstance(name, str) for name in said):
            return in_languages(self, texts, said[0], said[1], options)
        if any(said):
            return self.speaking(*said)(texts, **options)
        if isinstance(texts, str):
            return list(next(self.stream([texts], **options)).hypotheses)
        results = (list(nbest.hypotheses) for nbest in self.stream(each_text(texts), **options))
        return list(results) if isinstance(texts, Sequence) else results

    def stream(
        self,
        lines: Iterable[str | None],
        prefixes: Iterable[str] | None = None,
        max_source_tokens: int | None = None,
        pool_lines: int = POOL_LINES,
        searcher: Searcher | None = None,
        **options: Any,
    ) -> Iterator[NBest]:
        """Yield one result per line, in input order; of a line whose search fails, `failed` and the `error` say so.

        Args:
            lines: texts; a None among them has those before it decoded at once.
            prefixes: target texts to begin with, one per line.
            max_source_tokens: longer sources are cut, with a warning, and so are those longer than the model takes.
            pool_lines: lines read before the first result appears; they are sorted by length for speed.
            searcher: where the search runs; by default here, by the search that the options describe.
        """
        if isinstance(prefixes, str):
            raise ValueError("`prefixes` is a single text; give a list, with a text for each line.")
        batch_tokens = options.pop("batch_tokens", self.batch_tokens)
        return decode_lines(
            lines,
            searcher or self.searcher(**options),
            self.tokenizer,
            batch_tokens,
            max_source_tokens=self.max_source_tokens if max_source_tokens is None else max_source_tokens,
            prefixes=prefixes,
            pool_lines=pool_lines,
            source_prefix=self.source_prefix,
        )


def each_text(texts: Iterable[Any]) -> Iterator[str]:
    """Yield texts, with an error where one is none, such as a value that is missing in a table.

    Raises:
        ValueError: one of them is no text; names it.
    """
    for number, text in enumerate(texts, start=1):
        if not isinstance(text, str):
            raise ValueError(f"Text {number} must be a str, but is {text!r:.60}; give texts alone.")
        yield text


def in_languages(
    engine: TextEngine, texts: Iterable[str], source_languages: Any, target_languages: Any, options: dict[str, Any]
) -> list[list[TextHypothesis]]:
    """Return the hypotheses of texts of which each has languages; those of the same are searched together.

    Args:
        source_languages, target_languages: a name for each text, or one for all, or None.

    Raises:
        ValueError: there are not as many as texts, or there is no such language.
    """
    texts = texts if isinstance(texts, str) else list(texts)
    sides = [
        [names] * len(texts) if names is None or isinstance(names, str) else list(names)
        for names in (source_languages, target_languages)
    ]
    if isinstance(texts, str) or any(len(names) != len(texts) for names in sides):
        raise ValueError("`source_language` and `target_language` are one for all texts, or a list of one for each.")
    pairs = list(zip(*sides, strict=True))
    found: dict[int, list[TextHypothesis]] = {}
    for source, target in dict.fromkeys(pairs):
        places = [place for place, pair in enumerate(pairs) if pair == (source, target)]
        results = engine.speaking(source, target)([texts[place] for place in places], **options)
        found |= dict(zip(places, results, strict=True))
    return [found[place] for place in range(len(texts))]
