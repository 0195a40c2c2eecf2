"""A service that translates by a list of words, surely or less so, and attends to the word in the same place."""

import asyncio
import math
import re
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from seq2seq.generation.output import TextHypothesis
from seq2seq.serving.choice import chosen
from seq2seq.serving.limits import Limits
from seq2seq.serving.requests import Alarm, Delta, Explanation, Finished, GenerationRequest, Output, RequestRefused

WORDS = {
    **{"the": "das", "old": "alte", "house": "Haus", "is": "ist", "small": "klein", "and": "und", "quiet": "still"},
    **{"a": "ein", "river": "Fluss", "runs": "läuft", "behind": "hinter", "it": "ihm"},
}
SHARES = {"Haus": 0.97, "klein": 0.62, "still": 0.31, "läuft": 0.45, "alte": 0.88}
"""How sure it is of a word; of any other 0.99."""
OTHERS = {"still": "ruhig", "läuft": "fließt", "klein": "winzig"}
MOST_TOKENS = 16
INJECTION = "<img src=x onerror=\"document.title='taken'\">"


@dataclass(frozen=True)
class WordModel:
    name: str
    source_languages: tuple[str, ...] = ()
    target_languages: tuple[str, ...] = ()
    engine: str = "seq2seq"
    generation_order: str = "l2r"
    max_source_tokens: int | None = MOST_TOKENS
    search: Mapping[str, Any] = field(default_factory=lambda: {"method": "beam", "beam_width": 5, "length_penalty": 1})
    explains: bool = True


MODELS = (
    WordModel("english-german", ("en",), ("de", "fr")),
    WordModel("german-english", ("de",), ("en",), engine="ctranslate2", explains=False),
    WordModel("both-ends", generation_order="bidirectional"),
    WordModel(INJECTION, explains=False),
)


class WordService:
    """Implements `Answering`.

    Attributes:
        may_write: while it is not set, streams stop after their first word.
        refusals: what the next requests for outputs are answered with.
        asked: all requests for outputs so far.
        explained: all outputs that were to be explained.
    """

    def __init__(self) -> None:
        self.models = {model.name: model for model in MODELS}
        self.limits = Limits(characters=200, n_best=4, output_tokens=64, seconds=30)
        self.queue_tokens, self.batch_rows, self.is_ready = 0, 0, True
        self.may_write = threading.Event()
        self.may_write.set()
        self.refusals: list[RequestRefused] = []
        self.asked: list[GenerationRequest] = []
        self.explained: list[str | None] = []

    async def generate(self, request: GenerationRequest) -> list[Output]:
        return [event.output async for event in self.stream(request) if isinstance(event, Finished)]

    async def stream(self, request: GenerationRequest) -> AsyncIterator[Delta | Finished]:
        self.asked.append(request)
        if self.refusals:
            raise self.refusals.pop(0)
        chosen(self.models, request.model, request.source_language, request.target_language)
        [text] = request.texts
        if len(text.split()) > MOST_TOKENS and request.split == "none":
            message = f'The text has more than {MOST_TOKENS} tokens; shorten it, or ask with `"split": "sentences"`.'
            raise RequestRefused(413, "too_many_tokens", message, limit=MOST_TOKENS)
        output = generated(text, request.options["n_best"])
        for index, word in enumerate(output.hypotheses[0].text.split(" ")):
            yield Delta(0, " " * (index > 0) + word)
            while not self.may_write.is_set():
                await asyncio.sleep(0.005)
        yield Finished(0, output)

    async def explain(self, request: GenerationRequest, output: str | None) -> Explanation:
        self.explained.append(output)
        source, target = (tokens_of(words_of(text)) for text in (request.texts[0], output or ""))
        attention = tuple(
            shares([0.02 + 2.0 ** (-3 * abs(row - column)) for column in range(len(source))])
            for row in range(len(target))
        )
        trace = {"steps": list(steps(target[:-1]))} if request.model == "both-ends" else None
        return Explanation(source, target, attention, trace)


def generated(text: str, n_best: int) -> Output:
    words = translation(text)
    others = [[OTHERS.get(word, word) for word in words], [*words[:-1], "dort", *words[-1:]], words[::-1]]
    alarms = (Alarm("length_ratio", "The output is much longer than the source."),) if len(words) == 1 else ()
    hypotheses = tuple(hypothesis(found, rank) for rank, found in enumerate([words, *others][:n_best]))
    return Output(hypotheses, len(words), alarms=alarms)


def translation(text: str) -> list[str]:
    """Return the words of a text in German as far as they are known, each sentence beginning with a capital letter."""
    words = [WORDS.get(word.lower(), word) for word in words_of(text)]
    return [
        word if place and words[place - 1] != "." else word[:1].upper() + word[1:] for place, word in enumerate(words)
    ]


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+|[.,]|[^\s\w]+", text)


def tokens_of(words: list[str]) -> tuple[str, ...]:
    """Return a spelling like SentencePiece's; long words are two tokens."""
    marked = [word if word in (".", ",") else f"▁{word}" for word in words]
    return (*(token for word in marked for token in ([word[:5], word[5:]] if len(word) > 6 else [word])), "</s>")


def hypothesis(words: list[str], rank: int) -> TextHypothesis:
    tokens = tokens_of(words)
    log_probs = tuple(math.log(SHARES.get(token.strip("▁"), 0.99)) for token in tokens)
    mean = sum(log_probs) / len(tokens) - rank / 4
    text = re.sub(r" ([.,])", r"\1", " ".join(words))
    return TextHypothesis(text, tokens, log_probs, mean * len(tokens), mean, True)


def shares(weights: list[float]) -> tuple[float, ...]:
    return tuple(weight / sum(weights) for weight in weights)


def steps(tokens: tuple[str, ...]) -> Iterator[list[list[list[str]]]]:
    """Yield both beams of two as they would have grown."""
    for length in range(len(tokens) // 2 + 1):
        left, right = list(tokens[:length]), list(tokens[::-1][:length])
        yield [[row, [*row[:-1], "▁vielleicht"]] if row else [row] for row in (left, right)]
