"""The service says what the engine says, in the order of the request, and leaves nobody waiting."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from seq2seq.assembly.generator import TextGenerator, load
from seq2seq.serving.limits import Limits
from seq2seq.serving.requests import Delta, Finished, GenerationRequest, Output, RequestRefused
from seq2seq.serving.searching_processes import Keeper
from seq2seq.serving.served_models import ServedModel
from seq2seq.serving.service import Service
from tests.assembly.test_generator import write_model
from tests.tiny_run import copy_task, distinct_texts, private_cache, without_curves

pytest.importorskip("sentencex", reason="sentencex is of the extra `serve`")

__all__ = ["copy_task", "private_cache", "without_curves"]

TEXTS = distinct_texts()[:23]


@pytest.fixture(scope="module")
def generator(copy_task: Path) -> TextGenerator:
    return load(copy_task / "run", device="cpu")


@asynccontextmanager
async def opened(
    generator: TextGenerator, limits: Limits | None = None, num_processes: int = 2
) -> AsyncIterator[Service]:
    keeper = Keeper({"ab-cd": lambda: generator})
    service = Service(
        {"ab-cd": ServedModel("ab-cd", generator, ("ab", "cd"))}, limits or Limits(), keeper, {"ab-cd": num_processes}
    )
    service.open()
    try:
        for _ in range(1000):
            if service.is_ready:
                break
            await asyncio.sleep(0.02)
        assert service.is_ready
        yield service
    finally:
        await service.close()


def asked(*texts: str, **options: Any) -> GenerationRequest:
    return GenerationRequest(tuple(texts), **options)


def with_service(generator: TextGenerator, use: Callable[[Service], Awaitable[Any]], **options: Any) -> Any:
    async def running() -> Any:
        async with opened(generator, **options) as service:
            return await use(service)

    return asyncio.run(running())


def test_outputs_are_those_of_the_engine_in_order(generator: TextGenerator) -> None:
    found = with_service(
        generator, lambda service: service.generate(asked(*TEXTS, options={"n_best": 3}, token_scores=True))
    )
    expected = generator(TEXTS, n_best=3)
    assert [len(output.hypotheses) for output in found] == [3] * len(TEXTS)
    for output, hypotheses in zip(found, expected, strict=True):
        assert [h.text for h in output.hypotheses] == [h.text for h in hypotheses]
        assert [h.tokens for h in output.hypotheses] == [h.tokens for h in hypotheses]
        assert output.hypotheses[0].token_log_probs == pytest.approx(hypotheses[0].token_log_probs, abs=1e-4)


def test_many_requests_at_once_with_options_of_their_own_are_not_mixed(generator: TextGenerator) -> None:
    options = [{}, {"beam_width": 1}, {"n_best": 2}, {"method": "sampling", "seed": 5}, {"max_length": 2}]

    async def use(service: Service) -> list[list[Output]]:
        return await asyncio.gather(
            *(service.generate(asked(text, options=options[i % 5])) for i, text in enumerate(TEXTS * 3))
        )

    found = with_service(generator, use)
    for index, (text, [output]) in enumerate(zip(TEXTS * 3, found, strict=True)):
        chosen = options[index % 5]
        assert [h.text for h in output.hypotheses] == [h.text for h in generator(text, **chosen)], (text, chosen)
    assert any("length_limit" in {alarm.name for alarm in output.alarms} for [output] in found)


def test_texts_of_nothing_are_nothing(generator: TextGenerator) -> None:
    found = with_service(generator, lambda service: service.generate(asked("", "  ", "abc")))
    assert [output.hypotheses[0].text for output in found] == ["", "  ", generator("abc")[0].text]


def test_long_text_keeps_its_white_space(generator: TextGenerator) -> None:
    text = " abc. \n\n\tdef\n  ghi"
    [output] = with_service(generator, lambda service: service.generate(asked(text, split="sentences")))
    parts = [generator(part)[0].text for part in ("abc.", "def", "ghi")]
    assert output.hypotheses[0].text == f" {parts[0]} \n\n\t{parts[1]}\n  {parts[2]}"
    assert output.segments >= 3


def test_a_stream_takes_nothing_back_and_ends_with_the_output(generator: TextGenerator) -> None:
    async def use(service: Service) -> list[Any]:
        return [event async for event in service.stream(asked(*TEXTS[:7], options={"beam_width": 1}))]

    events = with_service(generator, use)
    finished = {event.index: event.output for event in events if isinstance(event, Finished)}
    assert sorted(finished) == list(range(7))
    told: dict[int, str] = {}
    for event in events:
        if isinstance(event, Delta):
            told[event.index] = told.get(event.index, "") + event.text
    for index, output in finished.items():
        assert told[index] == output.hypotheses[0].text == generator(TEXTS[index], beam_width=1)[0].text


def test_a_long_output_is_told_bit_by_bit(generator: TextGenerator) -> None:
    async def use(service: Service) -> list[Any]:
        options = {"beam_width": 1, "min_length": 400, "max_length": 500}
        return [event async for event in service.stream(asked("abc", options=options))]

    *deltas, last = with_service(generator, use)
    assert len(deltas) > 5
    assert "".join(delta.text for delta in deltas) == last.output.hypotheses[0].text


@pytest.mark.parametrize(
    ("request_", "limits", "status", "name"),
    [
        (asked(*["a"] * 9), Limits(texts=8), 413, "too_many_texts"),
        (asked("a" * 51), Limits(characters=50), 413, "too_many_characters"),
        (asked("abc"), Limits(queue_tokens=3), 413, "too_many_tokens"),
        (asked("a", model="other"), Limits(), 404, "unknown_model"),
        (asked("a", target_language="xx"), Limits(), 422, "unknown_language"),
        (asked("a", options={"beam_widht": 2}), Limits(), 422, "unknown_option"),
        (asked("a", options={"token_scores": True}), Limits(), 422, "unknown_option"),
        (asked("a", options={"beam_width": 17}), Limits(), 422, "option_out_of_range"),
        (asked("a", options={"beam_width": 0}), Limits(), 422, "option_out_of_range"),
        (asked("a", options={"beam_width": "many"}), Limits(), 422, "option_out_of_range"),
        (asked("a", options={"beam_width": [1]}), Limits(), 422, "option_out_of_range"),
        (asked("a", options={"max_length": 2000}), Limits(), 422, "option_out_of_range"),
        (asked("a", options={"mbr": "chrf", "num_samples": 10**9}), Limits(), 422, "option_out_of_range"),
        (asked("a", options={"method": "sampling", "n_best": 10**9}), Limits(), 422, "option_out_of_range"),
        (asked("a", options={"generation_order": "r2l"}), Limits(), 422, "option_out_of_range"),
        (asked("a. b.\nc", prefixes=("x",), split="sentences"), Limits(), 422, "invalid_field"),
    ],
)
def test_what_is_refused_before_it_waits(
    request_: GenerationRequest, limits: Limits, status: int, name: str, generator: TextGenerator
) -> None:
    service = Service({"ab-cd": ServedModel("ab-cd", generator, ("ab", "cd"))}, limits, Keeper({}), {"ab-cd": 1})

    async def use() -> None:
        try:
            with pytest.raises(RequestRefused) as refused:
                await service.generate(request_)
            assert (refused.value.status, refused.value.name) == (status, name)
            assert service.queue_tokens == 0
        finally:
            await service.close()

    asyncio.run(use())


def test_pairs_of_languages_are_kept_ready_in_a_limited_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seq2seq.serving.service.MOST_SPOKEN", 3)
    spoken: list[Any] = []

    def speaking(*languages: str) -> Any:
        def refuse(**options: Any) -> Any:
            raise ValueError("no search")

        spoken.append(SimpleNamespace(searcher=refuse))
        return spoken[-1]

    names, of = tuple("abcdefg"), SimpleNamespace(speaking=speaking)
    model: Any = SimpleNamespace(
        name="m", of=of, search={"max_length": 5}, is_told=(True, True), source_languages=names, target_languages=names
    )
    service = Service({"m": model}, Limits(), Keeper({}), {"m": 1})

    async def use() -> None:
        try:
            for target in (*"abcdefg", "g"):
                with pytest.raises(RequestRefused, match="no search"):
                    await service.generate(asked("a", source_language="a", target_language=target))
        finally:
            await service.close()

    asyncio.run(use())
    assert len(spoken) == 7
    kept = {id(entry.engine) for entry in service._spoken.values()}
    assert kept == {id(engine) for engine in spoken[-3:]}


def test_a_text_that_no_search_holds_is_refused_or_cut_and_said(generator: TextGenerator) -> None:
    class Short(TextGenerator):
        pass

    short = Short.__new__(Short)
    short.__dict__ |= generator.__dict__ | {"max_source_tokens": 6}

    async def use(service: Service) -> Output:
        with pytest.raises(RequestRefused) as refused:
            await service.generate(asked("abcdefghij"))
        assert (refused.value.status, refused.value.name, refused.value.limit) == (413, "too_many_tokens", 6)
        [output] = await service.generate(asked("abc defghij", split="sentences"))
        return output

    output = with_service(short, use)
    assert "cut_within_sentence" in {alarm.name for alarm in output.alarms}
    assert output.segments > 1


def test_too_much_waiting_is_refused_with_a_time(generator: TextGenerator) -> None:
    async def use(service: Service) -> tuple[int, int]:
        results = await asyncio.gather(
            *(service.generate(asked(text * 2)) for text in TEXTS * 4), return_exceptions=True
        )
        refused = [result for result in results if isinstance(result, RequestRefused)]
        assert {(error.status, error.name) for error in refused} == {(429, "queue_full")}
        assert all(error.retry_after is not None and error.retry_after >= 1 for error in refused)
        assert service.queue_tokens == 0
        return len(refused), len(results) - len(refused)

    num_refused, num_answered = with_service(generator, use, limits=Limits(queue_tokens=100))
    assert num_refused > 10
    assert num_answered > 5


def test_who_leaves_leaves_at_the_next_step(generator: TextGenerator) -> None:
    """The work that was done is counted by the searching process, as rows times steps."""
    slow = {"min_length": 900, "max_length": 1000, "beam_width": 1}

    async def use(service: Service) -> None:
        scheduler = service.scheduler("ab-cd")
        plug = asyncio.ensure_future(service.generate(asked("abc", options={"min_length": 20, "max_length": 30})))
        await asyncio.sleep(0)  # it is searched alone; who comes now is searched together
        staying, *leaving = [asyncio.ensure_future(service.generate(asked("abc", options=slow))) for _ in range(13)]
        await plug
        while service.batch_rows < 13:
            await asyncio.sleep(0.01)
        done = scheduler.row_steps
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        assert (service.queue_tokens, service.batch_rows) == (0, 1)
        [output] = await staying
        assert len(output.hypotheses[0].tokens) > 900
        await service.generate(asked("abc"))  # behind the batch, whose work is known then
        assert 900 < scheduler.row_steps - done < 5000, "13 rows of 900 steps are 11,700"

    with_service(generator, use, num_processes=1)


def test_a_deadline_is_kept(generator: TextGenerator) -> None:
    async def use(service: Service) -> None:
        slow = {"min_length": 900, "max_length": 1000}
        with pytest.raises(RequestRefused) as refused:
            await service.generate(asked("abc", options=slow, seconds=0.2))
        assert (refused.value.status, refused.value.name) == (503, "deadline_passed")
        [output] = await service.generate(asked("abc"))
        assert output.hypotheses[0].text == generator("abc")[0].text

    with_service(generator, use, num_processes=1)


def test_a_process_that_dies_is_replaced_and_its_requests_are_answered(generator: TextGenerator) -> None:
    class Deadly(TextGenerator):
        def searcher(self, **options: Any) -> Any:
            searcher = super().searcher(**options)
            if options.get("min_length") != 3:
                return searcher
            return type("Killer", (), {"search": searcher.search, "max_source_tokens": None, "search_batch": kill})()

    def kill(*arguments: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    deadly = Deadly.__new__(Deadly)
    deadly.__dict__ |= generator.__dict__

    async def use(service: Service) -> None:
        for _ in range(3):
            with pytest.raises(RequestRefused) as refused:
                await service.generate(asked("abc", options={"min_length": 3}))
            assert (refused.value.status, refused.value.name) == (503, "search_process_died")
        outputs = await asyncio.gather(*(service.generate(asked(text)) for text in TEXTS))
        assert [output.hypotheses[0].text for [output] in outputs] == [h[0].text for h in generator(TEXTS)]
        assert service.scheduler("ab-cd").num_deaths == 3

    with_service(deadly, use, num_processes=2)


def test_what_a_model_cannot_do_is_said_without_a_traceback(
    generator: TextGenerator, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = write_model(tmp_path, generator.tokenizer, generation_order="r2l")
    request = asked("abc", prefixes=("ab",))
    [output] = with_service(load(folder, device="cpu"), lambda service: service.generate(request), num_processes=1)
    assert str(output.hypotheses[0].error).startswith("Forced prefixes are for generation from the left")
    assert "Traceback" not in capfd.readouterr().err


def test_closing_answers_whoever_waits(generator: TextGenerator) -> None:
    async def use(service: Service) -> None:
        slow = {"min_length": 900, "max_length": 1000}
        waiting = [asyncio.ensure_future(service.generate(asked("abc", options=slow))) for _ in range(3)]
        await asyncio.sleep(0.05)
        await service.close()
        for task in waiting:
            with pytest.raises(RequestRefused, match="ending"):
                await task

    with_service(generator, use, num_processes=1)


def test_an_output_is_explained(generator: TextGenerator) -> None:
    found = with_service(generator, lambda service: service.explain(asked("abcd"), None))
    best = generator("abcd")[0]
    assert found.target_tokens == best.tokens
    assert len(found.attention) == len(best.tokens)
    assert all(
        sum(row) == pytest.approx(1, abs=1e-4) and len(row) == len(found.source_tokens) for row in found.attention
    )
    assert found.trace is None


def test_another_output_is_explained(generator: TextGenerator) -> None:
    found = with_service(generator, lambda service: service.explain(replace(asked("abcd")), "ba"))
    assert found.target_tokens[:2] == ("b", "a")
    assert len(found.attention) == 3
