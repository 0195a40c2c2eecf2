"""What one request may ask for, and how much may wait: each has a name, by which an answer says what was too much."""

from dataclasses import dataclass, fields

from seq2seq.config.declaring import check_numbers


@dataclass(frozen=True)
class Limits:
    """Limits of a server; a request beyond one is refused with its name and value, never shortened.

    Raises:
        ValueError: one of them is not positive.
    """

    characters: int = 20_000
    """Characters of all texts of a request together."""
    texts: int = 128
    """Texts of a request."""
    body_bytes: int = 1_000_000
    """Bytes of a request's body, which are not even read beyond."""
    output_tokens: int = 1024
    """Tokens that a hypothesis may have; a request may ask for fewer."""
    beam_width: int = 16
    """Hypotheses that a search may keep, or draw."""
    n_best: int = 16
    """Hypotheses of a text that an answer may hold."""
    queue_tokens: int = 20_000
    """Source tokens that may wait, of all requests; beyond them an answer is 429 with the time after which to try
    again."""
    seconds: float = 60.0
    """Seconds that a request may take, waiting included; it may ask for fewer."""

    def __post_init__(self) -> None:
        check_numbers(self)
        for field in fields(self):
            if getattr(self, field.name) <= 0:
                raise ValueError(f"`{field.name}` must be positive, but is {getattr(self, field.name)}.")
