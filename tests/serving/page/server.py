"""A small server for tests of the page: it answers by a list of words, and can go away and return."""

import json
import math
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.serving.page.policy import PAGE

WORDS = {
    **{"the": "das", "old": "alte", "house": "Haus", "is": "ist", "small": "klein", "and": "und", "quiet": "still"},
    **{"a": "ein", "river": "Fluss", "runs": "läuft", "behind": "hinter", "it": "ihm"},
}
SHARES = {"Haus": 0.97, "klein": 0.62, "still": 0.31, "läuft": 0.45, "alte": 0.88}
"""How sure the model is of a word; of any other 0.99."""
OTHERS = {"still": "ruhig", "läuft": "fließt", "klein": "winzig"}
LIMITS = {
    **{"characters": 200, "texts": 8, "body_bytes": 10_000, "output_tokens": 64, "beam_width": 8, "n_best": 4},
    **{"queue_tokens": 1000, "seconds": 30},
}
BEAM = {"method": "beam", "beam_width": 5, "length_penalty": 1.0}
MOST_TOKENS = 16
INJECTION = "<img src=x onerror=\"document.title='taken'\">"


def served(name: str, source: list[str], target: list[str], **fields: Any) -> dict[str, Any]:
    languages = {"source_languages": source, "target_languages": target}
    head = {"id": name, "object": "model", "created": 0, "owned_by": "", "engine": "seq2seq", **languages}
    rest = {"generation_order": "l2r", "max_source_tokens": MOST_TOKENS, "search": BEAM, "explains": True}
    return head | rest | {"limits": LIMITS} | fields


MODELS = [
    served("english-german", ["en"], ["de", "fr"]),
    served("german-english", ["de"], ["en"], explains=False, engine="ctranslate2"),
    served("both-ends", [], [], generation_order="bidirectional"),
    served(INJECTION, [], [], explains=False),
]


class PageServer:
    """Serves at one address, from `start` to `stop`, as often as one likes.

    Attributes:
        may_write: while it is not set, streams stop after their first word.
        refusals: what the next requests are answered with: status, headers and error.
        asked: the bodies of all requests so far.
        token: that a request must bear, where there is one.
    """

    def __init__(self) -> None:
        self.may_write = threading.Event()
        self.may_write.set()
        self.refusals: list[tuple[int, dict[str, str], dict[str, Any]]] = []
        self.asked: list[dict[str, Any]] = []
        self.token: str | None = None
        self.server: ThreadingHTTPServer | None = None
        self.port = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        page_server = self

        class OwnHandler(Handler):
            owner = page_server

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), OwnHandler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def stop(self) -> None:
        """End all that runs, streams included, as a process that dies does."""
        if self.server is not None:
            server, self.server = self.server, None
            server.shutdown()
            self.may_write.set()
            server.server_close()
            self.thread.join()


