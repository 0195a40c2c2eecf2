"""The waist between routes and service: what is asked for, what comes back, and how it is refused.

Enters whatever shape of request a route has read; leaves one `Output` a text, which the route writes in its own shape.
Nothing here knows of HTTP but the status of a refusal.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from seq2seq.generation.output import TextHypothesis
from seq2seq.serving.limits import Limits

Split = Literal["none", "sentences"]


@dataclass(frozen=True)
class GenerationRequest:
    """Texts to be generated from, with all that is said about how."""

    texts: tuple[str, ...]
    model: str | None = None
    """Its name; None: the only one, or the one for the languages."""
    source_language: str | None = None
    target_language: str | None = None
    prefixes: tuple[str, ...] | None = None
    """How each output must begin."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Flat options of the search: `beam_width`, `n_best`, `method`, `temperature` and so on."""
    split: Split = "none"
    """Whether texts are cut into sentences, which are then searched one by one."""
    token_scores: bool = False
    """Whether hypotheses need the log-probability of each token, which some engines take longer for."""
    seconds: float | None = None
    """Time limit, waiting included; at most that of the server."""


@dataclass(frozen=True)
class Alarm:
    """Something about an output that a reader should know of."""

    name: str
    """`length_ratio`, `repetition`, `length_limit` or `cut_within_sentence`."""
    message: str


@dataclass(frozen=True)
class Output:
    """What one text became."""

    hypotheses: tuple[TextHypothesis, ...]
    """Best first."""
    source_tokens: int
    """As the model was given them, end of sentence not counted."""
    segments: int = 1
    """Pieces that the text was cut into."""
    alarms: tuple[Alarm, ...] = ()


@dataclass(frozen=True)
class Delta:
    """Text of a stream that all live hypotheses agree on: it is never taken back."""

    index: int
    """Of the text that it is an output of."""
    text: str


@dataclass(frozen=True)
class Finished:
    """The end of one text of a stream."""

    index: int
    output: Output


@dataclass(frozen=True)
class Explanation:
    """Why an output is what it is."""

    source_tokens: tuple[str, ...]
    target_tokens: tuple[str, ...]
    attention: tuple[tuple[float, ...], ...] | None = None
    """A row for each target token over all source tokens, mean over the heads of the last layer; rows sum to 1."""
    trace: Mapping[str, Any] | None = None
    """`steps`: before each step both beams of a search from both ends, each hypothesis's tokens in the order in which
    they were generated."""


class RequestRefused(Exception):
    """A request that is not answered, for a reason that its sender can do something about.

    Attributes:
        status: of HTTP.
        name: by which a program knows the reason, such as `too_many_characters`.
        message: what was wrong, and what to do.
        limit: that was exceeded, where there is one.
        retry_after: seconds after which the same request may succeed, where it may.
    """

    def __init__(
        self,
        status: int,
        name: str,
        message: str,
        *,
        limit: int | float | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.name = name
        self.message = message
        self.limit = limit
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep what is passed by keyword when a copy is made, as between processes."""
        return _refused, (self.status, self.name, self.message, self.limit, self.retry_after)


def _refused(status: int, name: str, message: str, limit: float | None, retry_after: float | None) -> RequestRefused:
    return RequestRefused(status, name, message, limit=limit, retry_after=retry_after)


class Served(Protocol):
    """What routes know of a model."""

    @property
    def name(self) -> str: ...
    @property
    def engine(self) -> str: ...
    @property
    def source_languages(self) -> tuple[str, ...]: ...
    @property
    def target_languages(self) -> tuple[str, ...]: ...
    @property
    def generation_order(self) -> str: ...
    @property
    def max_source_tokens(self) -> int | None: ...
    @property
    def search(self) -> Mapping[str, Any]: ...
    @property
    def explains(self) -> bool: ...


class Answering(Protocol):
    """What routes stand on: a service that answers requests in whatever order it likes, many at once."""

    @property
    def models(self) -> Mapping[str, Served]: ...
    @property
    def limits(self) -> Limits: ...
    @property
    def queue_tokens(self) -> int:
        """Source tokens that wait."""

    @property
    def batch_rows(self) -> int:
        """Rows that are being searched."""

    @property
    def is_ready(self) -> bool:
        """Whether every model has decoded a sentence, and none has died since."""

    async def generate(self, request: GenerationRequest) -> list[Output]:
        """Return one output a text; RequestRefused where there is none. Ends when its task is cancelled."""

    def stream(self, request: GenerationRequest) -> AsyncIterator[Delta | Finished]:
        """Yield outputs as they grow; ends when it is closed."""

    async def explain(self, request: GenerationRequest, output: str | None) -> Explanation:
        """Return why the only text of a request becomes this output, or by default its best."""
