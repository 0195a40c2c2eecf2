"""The service behind all routes: requests become jobs of one sentence each, and what is found becomes outputs.

Enters a `GenerationRequest`; leaves an `Output` a text, or a stream of what has become certain. Everything that can be
refused is refused before anything waits: limits, languages and options are those of `engine.searcher`, which raises for
what there is not. A request whose task is cancelled leaves its queue, or its batch at the next step.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

from seq2seq.data.cutting import smallest
from seq2seq.serving.choice import chosen
from seq2seq.serving.limits import Limits
from seq2seq.serving.long_text import pieces_of
from seq2seq.serving.outputs import Task, Telling, output_of
from seq2seq.serving.requests import Delta, Explanation, Finished, GenerationRequest, Output, RequestRefused
from seq2seq.serving.scheduler import Job, Scheduler
from seq2seq.serving.searching import Explain, How, speaking
from seq2seq.serving.searching_processes import Keeper
from seq2seq.serving.served_models import ServedModel, Spoken

MOST_SPOKEN = 256
"""Models in some languages that are kept ready for checks; of 200 languages there are 40,000 pairs."""


class Service:
    """Answers requests, many at once; implements `requests.Answering`. To be opened in an event loop.

    Args:
        models: what is served, by name.
        limits: of requests.
        keeper: what starts searching processes.
        num_processes: of each model.
    """

    def __init__(
        self, models: Mapping[str, ServedModel], limits: Limits, keeper: Keeper, num_processes: Mapping[str, int]
    ) -> None:
        self.models = models
        self.limits = limits
        self._keeper = keeper
        self._schedulers = {
            name: Scheduler(
                lambda name=name: keeper.start(name),  # type: ignore[misc]
                num_processes[name],
                limits.queue_tokens,
                getattr(getattr(model.of, "model", None), "rows_at_once", None),
            )
            for name, model in models.items()
        }
        self._spoken: dict[tuple[str, str | None, str | None], Spoken] = {}

    def open(self) -> None:
        """Start all searching processes."""
        for scheduler in self._schedulers.values():
            scheduler.open()

    async def close(self) -> None:
        """End all searching processes."""
        for scheduler in self._schedulers.values():
            scheduler.close()
        self._keeper.close()

    @property
    def is_ready(self) -> bool:
        return all(scheduler.is_ready for scheduler in self._schedulers.values())

    @property
    def queue_tokens(self) -> int:
        return sum(scheduler.queue_tokens for scheduler in self._schedulers.values())

    @property
    def batch_rows(self) -> int:
        return sum(scheduler.batch_rows for scheduler in self._schedulers.values())

    def scheduler(self, name: str) -> Scheduler:
        """Return the queue of a model."""
        return self._schedulers[name]

    # ---- answers -----------------------------------------------------------------------------------------------------

    async def generate(self, request: GenerationRequest) -> list[Output]:
        """See `requests.Answering`."""
        model, spoken, _, tasks = self._tasks(request)
        jobs = [job for task in tasks for job in task.jobs if job is not None]
        seconds = self._seconds(request)
        scheduler = self._schedulers[model.name]
        scheduler.submit(jobs, seconds)
        try:
            async with asyncio.timeout(seconds):
                for job in jobs:
                    await job.result
        except TimeoutError:
            raise self._late(scheduler, seconds) from None
        finally:
            scheduler.leave(jobs)
        return [output_of(task, spoken.engine, is_translation=model.is_translator) for task in tasks]

    async def stream(self, request: GenerationRequest) -> AsyncIterator[Delta | Finished]:
        """See `requests.Answering`."""
        model, spoken, _, tasks = self._tasks(request)
        seconds = self._seconds(request)
        scheduler = self._schedulers[model.name]
        told = [Telling(task, spoken.engine) for task in tasks]
        news = asyncio.Event()
        for teller in told:
            teller.listen(news)
        jobs = [job for task in tasks for job in task.jobs if job is not None]
        scheduler.submit(jobs, seconds)
        deadline = time.monotonic() + seconds
        unfinished = dict(enumerate(told))
        try:
            while unfinished:
                for index, teller in list(unfinished.items()):
                    if text := teller.new_text():
                        yield Delta(index, text)
                    if teller.is_done():
                        del unfinished[index]
                        yield Finished(index, output_of(teller.task, spoken.engine, is_translation=model.is_translator))
                if unfinished:
                    async with asyncio.timeout(deadline - time.monotonic()):
                        await news.wait()
                    news.clear()
        except TimeoutError:
            raise self._late(scheduler, seconds) from None
        finally:
            scheduler.leave(jobs)

    async def explain(self, request: GenerationRequest, output: str | None) -> Explanation:
        """See `requests.Answering`."""
        model, spoken, how, [task] = self._tasks(replace(request, split="none"))
        [job] = task.jobs
        if job is None:
            return Explanation((), ())
        if not model.explains:
            message = "The engine of this model does not tell what its outputs attend to."
            raise RequestRefused(422, "unknown_option", message)
        engine = spoken.engine
        ids = None if output is None else engine.tokenizer.encode_targets([output])[0]
        longest = self.limits.output_tokens
        if ids is not None and len(ids) > longest:
            message = f"`output` has {len(ids)} tokens; a hypothesis may have {longest}."
            raise RequestRefused(413, "too_many_tokens", message, limit=longest)
        seconds = self._seconds(request)
        scheduler = self._schedulers[model.name]
        try:
            async with asyncio.timeout(seconds):
                found = await scheduler.explain(Explain(job.source, ids, how), seconds)
        except TimeoutError:
            raise self._late(scheduler, seconds) from None
        if found.parts is None:
            raise RequestRefused(422, "search_failed", str(found.error))
        tokenizer, parts = engine.tokenizer, found.parts
        steps = parts["steps"]
        trace = None
        if steps is not None:
            trace = {"steps": [[[tokenizer.target_tokens(row) for row in side] for side in step] for step in steps]}
        return Explanation(
            tuple(tokenizer.source_tokens(parts["source"])),
            tuple(tokenizer.target_tokens(parts["target"])),
            tuple(tuple(row) for row in parts["attention"]),
            trace,
        )

    def _late(self, scheduler: Scheduler, seconds: float) -> RequestRefused:
        message = f"The answer was not there within {seconds:g} s; send less at once, or try again later."
        retry_after = max(1.0, math.ceil(scheduler.seconds_to_wait(scheduler.queue_tokens)))
        return RequestRefused(503, "deadline_passed", message, limit=seconds, retry_after=retry_after)

    def _seconds(self, request: GenerationRequest) -> float:
        return min(self.limits.seconds, request.seconds or self.limits.seconds)

    # ---- from requests to jobs ---------------------------------------------------------------------------------------

    def _tasks(self, request: GenerationRequest) -> tuple[ServedModel, Spoken, How, list[Task]]:
        """Return the model and the texts of a request, ready to be submitted.

        Raises:
            RequestRefused: the request is beyond a limit, or asks for what there is not.
        """
        self._check_sizes(request)
        found = chosen(self.models, request.model, request.source_language, request.target_language)
        model = self.models[found.name]
        how, spoken = self._how(model, request)
        searcher = self._searcher(spoken, how)
        tasks = [self._task(model, spoken, how, searcher, request, index) for index in range(len(request.texts))]
        loop = asyncio.get_running_loop()
        for task in tasks:
            for job in task.jobs:
                if job is not None:
                    job.result = loop.create_future()
        return model, spoken, how, tasks

    def _check_sizes(self, request: GenerationRequest) -> None:
        limits = self.limits
        if len(request.texts) > limits.texts:
            message = f"The request has {len(request.texts)} texts; send at most {limits.texts} at once."
            raise RequestRefused(413, "too_many_texts", message, limit=limits.texts)
        characters = sum(map(len, (*request.texts, *(request.prefixes or ()))))
        if characters > limits.characters:
            message = f"The texts have {characters} characters; send at most {limits.characters} at once."
            raise RequestRefused(413, "too_many_characters", message, limit=limits.characters)

    def _how(self, model: ServedModel, request: GenerationRequest) -> tuple[How, Spoken]:
        options = dict(request.options)
        longest = self.limits.output_tokens
        if options.get("max_length") is None:
            options["max_length"] = min(longest, int(model.search.get("max_length", longest)))
        tells_source, tells_target = model.is_told
        source = request.source_language if tells_source else None
        target = request.target_language if tells_target else None
        try:
            how = How(source, target, tuple(sorted(options.items())), request.token_scores)
            hash(how)
        except TypeError:
            raise RequestRefused(422, "option_out_of_range", "Options of a search are numbers and words.") from None
        key = (model.name, source, target)
        if key not in self._spoken:
            if len(self._spoken) >= MOST_SPOKEN:
                del self._spoken[next(iter(self._spoken))]
            try:
                self._spoken[key] = Spoken(speaking(model.of, how))
            except ValueError as error:
                raise RequestRefused(422, "unknown_language", str(error)) from None
        return how, self._spoken[key]

    def _searcher(self, spoken: Spoken, how: How) -> Any:
        """Return the search of a request, which is within the limits."""
        options, limits = dict(how.options), self.limits
        for name, limit in (("n_best", limits.n_best), ("max_length", limits.output_tokens)):
            value = options.get(name)
            if isinstance(value, int | float) and value > limit:
                raise RequestRefused(422, "option_out_of_range", f"`{name}` may be at most {limit} here.", limit=limit)
        for name in ("beam_width", "num_samples"):  # before such a search is made
            value = options.get(name)
            if isinstance(value, int | float) and value > limits.beam_width:
                message = f"`{name}` may be at most {limits.beam_width} here."
                raise RequestRefused(422, "option_out_of_range", message, limit=limits.beam_width)
        if "token_scores" in options:  # what engines are told beside the options of a search
            message = "There is no search option `token_scores`; `tokens` asks for them."
            raise RequestRefused(422, "unknown_option", message)
        try:
            searcher = spoken.searcher(how.options)
        except (ValueError, TypeError) as error:
            name = "unknown_option" if "no search option" in str(error) else "option_out_of_range"
            raise RequestRefused(422, name, str(error)) from None
        if searcher.search.width > limits.beam_width:
            message = f"The search keeps {searcher.search.width} hypotheses a text; {limits.beam_width} may be here."
            raise RequestRefused(422, "option_out_of_range", message, limit=limits.beam_width)
        return searcher

    def _task(
        self, model: ServedModel, spoken: Spoken, how: How, searcher: Any, request: GenerationRequest, index: int
    ) -> Task:
        engine = spoken.engine
        longest = smallest((engine.max_source_tokens, searcher.max_source_tokens))

        def encoded(text: str) -> list[int]:
            return engine.tokenizer.encode_sources([engine.source_prefix + text])[0]

        language = request.source_language or (model.source_languages[0] if model.source_languages else None)
        pieces = pieces_of(
            request.texts[index],
            lambda text: longest is None or len(encoded(text)) <= longest,
            language,
            sentences=request.split == "sentences",
        )
        prefixes = [] if request.prefixes is None else [request.prefixes[index]]
        if prefixes[:1] not in ([], [""]) and len([piece for piece in pieces if piece.text]) > 1:
            message = "`prefix` begins one output; leave out `split`, or the prefix."
            raise RequestRefused(422, "invalid_field", message)
        jobs: list[Job | None] = []
        for piece in pieces:
            if not piece.text:
                jobs.append(None)
                continue
            source = encoded(piece.text)
            if longest is not None and len(source) > longest:
                message = (
                    f"Text {index + 1} has {len(source)} tokens, of which one search holds {longest}; ask for "
                    '`"split": "sentences"`, or send it in parts.'
                )
                raise RequestRefused(413, "too_many_tokens", message, limit=longest)
            forced = engine.tokenizer.forced_starts(prefixes or None, 1)
            future: Any = None
            jobs.append(Job(source, forced[0] if forced else None, index, how, searcher.search.width, future))
        return Task(pieces, jobs)
