"""What a model has cost and costs: time, memory, speed, size and energy, on which machine and with which versions.

The run's log and what was measured while its outputs were generated enter. What is not known is None.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from seq2seq.assembly.installation import describe_installation
from seq2seq.metrics.rouge import tokenize
from seq2seq.reporting.decoding import Decoded
from seq2seq.training.tracking import LOG_NAME, read_log

PROCESSORS = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class RunCost:
    """Of one run."""

    training_minutes: float | None
    """Spent in steps, validations left out."""
    training_steps: int | None
    training_tokens_per_second: float | None
    """Target tokens, in the middle of the log's lines."""
    training_memory_mib: float | None
    """The most that was in use."""
    parameters: int | None
    training_pairs: int | None
    decoding_seconds: float
    decoding_texts_per_second: float
    decoding_words_per_second: float
    decoding_joules_per_text: float | None
    """Of the processors, all programs together; None where the machine does not tell."""
    processes: int
    device: str


def cost_of(run: Path, decoded: Decoded, *, parameters: int | None, processes: int, device: str) -> RunCost:
    """Return the cost of a run with that of the trainings it began from within its folder; logs may be missing."""
    log = read_log(run / LOG_NAME)
    train = [entry for entry in log if entry["kind"] == "train"]
    stages = [
        [entry for entry in read_log(path) if entry["kind"] == "train"] for path in sorted(run.glob(f"*/{LOG_NAME}"))
    ]
    trainings = [entries for entries in (*stages, train) if entries]
    data: dict[str, Any] = next((entry for entry in reversed(log) if entry["kind"] == "data"), {})
    seconds = max(decoded.seconds, 1e-9)
    num_texts = max(1, len(decoded.outputs))
    speeds = _numbers(train, "tokens_per_second")
    memory = _numbers(train, "memory_mib")
    times = [max(found) for entries in trainings if (found := _numbers(entries, "seconds"))]
    return RunCost(
        training_minutes=sum(times) / 60 if times else None,
        training_steps=sum(max(entry["step"] for entry in entries) for entries in trainings) if train else None,
        training_tokens_per_second=median(speeds) if speeds else None,
        training_memory_mib=max(memory) if memory else None,
        parameters=parameters or data.get("parameters"),
        training_pairs=data.get("kept"),
        decoding_seconds=decoded.seconds,
        decoding_texts_per_second=len(decoded.outputs) / seconds,
        decoding_words_per_second=sum(len(tokenize(text)) for text in decoded.outputs) / seconds,
        decoding_joules_per_text=None if decoded.joules is None else decoded.joules / num_texts,
        processes=processes,
        device=device,
    )


def _numbers(entries: Sequence[dict[str, object]], name: str) -> list[float]:
    return [float(value) for entry in entries if isinstance(value := entry.get(name), int | float)]


def machine() -> dict[str, str | int]:
    """Return what a machine is and which versions it has, in the order in which people want to know it."""
    facts = {name: value for name, value in describe_installation().items() if not str(value).endswith("(optional)")}
    facts["processor"] = _processor() or facts["processor"]
    facts["cores"] = os.cpu_count() or 1
    return facts


def _processor() -> str:
    """Return the name of the processor, where Linux tells."""
    try:
        text = PROCESSORS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = text.partition("model name")[2].partition(":")[2].partition("\n")[0]
    return found.strip()
