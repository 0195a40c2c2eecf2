"""A server under load, beside decoding from a file and beside the handler that people write around CTranslate2.

    python benchmarks/serving.py throughput --model runs/multi30k_en_de --input test.en --rounds 3
    python benchmarks/serving.py plain --model served_int8 --input test.en --rounds 3
    python benchmarks/serving.py latency --model runs/multi30k_en_de --input test.en
    python benchmarks/serving.py overload --model runs/multi30k_en_de --input test.en --seconds 60
    python benchmarks/serving.py many --model runs/demo --input test.source --requests 100000

`throughput`: texts a second of 64 clients with one text each, against the command that decodes the same lines from a
file; both as processes, start left out; and how long a text took of the cores, and where (`batch_sizes.py` says why).
`plain`: the same of a server with this model, against FastAPI with one `translate_batch` a request
(`benchmarks/workers/serving_plainly.py`; FastAPI is to be installed for it), in turns. `latency`: the 99th percentile
at half the throughput, against a text alone. `overload`: ten times what the server can take. `many`: whether any answer
is lost, exchanged or late, and what the server's processes hold of memory.

The clients are one process that writes and reads HTTP by hand, so as to take little of the machine from the server.
Results are printed as one line of JSON.
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PLAIN = Path(__file__).parent / "workers" / "serving_plainly.py"


class Client:
    """One connection that asks one text at a time."""

    def __init__(self, port: int, path: str) -> None:
        self.port, self.path = port, path

    async def __aenter__(self) -> "Client":
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def __aexit__(self, *error: object) -> None:
        self.writer.close()

    async def ask(self, text: str, **fields: Any) -> tuple[int, dict[str, Any]]:
        """Return the status of an answer, and what it holds."""
        body = json.dumps({"inputs": text, **fields}).encode()
        head = f"POST {self.path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        self.writer.write(head.encode() + f"content-length: {len(body)}\r\n\r\n".encode() + body)
        head_read = await self.reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head_read, re.IGNORECASE)
        assert length is not None, head_read
        return int(head_read[9:12]), json.loads(await self.reader.readexactly(int(length[1])))


def text_of(answer: dict[str, Any]) -> str:
    """Return the text of an answer of either server."""
    return answer["translation"] if "translation" in answer else answer["outputs"][0]["hypotheses"][0]["text"]


# ---- servers ---------------------------------------------------------------------------------------------------------


@contextmanager
def server(*command: str, **environment: str) -> Iterator[tuple[int, int]]:
    """Yield port and process of a server that answers, and end it; `PORT` in the command is the port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [str(port) if word == "PORT" else word for word in command]
    quiet: dict[str, Any] = {"stderr": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, *words], env=os.environ | environment, **quiet)
    try:
        path = "/v1/generate" if "seq2seq.apps.command" in words else "/translate"
        for _ in range(600):
            try:
                if asyncio.run(answered(port, path)):
                    break
            except OSError:
                time.sleep(0.1)
        yield port, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


async def answered(port: int, path: str) -> bool:
    async with Client(port, path) as client:
        status, _ = await client.ask("a")
    return status == 200


def ours(model: str, *options: str) -> tuple[str, ...]:
    return ("-m", "seq2seq.apps.command", "serve", f"m={model}", "--port", "PORT", *options)


def memory_of(pid: int) -> int:
    """Return the bytes that a process and its children hold for themselves alone, and their share of the rest."""
    total = 0
    for one in [pid, *children_of(pid)]:
        found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{one}/smaps_rollup").read_text(), re.MULTILINE)
        total += int(found[1]) * 1024 if found else 0
    return total


