"""A service that answers by turning texts to capitals, for tests of what stands around one.

python -m tests.serving.fake_service [PORT]     serves it
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from seq2seq.generation.output import TextHypothesis
from seq2seq.serving.choice import chosen
from seq2seq.serving.limits import Limits
from seq2seq.serving.requests import (
    Alarm,
    Delta,
    Explanation,
    Finished,
    GenerationRequest,
    Output,
    RequestRefused,
)


@dataclass(frozen=True)
class FakeModel:
    name: str
    source_languages: tuple[str, ...] = ("en",)
    target_languages: tuple[str, ...] = ("de",)
    engine: str = "seq2seq"
    generation_order: str = "l2r"
    max_source_tokens: int | None = 512
    search: Mapping[str, Any] = field(default_factory=lambda: {"beam_width": 5, "n_best": 1})
    explains: bool = True


class FakeService:
    """Capitals; `wait` takes as long as it says, `fail` fails, `full` is refused, `crash` is a fault."""

    def __init__(self, *models: FakeModel, limits: Limits | None = None) -> None:
        self.models = {model.name: model for model in models or (FakeModel("en-de"),)}
        self.limits = limits or Limits()
        self.queue_tokens, self.batch_rows, self.is_ready = 7, 3, True
        self.asked: list[GenerationRequest] = []
        self.cancelled = 0

    async def generate(self, request: GenerationRequest) -> list[Output]:
        self.asked.append(request)
        return [await self._output(text, request) for text in request.texts]

    async def stream(self, request: GenerationRequest) -> AsyncIterator[Delta | Finished]:
        self.asked.append(request)
        for index, text in enumerate(request.texts):
            for word in text.upper().split()[:-1]:
                await self._wait(text)
                yield Delta(index, word + " ")
            yield Finished(index, await self._output(text, request))

    async def explain(self, request: GenerationRequest, output: str | None) -> Explanation:
        source = tuple(request.texts[0].split())
        target = tuple((output or request.texts[0].upper()).split())
        return Explanation(source, target, tuple((1 / len(source),) * len(source) for _ in target))

    async def _wait(self, text: str) -> None:
        try:
            await asyncio.sleep(30 if text.startswith("wait") else 0.5 if text == "half a second" else 0)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def _output(self, text: str, request: GenerationRequest) -> Output:
        chosen(self.models, request.model, request.source_language, request.target_language)
        await self._wait(text)
        if text == "full":
            raise RequestRefused(429, "queue_full", "Too much waits.", limit=50_000, retry_after=1.5)
        if text == "crash":
            raise ZeroDivisionError(text)
        if text == "fail":
            return Output((TextHypothesis("", (), (), 0.0, 0.0, False, error="no room"),), 1)
        n_best = request.options.get("n_best", 1)
        if not isinstance(n_best, int) or not 1 <= n_best <= self.limits.n_best:
            raise RequestRefused(422, "option_out_of_range", f"`n_best` is {n_best}.")
        words = tuple(text.upper().split())
        hypotheses = tuple(
            TextHypothesis(text.upper() + "!" * rank, (*words, "</s>"), (-0.5,) * (len(words) + 1), -rank, -rank, True)
            for rank in range(n_best)
        )
        alarms = (Alarm("repetition", "It repeats itself."),) if text == "again again again" else ()
        return Output(hypotheses, len(words), alarms=alarms)


async def closing() -> None:
    print("Closed.", file=sys.stderr)


if __name__ == "__main__":
    from seq2seq.serving import connection
    from seq2seq.serving.server import Address, run_server

    connection.MOST_CONNECTIONS = int(os.environ.get("MOST_CONNECTIONS_OF_TESTS", connection.MOST_CONNECTIONS))

    run_server(FakeService(), Address(port=int(sys.argv[1])), close=closing)
