"""Would a server gain by refilling the places of finished sentences? A simulation by what steps were measured to cost.

    python benchmarks/refilling.py --texts data/multi30k/raw/test_2016_flickr.de
    python benchmarks/refilling.py --texts data/multi30k/raw/test_2016_flickr.de --fixed 30

A step of a process that searches n sentences takes `--fixed` + n * `--each` milliseconds. The defaults follow from what
`benchmarks/serving.py` measured on two cores (docs/results/serving.md): a text alone takes 64 ms, a process decodes 65
texts a second in batches of 37 and 80 in batches of 126. Of a text that arrives while all search, `to the end` waits
until a process has finished its batch, as the server does; `refilled` waits for the next step. Sharing out is the
server's: a process takes no more than its share of all that is queued and searched. Prints a line of JSON for each.
"""

import argparse
import heapq
import json
import math
import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

PIECES_A_WORD = 1.3
"""Tokens of a word of captions by subwords of 8,000; a text has one more, its end."""
POLICIES = ("to the end", "refilled")
CLIENTS = 64


@dataclass
class Process:
    """One that searches: its clock in milliseconds; of each sentence its arrival and the steps that it still has."""

    clock: float = 0.0
    running: list[tuple[float, int]] = field(default_factory=list)


@dataclass(frozen=True)
class Machine:
    """What things cost, in milliseconds."""

    fixed: float
    each: float
    encoding: float
    processes: int


def simulated(
    machine: Machine, policy: str, first: list[tuple[float, int]], again: Callable[[float], tuple[float, int] | None]
) -> tuple[list[float], float]:
    """Return the latency of each text, in milliseconds, and when the last was done.

    Args:
        first: arrivals and steps.
        again: what comes once a text is done at some time; None = nothing.
    """
    coming, queue, latencies = list(first), [], []
    heapq.heapify(coming)
    processes = [Process() for _ in range(machine.processes)]
    while True:
        process = min(processes, key=lambda one: one.clock)
        while coming and coming[0][0] <= process.clock:
            queue.append(heapq.heappop(coming))
        if queue and (policy == "refilled" or not process.running):
            share = math.ceil((len(queue) + sum(len(one.running) for one in processes)) / machine.processes)
            taken = queue[: max(0, share - len(process.running))]
            del queue[: len(taken)]
            process.running += taken
            process.clock += machine.encoding * len(taken)
        if not process.running:
            others = [one.clock for one in processes if one.running]
            if not (coming or queue or others):
                return latencies, max(one.clock for one in processes)
            next_events = [*others, *([coming[0][0]] if coming else [])]
            process.clock = max(math.nextafter(process.clock, math.inf), min(next_events))
            continue
        process.clock += machine.fixed + machine.each * len(process.running)
        staying = []
        for arrival, steps in process.running:
            if steps > 1:
                staying.append((arrival, steps - 1))
            else:
                latencies.append(process.clock - arrival)
                if (next_text := again(process.clock)) is not None:
                    heapq.heappush(coming, next_text)
        process.running = staying


def closed(machine: Machine, policy: str, lengths: list[int], number: int, pause: float, seed: int) -> float:
    """Return the texts a second of clients that ask anew as soon as they are answered.

    Args:
        pause: milliseconds between an answer and the next text of a client.
    """
    draw, left = random.Random(seed), number - CLIENTS

    def again(now: float) -> tuple[float, int] | None:
        nonlocal left
        left -= 1
        return (now + pause, draw.choice(lengths)) if left >= 0 else None

    latencies, end = simulated(machine, policy, [(0.0, draw.choice(lengths)) for _ in range(CLIENTS)], again)
    return 1000 * len(latencies) / end


def open_load(machine: Machine, policy: str, lengths: list[int], number: int, rate: float, seed: int) -> list[float]:
    """Return the sorted latencies of texts that come at random, so many a second."""
    draw, now, arrivals = random.Random(seed), 0.0, []
    for _ in range(number):
        now += 1000 * draw.expovariate(rate)
        arrivals.append((now, draw.choice(lengths)))
    return sorted(simulated(machine, policy, arrivals, lambda now: None)[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", required=True, type=Path, help="outputs, one a line, whose lengths are drawn from")
    parser.add_argument("--fixed", type=float, default=3.0, help="milliseconds of a step; default: %(default)s")
    parser.add_argument("--each", type=float, default=0.93, help="milliseconds of a sentence; default: %(default)s")
    parser.add_argument("--encoding", type=float, default=1.0, help="milliseconds of a source; default: %(default)s")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--pause", type=float, default=1.2, help="milliseconds of HTTP and a client a text")
    parser.add_argument("--number", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    words = [len(line.split()) for line in given.texts.read_text(encoding="utf-8").splitlines()]
    lengths = [math.ceil(PIECES_A_WORD * number) + 1 for number in words]
    machine = Machine(given.fixed, given.each, given.encoding, given.processes)
    alone = sorted(given.encoding + steps * (given.fixed + given.each) for steps in lengths)
    rates = {policy: closed(machine, policy, lengths, given.number, given.pause, given.seed) for policy in POLICIES}
    for policy in POLICIES:
        found = open_load(machine, policy, lengths, given.number, rates[POLICIES[0]] / 2, given.seed)
        facts = {
            "policy": policy,
            "texts_per_second_of_64_clients": round(rates[policy], 1),
            "median_at_half_load_ms": round(statistics.median(found), 1),
            "p99_at_half_load_ms": round(found[int(0.99 * len(found))], 1),
            "median_alone_ms": round(statistics.median(alone), 1),
            "p99_alone_ms": round(alone[int(0.99 * len(alone))], 1),
        }
        print(json.dumps(facts))


if __name__ == "__main__":
    main()
