"""N-best lists in files: JSONL, the format of Moses, and plain text.

Enters a search's hypotheses with their source; leaves lines, and `NBest` again from JSONL. In plain text and the Moses
format one input line must stay one output line, so line feeds and carriage returns in a text are written as spaces;
JSONL keeps them. Files appear whole or not at all.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from seq2seq.files import written
from seq2seq.generation.hypothesis import Hypothesis
from seq2seq.lines import lines, numbered_lines


class TargetTokenizer(Protocol):
    """How target tokens become text."""

    def decode(self, ids: Sequence[int]) -> str: ...

    def target_tokens(self, ids: Sequence[int]) -> list[str]: ...


@dataclass(frozen=True)
class TextHypothesis:
    """A `Hypothesis` as text, which it prints as; `tokens` are the vocabulary's entries, end of sentence included."""

    text: str
    tokens: tuple[str, ...]
    token_log_probs: tuple[float, ...]
    score: float
    normalized_score: float
    finished: bool
    direction: str = "l2r"
    """The order in which it was generated; a search from both ends has hypotheses of either."""
    error: str | None = None
    """Why the source could not be decoded; the text is empty then."""
    token_ids: tuple[int, ...] = field(default=(), compare=False)
    """Of `tokens`; those of a file have none."""

    def __str__(self) -> str:
        return self.text

    def __format__(self, specification: str) -> str:
        return format(self.text, specification)

    def __repr__(self) -> str:
        """Return what tells hypotheses from each other at a glance; tokens would fill a screen."""
        shown = [repr(self.text), f"normalized_score={self.normalized_score:.4f}"]
        if self.direction != "l2r":
            shown.append(f"direction={self.direction!r}")
        if self.error is not None:
            shown = [f"error={self.error!r}"]
        elif not self.finished:
            shown.append("finished=False")
        return f"TextHypothesis({', '.join(shown)})"

    @classmethod
    def create(cls, hypothesis: Hypothesis, tokenizer: TargetTokenizer) -> "TextHypothesis":
        if hypothesis.error is not None:
            return cls("", (), (), 0.0, 0.0, False, hypothesis.direction, hypothesis.error)
        return cls(
            text=tokenizer.decode(list(hypothesis.tokens)),
            tokens=tuple(tokenizer.target_tokens(list(hypothesis.tokens))),
            token_log_probs=hypothesis.token_log_probs,
            score=hypothesis.score,
            normalized_score=hypothesis.normalized_score,
            finished=hypothesis.finished,
            direction=hypothesis.direction,
            token_ids=hypothesis.tokens,
        )


EMPTY_HYPOTHESIS = TextHypothesis("", (), (), 0.0, 0.0, True)
"""What an empty source becomes."""


@dataclass(frozen=True)
class NBest:
    """One source with its hypotheses, best first; `id` is its line, counted from 0."""

    id: int
    source: str
    hypotheses: tuple[TextHypothesis, ...]
    reference: str | None = None

    def __str__(self) -> str:
        return self.text

    def __format__(self, specification: str) -> str:
        return format(self.text, specification)

    @property
    def text(self) -> str:
        """The best hypothesis's text."""
        return self.hypotheses[0].text

    @property
    def failed(self) -> bool:
        """Whether the source could not be decoded."""
        return any(hypothesis.error is not None for hypothesis in self.hypotheses)


def to_json(nbest: NBest) -> str:
    """Return one line of JSON, without line feed or ids of tokens; `reference` and `error` only where there is one."""
    # `asdict` would copy each token and log-probability by a call of its own, 230 of them for 20 tokens.
    hypotheses = [_without_ids(vars(hypothesis)) for hypothesis in nbest.hypotheses]
    record = {**_without(vars(nbest), "reference"), "hypotheses": hypotheses}
    return json.dumps(record, ensure_ascii=False)


def _without_ids(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in _without(fields, "error").items() if key != "token_ids"}


