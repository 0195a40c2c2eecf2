import errno
import os
import resource

import pytest
import torch

from seq2seq.want import allowed, sentence, wanting

UNMAPPED = "libtorch_cpu.so: failed to map segment from shared object"
FAILED_ALLOCATION = "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to"


@pytest.mark.parametrize(
    ("error", "want"),
    [
        (MemoryError(), "memory"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "memory"),
        (RuntimeError(FAILED_ALLOCATION), "memory"),
        (RuntimeError("could not create a primitive"), "memory"),
        (RuntimeError("std::bad_alloc"), "memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "memory"),
        (RuntimeError("One of the subprocesses has abruptly died during map operation."), "memory"),
        (ImportError(UNMAPPED), "memory"),
        (Exception("Cannot allocate memory (os error 12)"), "memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory", "/lib"), "memory"),
        (RuntimeError("can't start new thread"), "processes"),
        (BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)), "processes"),
        (BlockingIOError(errno.EAGAIN, "write could not complete without blocking", 0), None),
        (OSError(errno.EMFILE, "Too many open files", "x"), "files"),
        (Exception("Too many open files (os error 24)"), "files"),
        (RuntimeError("[gloo] Connection closed by peer [127.0.0.1]:42"), "peers"),
        (type("DistStoreError", (RuntimeError,), {})("Timed out after 1801 seconds waiting for clients"), "peers"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), None),
        (OSError(errno.ENOSPC, "No space left on device"), None),
        (RuntimeError("shapes do not fit"), None),
        (ValueError("out of memory"), None),
        (KeyboardInterrupt("out of memory"), None),
    ],
)
def test_kinds_of_want(error: BaseException, want: str | None) -> None:
    assert wanting(error) == want


@pytest.mark.parametrize(
    ("behind", "want"), [(MemoryError(), "memory"), (BlockingIOError(errno.EAGAIN, "a lock is held"), None)]
)
def test_want_of_memory_is_what_stands_behind_an_error(behind: Exception, want: str | None) -> None:
    def read() -> None:
        try:
            raise behind
        except (MemoryError, OSError):
            raise ValueError("the file is damaged") from None

    with pytest.raises(ValueError, match="damaged") as raised:
        read()
    assert wanting(raised.value) == want


def test_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {resource.RLIMIT_AS: 300 * 2**20, resource.RLIMIT_NOFILE: 20}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (limits[kind], resource.RLIM_INFINITY))
    assert sentence(ImportError(f"{UNMAPPED}\nmore"), "memory", "lower it") == (
        f"there is not enough memory ({UNMAPPED}) within the 300 MiB that `ulimit -v` allows; lower it."
    )
    assert sentence(OSError(), "files", "lower it") == (
        "too many files are open: `ulimit -n` allows 20; raise it, or lower it."
    )
    assert wanting(RuntimeError("can't start new thread")) == "memory", "for its stack"
    assert "starts no further process or thread" in sentence(OSError(), "processes", "lower it")
    limits[resource.RLIMIT_AS] = resource.RLIM_INFINITY
    assert allowed(resource.RLIMIT_AS) is None
    assert sentence(MemoryError(), "memory", "lower it") == "there is not enough memory (MemoryError); lower it."


@pytest.mark.parametrize(("limit", "want"), [(2**28, "memory"), (resource.RLIM_INFINITY, None)])
def test_an_error_of_the_interpreter_is_want_of_memory_under_a_limit(
    limit: int, want: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (limit, limit))
    assert wanting(SystemError("error return without exception set")) == want
