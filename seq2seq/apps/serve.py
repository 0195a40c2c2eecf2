"""Serve trained models over HTTP, with a page for people.

    seq2seq serve runs/mine
    seq2seq serve en-de=runs/a de-en=exported/de-en --max-queue-tokens 100000

A model is a run, a model folder, or an export for CTranslate2, with a name in front of it if it should have another
than its folder's. A name such as `en-de` also says the languages of its texts. The page is at http://127.0.0.1:8000,
the routes are described there as `/openapi.json` and in docs/serving.md. SIGTERM and Ctrl-C answer what was accepted,
and end. Search options are those of the model unless a request says otherwise.
"""

import argparse
import asyncio
import gc
import multiprocessing
import os
import re
from collections.abc import Mapping
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from seq2seq.apps.option_values import integer, number
from seq2seq.engines.ctranslate2_engine import COMPUTE_TYPES, CTranslate2Engine, is_export
from seq2seq.generation.engine import TextEngine
from seq2seq.processes import allowed_cores
from seq2seq.serving.limits import Limits
from seq2seq.serving.searching_processes import Keeper, Load
from seq2seq.serving.served_models import ServedModel
from seq2seq.serving.service import Service

LIMITS = {
    "characters": "characters of all texts of a request",
    "texts": "texts of a request",
    "body_bytes": "bytes of a request's body",
    "output_tokens": "tokens of a hypothesis",
    "beam_width": "hypotheses that a search may keep",
    "n_best": "hypotheses of a text in an answer",
    "queue_tokens": "source tokens that may wait; beyond them the answer is 429",
    "seconds": "seconds that a request may take, waiting included",
}
"""What each limit is, for its option."""
PAIR = re.compile(r"([a-z]{2,3}(?:_[A-Za-z]+)?)-([a-z]{2,3}(?:_[A-Za-z]+)?)")
"""Names that say the languages of a model."""
MODEL_FOLDERS = ("model",)
"""Folders within a run by whose name nobody knows it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("models", nargs="+", metavar="[NAME=]MODEL", help="run directory, model folder or export")
    parser.add_argument("--host", default="127.0.0.1", help="interface to listen at; default: this machine alone")
    parser.add_argument("--port", type=integer, default=8000, help="0 takes any that is free; default: %(default)s")
    parser.add_argument(
        "--token-file", metavar="FILE", help="file whose first line requests must bring as a bearer token"
    )
    parser.add_argument("--checkpoint", help="of runs: `best`, `last` or a step instead of what they have exported")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1 …; default: the GPU where there is one")
    parser.add_argument(
        "--precision", choices=[*COMPUTE_TYPES, "auto"], help="compute type; default: that of the weights"
    )
    parser.add_argument(
        "--processes", type=integer, default=0, help="searching processes of each model; default: one a core, or a GPU"
    )
    defaults = Limits()
    group = parser.add_argument_group("limits of a request")
    for name, text in LIMITS.items():
        default = vars(defaults)[name]
        group.add_argument(
            f"--max-{name.replace('_', '-')}",
            type=number if isinstance(default, float) else integer,
            default=default,
            help=f"{text}; default: {default:g}" if isinstance(default, float) else f"{text}; default: {default}",
        )


def run(arguments: argparse.Namespace) -> int:
    require_server()
    from seq2seq.serving.server import Address, serve

    address = Address(arguments.host, arguments.port)
    token = read_token(arguments.token_file)
    limits = Limits(**{name: getattr(arguments, f"max_{name}") for name in LIMITS})
    if arguments.processes < 0:
        raise ValueError(f"`--processes` must be at least 0, but is {arguments.processes}.")
    places = named_models(arguments.models)
    models, loads, numbers = {}, {}, {}
    for name, path in places.items():
        engine, load, number_of_processes = served_engine(path, arguments)
        pair = PAIR.fullmatch(name)
        models[name] = ServedModel(name, engine, None if pair is None else (pair[1], pair[2]))
        loads[name], numbers[name] = load, number_of_processes
    gc.collect()
    gc.freeze()  # what is loaded stays, and need not be looked at for garbage again and again
    keeper = Keeper(loads)  # before there are threads or connections
    service = Service(models, limits, keeper, numbers)

    async def answer() -> None:
        service.open()
        try:
            await serve(service, address, token)
        finally:
            await service.close()

    asyncio.run(answer())
    return 0


def require_server() -> None:
    """Raise ValueError with the way to install what serving needs, where it is missing."""
    for name in ("starlette", "uvicorn", "httptools", "prometheus_client", "sentencex"):
        if find_spec(name) is None:
            raise ValueError(f"{name} is not installed: `pip install seq2seq-toolkit[serve]`.")


def read_token(path: str | None) -> str | None:
    """Return the token that a file holds; raise ValueError if it holds none."""
    if path is None:
        return None
    token = Path(path).read_text(encoding="utf-8").strip()
    if not token or any(character.isspace() for character in token):
        raise ValueError(f"{path}: a token is one word on the first line.")
    return token


def named_models(words: list[str]) -> dict[str, str]:
    """Return the places of models by their names; raise ValueError for a name that stands twice."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, path = word.partition("=")
        if not equals or os.path.exists(word):
            path, name = word, folder_name(word)
        if not re.fullmatch(r"[\w.@+-]+", name):
            raise ValueError(f"`{word}`: a model's name is of letters, digits and ._@+-, but is {name!r}.")
        if name in found:
            raise ValueError(f"Two models are called `{name}`; give them names, as in `other={path}`.")
        found[name] = path
    return found


def folder_name(path: str) -> str:
    """Return the name by which people know a model's folder."""
    place = Path(path).absolute()
    return place.parent.name if place.name in MODEL_FOLDERS else place.name


def check_opens(engine: CTranslate2Engine) -> None:
    """Raise ValueError if CTranslate2 cannot open an export, which otherwise each searching process would find anew.

    That is tried in a process of its own, since threads of CTranslate2 survive no fork.
    """
    here, there = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_tell_of_opening, args=(engine, there))
    process.start()
    there.close()
    try:
        problem = here.recv()
    except EOFError:
        problem = "A process that opened an export for CTranslate2 was ended, most likely for want of memory."
    process.join()
    if problem is not None:
        raise ValueError(problem)


def _tell_of_opening(engine: CTranslate2Engine, connection: Connection) -> None:
    try:
        engine.searcher().opened()
        connection.send(None)
    except ValueError as error:
        connection.send(str(error))


def served_engine(path: str, arguments: argparse.Namespace) -> tuple[TextEngine, Load, int]:
    """Return a model's engine for checks, what returns the one that searches, and how many processes search."""
    cores = arguments.processes or allowed_cores()
    if is_export(path):
        made = CTranslate2Engine(path, "cpu" if arguments.device == "auto" else arguments.device, arguments.precision)
        check_opens(made)
        return made, lambda: made, cores
    from seq2seq.assembly.generator import load, pick_device
    from seq2seq.assembly.process import prepare_process

    prepare_process(1)  # before anything is computed; each process has a thread, since others search beside it
    device = pick_device(arguments.device)
    options: Mapping[str, Any] = {"precision": arguments.precision, "checkpoint": arguments.checkpoint}
    if device == "cpu":
        generator = load(path, device=device, **options)
        return generator, lambda: generator, cores

    def load_there() -> TextEngine:
        return load(path, device=device, **options)

    return load(path, device="cpu", **options), load_there, arguments.processes or 1
