"""Requests that nobody should send, against a real server: malformed, huge, slow, half-closed, cut off.

    python -m tests.end_to_end.hostile_requests 2000 SEED

Each connection must end in time, by a closed connection or by answers of 4xx in JSON; what is still a request after it
was damaged may be answered. Behind them the server must still answer, with nothing of a fault in its log. Prints how
each kind was answered.
"""

import asyncio
import json
import random
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.serving.served import served

AT_ONCE = 100
SECONDS = 45.0
"""Time after which a connection counts as hanging; a server waits 10 seconds for a head and 15 for a body."""
PATHS = ("/v1/generate", "/v1/explain", "/v1/completions", "/translate", "/detect", "/models/en-de", "/")
BODY = b'{"inputs": "a b"}'


@dataclass(frozen=True)
class Attack:
    """What is sent, and how."""

    pieces: tuple[bytes, ...]
    pause: float = 0.0
    """Seconds between pieces."""
    end: str = "wait"
    """`wait` for the server; `half`-close and wait; `reset`; `leave` without reading."""
    may_succeed: bool = False


def request(rng: random.Random, body: bytes = BODY, headers: bytes = b"", path: str = "") -> bytes:
    path = path or rng.choice(PATHS)
    kind = b"" if b"content-type" in headers else b"content-type: application/json\r\n"
    length = b"" if b"content-length" in headers or b"chunked" in headers else b"content-length: %d\r\n" % len(body)
    return b"POST %s HTTP/1.1\r\nhost: a\r\n%s%s%s\r\n%s" % (path.encode(), kind, length, headers, body)


def noise(rng: random.Random) -> Attack:
    return Attack((rng.randbytes(rng.randint(1, 3000)),), end=rng.choice(["wait", "half", "reset"]))


def another_protocol(rng: random.Random) -> Attack:
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(400)
    return Attack((rng.choice([hello, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"EHLO a\r\n", b"SSH-2.0-a\r\n\r\n"]),))


def cut_off(rng: random.Random) -> Attack:
    whole = request(rng)
    part = whole[: rng.randint(0, len(whole) - 1)]
    return Attack((part,), end=rng.choice(["half", "half", "reset", "leave", "wait"]))


def slow(rng: random.Random) -> Attack:
    whole = request(rng, body=BODY + b" " * 200)
    begin = rng.choice([0, whole.index(b"\r\n\r\n") + 4])
    rest = whole[begin:-1]
    return Attack((whole[:begin], *(rest[at : at + 1] for at in range(len(rest)))), pause=0.2)