def core_seconds_of(*pids: int) -> float:
    """Return the seconds of a core that processes have had so far."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(ticks) for words in fields for ticks in words[11:13]) / os.sysconf("SC_CLK_TCK")


def children_of(pid: int) -> list[int]:
    names = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [child for name in names for child in (int(name), *children_of(int(name)))]


# ---- loads -----------------------------------------------------------------------------------------------------------


async def closed_loop(port: int, path: str, texts: list[str], clients: int, **fields: Any) -> tuple[float, list[Any]]:
    """Return the seconds in which so many clients have had all texts answered, and the answers in order."""
    numbers = iter(range(len(texts)))
    found: list[Any] = [None] * len(texts)

    async def run() -> None:
        async with Client(port, path) as client:
            for number in numbers:
                begun = time.monotonic()
                status, answer = await client.ask(texts[number], **fields)
                found[number] = (status, answer, time.monotonic() - begun)

    start = time.monotonic()
    await asyncio.gather(*(run() for _ in range(clients)))
    return time.monotonic() - start, found


async def open_loop(port: int, texts: list[str], rate: float, seconds: float) -> list[tuple[int, float]]:
    """Return status and seconds of requests that come by chance, so many a second, whatever waits."""
    path, draw = "/v1/generate", random.Random(1)
    free: list[Client] = []
    found: list[tuple[int, float]] = []

    async def one(text: str) -> None:
        begun = time.monotonic()
        try:
            client = free.pop() if free else await Client(port, path).__aenter__()
            status, _ = await client.ask(text)
            free.append(client)
        except (OSError, asyncio.IncompleteReadError):
            status = 0  # no answer
        found.append((status, time.monotonic() - begun))

    tasks, end = [], time.monotonic() + seconds
    for text in itertools.cycle(texts):
        if time.monotonic() > end:
            break
        tasks.append(asyncio.create_task(one(text)))
        await asyncio.sleep(draw.expovariate(rate))
    await asyncio.gather(*tasks)
    for client in free:
        client.writer.close()
    return found


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


# ---- what is measured ------------------------------------------------------------------------------------------------


def throughput(arguments: argparse.Namespace, texts: list[str]) -> dict[str, Any]:
    rounds, core_seconds = [], []
    with server(*ours(arguments.model, *arguments.options)) as (port, pid):
        asyncio.run(closed_loop(port, "/v1/generate", texts[:200], arguments.clients))
        for _ in range(arguments.rounds):
            before = core_seconds_of(*children_of(pid)), core_seconds_of(pid), time.process_time()
            served, answers = asyncio.run(closed_loop(port, "/v1/generate", texts, arguments.clients))
            after = core_seconds_of(*children_of(pid)), core_seconds_of(pid), time.process_time()
            assert {status for status, _, _ in answers} == {200}
            decoded, of_cores = decoding_seconds(arguments.model, texts, arguments.options)
            rounds.append((len(texts) / served, len(texts) / decoded))
            core_seconds.append((*(end - begin for begin, end in zip(before, after, strict=True)), of_cores))
    places = ("searching", "server", "clients", "from_a_file")
    return {
        "texts_a_second": [round(one, 1) for one, _ in rounds],
        "from_a_file": [round(other, 1) for _, other in rounds],
        "ratio": round(statistics.median(one / other for one, other in rounds), 3),
        "core_milliseconds_a_text": {
            place: round(statistics.median(values) / len(texts) * 1000, 2)
            for place, values in zip(places, zip(*core_seconds, strict=True), strict=True)
        },
    }


def decoding_seconds(model: str, texts: list[str], options: list[str]) -> tuple[float, float]:
    """Return the seconds of decoding from a file, and those of cores, by the difference of all texts and of one."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        for lines in (texts[:1], texts):
            path = Path(folder) / f"{len(lines)}.txt"
            path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
            words = ["decode", "--model", model, "--input", str(path), "--output", f"{path}.out", *options]
            begun, of_cores = time.monotonic(), core_seconds_of_ended()
            subprocess.run([sys.executable, "-m", "seq2seq.apps.command", *words], check=True, capture_output=True)
            seconds.append((time.monotonic() - begun, core_seconds_of_ended() - of_cores))
    return seconds[1][0] - seconds[0][0], seconds[1][1] - seconds[0][1]


def core_seconds_of_ended() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def plain(arguments: argparse.Namespace, texts: list[str]) -> dict[str, Any]:
    other = arguments.other or arguments.model
    rounds = []
    threads = {} if arguments.handler_threads is None else {"OMP_NUM_THREADS": str(arguments.handler_threads)}
    for _ in range(arguments.rounds):
        with server(str(PLAIN), other, "PORT", **threads) as (port, _):
            theirs, _ = asyncio.run(closed_loop(port, "/translate", texts, arguments.clients))
        with server(*ours(arguments.model, *arguments.options)) as (port, _):
            asyncio.run(closed_loop(port, "/v1/generate", texts[:200], arguments.clients))
            here, _ = asyncio.run(closed_loop(port, "/v1/generate", texts, arguments.clients))
        rounds.append((len(texts) / here, len(texts) / theirs))
    return {
        "texts_a_second": [round(one, 1) for one, _ in rounds],
        "plain_handler": [round(other, 1) for _, other in rounds],
        "ratio": round(statistics.median(one / other for one, other in rounds), 2),
    }


