"""What a server counts of itself, in a registry of its own, as Prometheus reads it."""

import time
from collections.abc import Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from seq2seq.serving.requests import Answering, Output

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
TOKENS = (1, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)


class Measures:
    """Counters, histograms and gauges of one service."""

    def __init__(self, service: Answering) -> None:
        self.registry = CollectorRegistry()
        made: dict[str, Any] = {"registry": self.registry, "namespace": "seq2seq"}
        self.requests = Counter("requests", "Requests by route and status", ["route", "status"], **made)
        self.refusals = Counter("refusals", "Requests that were refused, by the name of the reason", ["name"], **made)
        self.running = Gauge("requests_running", "Requests that are being answered", **made)
        self.first_token = Histogram(
            "seconds_to_first_token", "Seconds to the first text of a stream", buckets=SECONDS, **made
        )
        self.last_token = Histogram("seconds_to_last_token", "Seconds to the last output", buckets=SECONDS, **made)
        self.source_tokens = Counter("source_tokens", "Tokens of sources", **made)
        self.target_tokens = Counter("target_tokens", "Tokens of the best hypotheses", **made)
        self.source_lengths = Histogram("source_length_tokens", "Tokens of a source", buckets=TOKENS, **made)
        self.target_lengths = Histogram("target_length_tokens", "Tokens of a best hypothesis", buckets=TOKENS, **made)
        self.failures = Counter("search_failures", "Texts whose search failed", **made)
        self.alarms = Counter("alarms", "Alarms of outputs, by name", ["name"], **made)
        self.clients_gone = Counter("clients_gone", "Clients that left before their answer", **made)
        Gauge("queue_tokens", "Source tokens that wait", **made).set_function(lambda: service.queue_tokens)
        Gauge("batch_rows", "Rows that are being searched", **made).set_function(lambda: service.batch_rows)
        Gauge("ready", "Whether every model can decode", **made).set_function(lambda: float(service.is_ready))

    def count(self, outputs: Sequence[Output], started: float) -> None:
        """Count what became of the texts of a request that began at this time of `time.monotonic`."""
        self.last_token.observe(time.monotonic() - started)
        for output in outputs:
            best = output.hypotheses[0] if output.hypotheses else None
            if best is None or best.error is not None:
                self.failures.inc()
                continue
            self.source_tokens.inc(output.source_tokens)
            self.target_tokens.inc(len(best.tokens))
            self.source_lengths.observe(output.source_tokens)
            self.target_lengths.observe(len(best.tokens))
            for alarm in output.alarms:
                self.alarms.labels(alarm.name).inc()

    def written(self) -> bytes:
        return generate_latest(self.registry)