def large_head(rng: random.Random) -> Attack:
    size = rng.randint(40_000, 400_000)
    return Attack(
        (
            rng.choice(
                [
                    b"GET /" + b"a" * size + b" HTTP/1.1\r\n\r\n",
                    b"GET / HTTP/1.1\r\na: " + b"b" * size + b"\r\n\r\n",
                    b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * (size // 6) + b"\r\n",
                ]
            ),
        )
    )


def large_body(rng: random.Random) -> Attack:
    size = rng.randint(1_000_001, 3_000_000)
    if rng.random() < 0.5:
        return Attack((request(rng, b'{"inputs": "' + b"a" * size + b'"}'),))
    part = b"%x\r\n" % 50_000 + b"a" * 50_000 + b"\r\n"
    return Attack((request(rng, part * (size // 50_000 + 2), b"transfer-encoding: chunked\r\n"),))


def broken_length(rng: random.Random) -> Attack:
    headers = rng.choice(
        [
            b"content-length: -5\r\n",
            b"content-length: 5\r\ncontent-length: 7\r\n",
            b"content-length: 99999999999999999999999\r\n",
            b"content-length: 0x11\r\n",
            b"content-length: 17\r\ntransfer-encoding: chunked\r\n",
            b"transfer-encoding: chunked, identity\r\n",
        ]
    )
    return Attack((request(rng, headers=headers),), end=rng.choice(["wait", "half"]))


def broken_chunks(rng: random.Random) -> Attack:
    body = rng.choice([b"zz\r\n", b"-1\r\na\r\n", b"5\r\nab\r\n", b"fffffffffffffffff\r\n", b"2\r\nabc\r\n0\r\n\r\n"])
    return Attack((request(rng, body, b"transfer-encoding: chunked\r\n"),), end=rng.choice(["wait", "half"]))


def no_json(rng: random.Random) -> Attack:
    body = bytearray(json.dumps({"inputs": ["a", "b"], "q": "a", "n": 1.5}).encode())
    match rng.randrange(6):
        case 0:
            body = body[: rng.randint(0, len(body) - 1)]
        case 1:
            body[rng.randrange(len(body))] = 0xFF
        case 2:
            body = bytearray(rng.choice([b"[", b'{"a":']) * rng.randint(1000, 100_000))
        case 3:
            body = bytearray(b'{"inputs": "\\ud8%02x"}' % rng.randrange(256))
        case 4:
            body = bytearray(b'{"inputs": "a", "inputs": "b"}')
        case _:
            body = bytearray(b'{"inputs": "a", "seconds": %s}' % rng.choice([b"NaN", b"Infinity", b"1" * 5000]))
    return Attack((request(rng, bytes(body)),), end=rng.choice(["wait", "wait", "half"]))


def wrong_values(rng: random.Random) -> Attack:
    names = ("inputs", "prompt", "q", "options", "n_best", "seconds", "source", "model", "prefix", "parameters", "zzz")

    def value(depth: int) -> Any:
        match rng.randrange(8 if depth < 3 else 6):
            case 0:
                return rng.choice([None, True, False])
            case 1:
                return rng.choice([-1, 0, 10**30, 1e308, -0.0, 1e-320])
            case 2:
                return "../../etc/passwd"
            case 3:
                return "\0" if rng.random() < 0.3 else "é" * rng.randrange(100)
            case 4:
                return rng.choice(["-1", "file:///etc/passwd", "%s%n", "${7*7}", "'; --"])
            case 5:
                return []
            case 6:
                return [value(depth + 1) for _ in range(rng.randrange(200))]
        return {rng.choice(names): value(depth + 1) for _ in range(rng.randrange(6))}

    return Attack((request(rng, json.dumps(value(0)).encode()),), may_succeed=True)


def wrong_place(rng: random.Random) -> Attack:
    method = rng.choice([b"GET", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"PATCH", b"CONNECT", b"BREW", b"get", b""])
    path = rng.choice(
        [
            *(b"/../../etc/passwd", b"/models/..%2f..%2fetc%2fpasswd", b"//", b"*", b"/%00", b"/%ff", b"/\xff"),
            *(b"http://[::1", b"/v1/models/" + b"a/" * 1000, b"/v1/generate?a=%zz", b"/translate?q=%ff", b"nothing"),
        ]
    )
    version = rng.choice([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/0.9", b"HTTP/3", b"", b"http/1.1"])
    return Attack((method + b" " + path + b" " + version + b"\r\nconnection: close\r\n\r\n",), may_succeed=True)


def wrong_headers(rng: random.Random) -> Attack:
    headers = rng.choice(
        [
            *(b"content-type: text/xml\r\n", b"content-type: application/json; charset=utf-16\r\n"),
            *(b"content-encoding: gzip\r\n", b"content-type: multipart/form-data; boundary=a\r\n"),
            *(b"expect: 100-continue\r\n", b"a: \x7f\r\n"),
            *(b"authorization: \xff\xfe\r\n", b"upgrade: websocket\r\nconnection: upgrade\r\n"),
            *(b"a\0b: c\r\n", b": c\r\n"),
            *(b"connection: \x01\r\n", b"host: a\r\nhost: b\r\n", b" folded: a\r\n", b"content-type: \r\n"),
        ]
    )
    return Attack((request(rng, headers=headers + b"connection: close\r\n"),), may_succeed=True)


def nonsense_behind(rng: random.Random) -> Attack:
    return Attack((request(rng) * rng.randint(1, 20) + rng.randbytes(50) + b"\r\n\r\n",), may_succeed=True)


def damaged(rng: random.Random) -> Attack:
    whole = bytearray(request(rng, headers=b"connection: close\r\n"))
    for _ in range(rng.randint(1, 4)):
        whole[rng.randrange(len(whole))] = rng.randrange(256)
    return Attack((bytes(whole),), end=rng.choice(["wait", "half"]), may_succeed=True)


def gone(rng: random.Random) -> Attack:
    stream = rng.choice([b"true", b"false"])
    body = b'{"inputs": ["go on", "wait for me"], "stream": %s}' % stream
    whole = request(rng, body, path="/v1/generate")
    return Attack((whole,), end=rng.choice(["leave", "reset", "half"]), may_succeed=True)


def never_read(rng: random.Random) -> Attack:
    return Attack((b"GET /v1/models HTTP/1.1\r\nhost: a\r\n\r\n" * 300,), end=rng.choice(["leave", "reset"]))


KINDS: tuple[Callable[[random.Random], Attack], ...] = (
    *(noise, another_protocol, cut_off, slow, large_head, large_body, broken_length, broken_chunks, no_json),
    *(wrong_values, wrong_place, wrong_headers, nonsense_behind, damaged, gone, never_read),
)


async def outcome(port: int, attack: Attack) -> str:
    """Return what came of an attack: `closed`, statuses, or what was wrong with an answer."""
    try:
        async with asyncio.timeout(SECONDS):
            return judged(await _exchange(port, attack), attack)
    except TimeoutError:
        return "WRONG: hangs"


async def _exchange(port: int, attack: Attack) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    got = b""
    reading = asyncio.ensure_future(_all(reader))
    try:
        for piece in attack.pieces:
            writer.write(piece)
            await writer.drain()
            if attack.pause:
                await asyncio.wait([reading], timeout=attack.pause)
                if reading.done():
                    break
        if attack.end == "half":
            writer.write_eof()
        if attack.end in ("wait", "half"):
            got = await reading
    except ConnectionError:
        got = await reading
    finally:
        reading.cancel()
        if attack.end == "reset":
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.close()
    return got


async def _all(reader: asyncio.StreamReader) -> bytes:
    got = b""
    try:
        while part := await reader.read(65536):
            got += part
    except ConnectionError:
        pass
    return got


def judged(got: bytes, attack: Attack) -> str:
    statuses = []
    while got:
        head, _, got = got.partition(b"\r\n\r\n")
        status = int(head.split()[1])
        if status == 100:
            continue
        statuses.append(status)
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
        }
        if not (400 <= status < 500 or (attack.may_succeed and 200 <= status < 300)):
            return f"WRONG: {status}"
        if b"content-length" not in headers:  # a stream or a page
            break
        body, got = got[: int(headers[b"content-length"])], got[int(headers[b"content-length"]) :]
        if status >= 400:
            if headers.get(b"content-type") != b"application/json":
                return f"WRONG: {headers.get(b'content-type')!r}"
            if b"HEAD" not in attack.pieces[0][:4] and "error" not in json.loads(body):
                return "WRONG: no error in the answer"
    return " ".join(map(str, sorted({*statuses}))) or "closed"


async def attack_all(port: int, number: int, seed: int) -> Counter[tuple[str, str]]:
    """Return how many attacks of each kind came to what."""
    found: Counter[tuple[str, str]] = Counter()
    free = asyncio.Semaphore(AT_ONCE)

    async def one(index: int) -> None:
        rng = random.Random(f"{seed}.{index}")
        kind = KINDS[index % len(KINDS)]
        async with free:
            came_to = await outcome(port, kind(rng))
        found[kind.__name__, came_to] += 1
        if came_to.startswith("WRONG"):
            print(f"{index}: {kind.__name__}: {came_to}", file=sys.stderr)

    await asyncio.gather(*(one(index) for index in range(number)))
    return found


def resident_megabytes(process: int) -> float:
    with open(f"/proc/{process}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS"))


GOOD = Attack((request(random.Random(0), headers=b"connection: close\r\n", path="/v1/generate"),), may_succeed=True)


def hostile_run(number: int, seed: int) -> tuple[Counter[tuple[str, str]], list[str]]:
    """Return how many attacks of each kind came to what, and what is wrong with the server behind them."""
    wrong = []
    with served() as server:
        memory = resident_megabytes(server.process.pid)
        began = time.monotonic()
        found = asyncio.run(attack_all(server.port, number, seed))
        seconds = time.monotonic() - began
        good = judged(asyncio.run(_exchange(server.port, GOOD)), GOOD)
        if good != "200":
            wrong.append(f"a good request is answered by {good}")
        memory_now = resident_megabytes(server.process.pid)
        status, said = server.end()
    print(f"{number} in {seconds:.0f} s; {memory:.0f} MB before, {memory_now:.0f} MB behind")
    if status != 0 or "Traceback" in said or "Error" in said:
        wrong.append(f"the server ends with {status} and says: {said[-3000:]}")
    wrong += [f"{kind}: {came_to}" for kind, came_to in found if came_to.startswith("WRONG")]
    return found, wrong


def main(arguments: list[str]) -> int:
    number, seed = int(arguments[0]), int(arguments[1])
    found, wrong = hostile_run(number, seed)
    for (kind, came_to), count in sorted(found.items()):
        print(f"{kind:18} {came_to:30} {count}")
    print("\n".join(wrong) or "Nothing is wrong.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