def latency(arguments: argparse.Namespace, texts: list[str]) -> dict[str, Any]:
    with server(*ours(arguments.model, *arguments.options)) as (port, _):
        asyncio.run(closed_loop(port, "/v1/generate", texts[:200], arguments.clients))
        seconds, _ = asyncio.run(closed_loop(port, "/v1/generate", texts, arguments.clients))
        rate = len(texts) / seconds / 2
        _, alone = asyncio.run(closed_loop(port, "/v1/generate", texts[:200], 1))
        loaded = asyncio.run(open_loop(port, texts, rate, arguments.seconds))
    single = [took for _, _, took in alone]
    under_load = [took for _, took in loaded]
    return {
        "alone_median": round(statistics.median(single), 4),
        "alone_p99": round(percentile(single, 0.99), 4),
        "load_texts_a_second": round(rate, 1),
        "load_median": round(statistics.median(under_load), 4),
        "load_p99": round(percentile(under_load, 0.99), 4),
        "ratio_p99_to_alone_median": round(percentile(under_load, 0.99) / statistics.median(single), 2),
        "ratio_p99_to_alone_p99": round(percentile(under_load, 0.99) / percentile(single, 0.99), 2),
    }


def overload(arguments: argparse.Namespace, texts: list[str]) -> dict[str, Any]:
    with server(*ours(arguments.model, *arguments.options)) as (port, pid):
        seconds, _ = asyncio.run(closed_loop(port, "/v1/generate", texts, arguments.clients))
        rate = len(texts) / seconds * 10
        before = memory_of(pid)
        found = asyncio.run(open_loop(port, texts, rate, arguments.seconds))
        after = memory_of(pid)
        time.sleep(1)
        again = asyncio.run(answered(port, "/v1/generate"))
    accepted = [took for status, took in found if status == 200]
    statuses = sorted({status for status, _ in found})
    return {
        "asked_a_second": round(len(found) / arguments.seconds, 1),
        "statuses": {str(status): sum(1 for one, _ in found if one == status) for status in statuses},
        "accepted_slowest_seconds": round(max(accepted), 2),
        "memory_before_mb": before >> 20,
        "memory_after_mb": after >> 20,
        "answers_afterwards": again,
    }


def many(arguments: argparse.Namespace, texts: list[str]) -> dict[str, Any]:
    with server(*ours(arguments.model, *arguments.options)) as (port, pid):
        _, first = asyncio.run(closed_loop(port, "/v1/generate", texts, arguments.clients))
        expected = {text: text_of(answer) for text, (_, answer, _) in zip(texts, first, strict=True)}
        draw = random.Random(2)
        memory, wrong, lost, done = [], 0, 0, 0
        while done < arguments.requests:
            part = [draw.choice(texts) for _ in range(min(10_000, arguments.requests - done))]
            _, found = asyncio.run(closed_loop(port, "/v1/generate", part, arguments.clients))
            lost += sum(one is None or one[0] != 200 for one in found)
            wrong += sum(text_of(one[1]) != expected[text] for text, one in zip(part, found, strict=True) if one)
            done += len(part)
            memory.append(memory_of(pid) >> 20)
    return {
        "requests": done,
        "lost": lost,
        "exchanged": wrong,
        "memory_mb": memory,
        "growth_after_the_first_part": round(memory[-1] / memory[0] - 1, 4),
    }


KINDS = {"throughput": throughput, "plain": plain, "latency": latency, "overload": overload, "many": many}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--model", required=True, help="run, model folder or export")
    parser.add_argument("--other", help="export that the plain handler serves; default: `--model`")
    parser.add_argument("--input", required=True, help="file with one text per line")
    parser.add_argument("--lines", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--handler-threads", type=int, help="OpenMP threads of the plain handler; default: its own")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--options", nargs=argparse.REMAINDER, default=[], help="for `serve` and `decode`, at the end")
    arguments = parser.parse_args()
    texts = Path(arguments.input).read_text(encoding="utf-8").split("\n")[: arguments.lines]
    texts = [text for text in texts if text.strip()]
    result = KINDS[arguments.kind](arguments, texts)
    print(json.dumps({"kind": arguments.kind, "model": Path(arguments.model).name, "lines": len(texts)} | result))


if __name__ == "__main__":
    main()