class Handler(BaseHTTPRequestHandler):
    """Answers GET of the page and the models, POST of generation and explanation."""

    owner: PageServer

    def do_GET(self) -> None:
        if self.path == "/":
            self.answer(200, PAGE.read_bytes(), {"Content-Type": "text/html; charset=utf-8"})
        elif not self.may_pass():
            self.refuse(401, {}, {"name": "unauthorized", "message": "The token is wrong."})
        else:
            self.answer_json({"object": "list", "data": MODELS})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.owner.asked.append(body | {"path": self.path})
        if self.path == "/v1/explain":
            self.answer_json(explanation(body))
        elif self.owner.refusals:
            self.refuse(*self.owner.refusals.pop(0))
        elif len(body["inputs"].split()) > MOST_TOKENS and body["split"] == "none":
            message = f'The text has more than {MOST_TOKENS} tokens; shorten it, or ask with `"split": "sentences"`.'
            self.refuse(413, {}, {"name": "too_many_tokens", "message": message, "limit": MOST_TOKENS})
        else:
            self.stream(body)

    def stream(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        output = generated(body)
        for index, word in enumerate(output["hypotheses"][0]["text"].split(" ")):
            self.event({"event": "text", "index": 0, "text": " " * (index > 0) + word})
            self.owner.may_write.wait(10)
            if self.owner.server is None:
                return
        self.event({"event": "output", "index": 0, "output": output})
        self.event({"event": "done", "usage": {"source_tokens": output["source_tokens"], "target_tokens": 0}})

    def event(self, fields: dict[str, Any]) -> None:
        try:
            self.wfile.write(f"data: {json.dumps(fields)}\n\n".encode())
            self.wfile.flush()
        except ConnectionError:  # whoever has cancelled reads no more
            self.close_connection = True

    def may_pass(self) -> bool:
        return self.owner.token is None or self.headers["Authorization"] == f"Bearer {self.owner.token}"

    def refuse(self, status: int, headers: dict[str, str], error: dict[str, Any]) -> None:
        self.answer_json({"error": error}, status, headers)

    def answer_json(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.answer(status, json.dumps(content).encode(), {"Content-Type": "application/json"} | (headers or {}))

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def translation(text: str) -> list[str]:
    """Return the words of a text in German as far as they are known, each sentence beginning with a capital letter."""
    words = [WORDS.get(word.lower(), word) for word in words_of(text)]
    return [
        word if place and words[place - 1] != "." else word[:1].upper() + word[1:] for place, word in enumerate(words)
    ]


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+|[.,]|[^\s\w]+", text)


def tokens_of(words: list[str]) -> list[str]:
    """Return a SentencePiece-like spelling; long words are two tokens."""
    tokens = []
    for word in words:
        marked = word if word in (".", ",") else f"▁{word}"
        tokens += [marked[:5], marked[5:]] if len(marked) > 6 else [marked]
    return [*tokens, "</s>"]


def generated(body: dict[str, Any]) -> dict[str, Any]:
    words = translation(body["inputs"])
    others = [[OTHERS.get(word, word) for word in words], [*words[:-1], "dort", *words[-1:]]]
    others.append([OTHERS.get(word, word) for word in others[-1]])
    variants = [words, *others, words[::-1]]
    hypotheses = [hypothesis(variant, rank) for rank, variant in enumerate(variants[: body["n_best"]])]
    alarms = [{"name": "length_ratio", "message": "The output is much longer than the source."}] * (len(words) == 1)
    return {"hypotheses": hypotheses, "source_tokens": len(words), "segments": 1, "alarms": alarms}


def hypothesis(words: list[str], rank: int) -> dict[str, Any]:
    text = re.sub(r" ([.,])", r"\1", " ".join(words))
    tokens = tokens_of(words)
    shares = [SHARES.get(token.strip("▁"), 0.99) for token in tokens]
    score = sum(map(math.log, shares)) - rank * len(tokens) / 4
    found = {"text": text, "score": score, "normalized_score": score / len(tokens), "finished": True}
    return found | {"direction": "l2r", "tokens": tokens, "token_log_probs": list(map(math.log, shares))}


def explanation(body: dict[str, Any]) -> dict[str, Any]:
    """Each target token looks at the source token of its place, less at its neighbours."""
    source = tokens_of(words_of(body["input"]))
    target = tokens_of(words_of(body["output"]))
    attention = [
        shares([0.02 + 2.0 ** (-3 * abs(row - column)) for column in range(len(source))]) for row in range(len(target))
    ]
    found = {"source_tokens": source, "target_tokens": target, "attention": attention, "trace": None}
    if body["model"] == "both-ends":
        found["trace"] = {"steps": list(steps(target[:-1]))}
    return found


def shares(weights: list[float]) -> list[float]:
    return [weight / sum(weights) for weight in weights]


def steps(tokens: list[str]) -> Iterator[list[list[list[str]]]]:
    for length in range(len(tokens) // 2 + 1):
        left, right = tokens[:length], tokens[::-1][:length]
        yield [[row, [*row[:-1], "▁vielleicht"]] if row else [row] for row in (left, right)]
