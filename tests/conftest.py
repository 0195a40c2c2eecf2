"""What every test runs under: one torch thread, a fixed seed, no network beyond this machine, warnings as errors."""

import os
import random
import socket
from collections.abc import Generator
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported, so set before anything else is
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import numpy
import pytest
import torch

torch.set_num_threads(1)

COLLECTED = pytest.StashKey[set[str]]()
"""Of a session: the files that a test was found in, or that said why they have none."""
WARNINGS = ("error", "ignore:The anyio.abc.BlockingPortal alias is deprecated:DeprecationWarning")
"""All but one, which starlette's client for tests gives rise to with some versions of anyio."""


class Collected:
    """Remembers what a session found, which it does not keep of tests that it leaves out."""

    def __init__(self, files: set[str]) -> None:
        self.files = files

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        found = [node.nodeid for node in report.result or () if isinstance(node, pytest.Item)]
        self.files.update(name.split("::")[0] for name in ([report.nodeid] if report.skipped else found))


def pytest_configure(config: pytest.Config) -> None:
    config.stash[COLLECTED] = set()
    config.pluginmanager.register(Collected(config.stash[COLLECTED]))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Make errors of warnings, from collection to the last test.

    In pyproject.toml it would hold from the first line on, and a plugin of pytest that happens to be installed on a
    machine, and warns while it is set up, would end the session before a test ran.
    """
    for line in WARNINGS:
        session.config.addinivalue_line("filterwarnings", line)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, Any, Any]:
    for line in WARNINGS:
        session.config.getini("filterwarnings").remove(line)
    return (yield)


LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1", "", None}

connect = socket.socket.connect
connect_ex = socket.socket.connect_ex


def refuse_remote(address: Any) -> None:
    """Raise RuntimeError unless the address is a Unix socket's path or on this machine."""
    host = address[0] if isinstance(address, tuple) else None
    if host not in LOCAL_HOSTS and not str(host).startswith("127."):
        raise RuntimeError(f"A test tried to reach {address}; tests that need the network are marked `network`.")


def local_connect(self: socket.socket, address: Any) -> None:
    refuse_remote(address)
    connect(self, address)


def local_connect_ex(self: socket.socket, address: Any) -> int:
    refuse_remote(address)
    return connect_ex(self, address)


@pytest.fixture(autouse=True)
def no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Python's sockets connect to this machine only, except in tests marked `network`."""
    if request.node.get_closest_marker("network") is None:
        monkeypatch.setattr(socket.socket, "connect", local_connect)
        monkeypatch.setattr(socket.socket, "connect_ex", local_connect_ex)


@pytest.fixture(autouse=True)
def fixed_seed() -> None:
    """Start each test from the same random state, so that no test depends on those before it."""
    random.seed(1)
    numpy.random.seed(1)
    torch.manual_seed(1)