def _without(fields: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the fields, but not this one if it says nothing."""
    return {key: value for key, value in fields.items() if key != name or value is not None}


def from_json(line: str) -> NBest:
    """Return what `to_json` had written; unknown fields are ignored.

    Raises:
        KeyError: a field is missing.
        ValueError: the line is no JSON, a field is of another type, or there is no hypothesis.
    """
    record = json.loads(line)
    hypotheses = tuple(_text_hypothesis(fields) for fields in record["hypotheses"])
    if not hypotheses:
        raise ValueError("a list without a hypothesis")
    known = _typed(record, {"id": int, "source": str})
    return NBest(known["id"], known["source"], hypotheses, **_typed(record, {"reference": str}, is_optional=True))


def _text_hypothesis(fields: dict[str, Any]) -> TextHypothesis:
    found = _typed(fields, _TYPES) | _typed(fields, {"direction": str, "error": str}, is_optional=True)
    for name, kinds in (("tokens", str), ("token_log_probs", float | int)):
        if not all(isinstance(entry, kinds) for entry in found[name]):
            raise ValueError(f"`{name}` holds what it cannot")
        found[name] = tuple(found[name])
    return TextHypothesis(**found)


_TYPES = {
    "text": str,
    "tokens": list,
    "token_log_probs": list,
    "score": float | int,
    "normalized_score": float | int,
    "finished": bool,
}
"""What is said of each hypothesis."""


def _typed(fields: dict[str, Any], types: Mapping[str, Any], *, is_optional: bool = False) -> dict[str, Any]:
    """Return these fields; raise KeyError or ValueError for one that is missing or of another type."""
    names = [name for name in types if not is_optional or fields.get(name) is not None]
    for name in names:
        if not isinstance(fields[name], types[name]):
            raise ValueError(f"`{name}` is {fields[name]!r}")
    return {name: fields[name] for name in names}


def one_line(text: str) -> str:
    """Return the text with line feeds and carriage returns as spaces."""
    return text.replace("\n", " ").replace("\r", " ")


def jsonl_lines(nbest: NBest) -> list[str]:
    return [to_json(nbest)]


def moses_lines(nbest: NBest) -> list[str]:
    """Return `id ||| text ||| LogProb= score ||| normalised score` for each hypothesis."""
    return [
        f"{nbest.id} ||| {one_line(h.text)} ||| LogProb= {h.score:.6f} ||| {h.normalized_score:.6f}"
        for h in nbest.hypotheses
    ]


def text_lines(nbest: NBest) -> list[str]:
    return [one_line(nbest.text)]


FORMATS: dict[str, Callable[[NBest], list[str]]] = {"text": text_lines, "jsonl": jsonl_lines, "moses": moses_lines}
"""What each format writes for one source."""


def write_lines(path: Path, lines: Iterable[str], *, may_be_stream: bool = False) -> None:
    """Write lines to a file that is never half there; to a pipe or device if that may be."""
    with written(path, may_be_stream=may_be_stream) as file:
        file.writelines(line + "\n" for line in lines)


def write_nbest(
    path: Path, nbests: Iterable[NBest], output_format: str = "jsonl", *, may_be_stream: bool = False
) -> None:
    """Write n-best lists to a file in one of `FORMATS`, as `write_lines`."""
    found = (line for nbest in nbests for line in FORMATS[output_format](nbest))
    write_lines(path, found, may_be_stream=may_be_stream)


def best_texts(path: Path, output_format: str) -> Iterator[str]:
    """Yield the best hypothesis's text for each source of a file in one of `FORMATS`, as one line."""
    if output_format == "jsonl":
        yield from (one_line(nbest.text) for nbest in read_nbest(path))
        return
    if output_format == "text":
        yield from lines(path)
        return
    previous_id = None
    for line in lines(path):
        source_id, _, rest = line.partition(" ||| ")
        if source_id != previous_id:
            yield rest.rsplit(" ||| ", 2)[0]
        previous_id = source_id


def read_nbest(path: Path) -> Iterator[NBest]:
    """Yield the n-best lists of a JSONL file.

    Raises:
        ValueError: names the file and the line that is no n-best list.
    """
    for number, line in numbered_lines(path):
        try:
            nbest = from_json(line)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"{path}:{number}: not an n-best list in JSON ({error!r}).") from error
        yield nbest
