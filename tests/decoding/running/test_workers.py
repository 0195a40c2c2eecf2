import math
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from seq2seq.decoding import BeamSearch, Sampling
from seq2seq.decoding.running import workers as workers_module
from seq2seq.decoding.running.in_process import InProcess
from seq2seq.decoding.running.workers import WITHOUT_MEMORY, WorkerProcesses, can_fork
from seq2seq.generation.batches import SourceBatch
from seq2seq.generation.corpus import decode_lines
from seq2seq.models.interface import UnsuitableModel
from tests.fakes import CharTokenizer, RandomModel

pytestmark = pytest.mark.skipif(not can_fork(), reason="processes share the weights under Linux only")

TOKENIZER = CharTokenizer()
MODEL = RandomModel(vocab_size=len(TOKENIZER.vocabulary), scale=3.0)
LINES = ["ab", "", "a cat", "the dog", "  ", "b", "cat", "a dog and a cat", "ab", "dog", "x"]


@pytest.mark.parametrize("search", [BeamSearch(beam_width=3, n_best=2, max_length=7), Sampling(n_best=2, max_length=7)])
@pytest.mark.parametrize("num_workers", [2, 3])
def test_workers_find_what_one_process_finds(search, num_workers):
    prefixes = ["a" * (len(line) % 3) for line in LINES]
    with WorkerProcesses(MODEL, search, num_workers) as workers:
        shared = list(decode_lines(LINES, workers, TOKENIZER, prefixes=prefixes, pool_lines=7))
    assert shared == list(decode_lines(LINES, InProcess(MODEL, search), TOKENIZER, prefixes=prefixes))


def test_results_come_in_the_order_of_batches_whatever_takes_longer():
    class Slow(RandomModel):
        def encode(self, input_ids, attention_mask):
            time.sleep(0.5 * float(input_ids[0, 0] == 5))
            return super().encode(input_ids, attention_mask)

    model, search = Slow(vocab_size=11), BeamSearch(beam_width=2, max_length=5)
    batches = [SourceBatch([[first, 2]], [row]) for row, first in enumerate([5, 6, 7, 5, 8, 9])]
    with WorkerProcesses(model, search, 2) as workers:
        assert list(workers.search_batches(iter(batches))) == list(InProcess(model, search).search_batches(batches))
        assert list(workers.search_batches([])) == []


def test_a_sentence_that_fails_is_a_result():
    broken = RandomModel(vocab_size=11)
    broken.logits = lambda source, prefix: MODEL.logits(source, prefix) * (math.nan if 6 in source else 1.0)
    batches = [SourceBatch([[first, 2], [6, 2], [7, 2]], [0, 1, 2]) for first in (5, 6, 8)]
    with WorkerProcesses(broken, BeamSearch(max_length=5), 2) as workers:
        found = list(workers.search_batches(batches))
    assert [[h.error is not None for [h] in batch] for batch in found] == [
        [False, True, False],
        [True, True, False],
        [False, True, False],
    ]
    assert "logits are not finite" in found[0][1][0].error


class Travelled(Exception):
    """Cannot be made anew from what it says."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (UnsuitableModel("no attention"), UnsuitableModel, "no attention"),
        (FileNotFoundError(2, "No such file", "weights"), FileNotFoundError, "[Errno 2] No such file: 'weights'"),
        (IndexError("index out of range"), IndexError, "index out of range"),
        (Travelled(1, 2), RuntimeError, "Travelled: 1 and 2"),
        (RuntimeError("could not create a primitive"), RuntimeError, "could not create a primitive"),
    ],
)
def test_an_exception_arrives_whole(error, kind, message, monkeypatch, caplog):
    def search_batches(self, batches):
        raise error

    monkeypatch.setattr(InProcess, "search_batches", search_batches)
    with pytest.raises(kind) as raised, WorkerProcesses(MODEL, BeamSearch(), 2) as workers:
        list(workers.search_batches([SourceBatch([[5, 2]], [0])]))
    assert (type(raised.value), str(raised.value)) == (kind, message)
    assert "in search_batches" in raised.value.__notes__[0]
    is_known = isinstance(error, ValueError | OSError) or "primitive" in message
    assert ("in search_batches" in caplog.text) == (not is_known)


class Fatal(RandomModel):
    """Ends its process as it is searched, by a signal or by itself."""

    def __init__(self, code):
        super().__init__(vocab_size=11)
        self.code = code

    def encode(self, input_ids, attention_mask):
        if self.code < 0:
            os.kill(os.getpid(), -self.code)
        os._exit(self.code)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (-signal.SIGKILL, "was ended by SIGKILL, most likely for want of memory; lower `--batch-tokens` or `--proc"),
        (-signal.SIGTERM, "was ended by SIGTERM.$"),
        (-signal.SIGUSR1, "was ended by SIGUSR1.$"),
        (3, "ended by itself, with exit code 3"),
        (0, "ended by itself, with exit code 0"),
        (WITHOUT_MEMORY, "ended by itself, with exit code 75, most likely for want of memory; lower"),
    ],
)
def test_a_worker_that_ends_is_named_as_what_it_is(code, message):
    with (
        pytest.raises(ChildProcessError, match=message),
        WorkerProcesses(Fatal(code), BeamSearch(max_length=5), 2) as workers,
    ):
        list(workers.search_batches([SourceBatch([[5, 2]], [0])]))


def test_a_worker_that_has_nothing_to_do_is_missed_too():
    """With nothing to search at all, for the others, and for itself."""

    def search(num_batches):
        with WorkerProcesses(MODEL, BeamSearch(max_length=5), 2) as workers:
            process = next(iter(workers._processes.values()))
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            list(workers.search_batches([SourceBatch([[5, 2]], [0])] * num_batches))

    for num_batches in (0, 1, 4):
        with pytest.raises(ChildProcessError, match="SIGKILL"):
            search(num_batches)


@pytest.mark.parametrize("round_number", range(20))
def test_workers_killed_at_any_moment(round_number):
    class Slow(RandomModel):
        def encode(self, input_ids, attention_mask):
            time.sleep(0.002)
            return super().encode(input_ids, attention_mask)

    randomness, found = random.Random(round_number), []

    def search():
        batches = (SourceBatch([[5 + i % 4, 2]] * 3, [0, 1, 2]) for i in range(10_000))
        with WorkerProcesses(Slow(vocab_size=11), BeamSearch(max_length=5), 3) as workers:
            process = randomness.choice(list(workers._processes.values()))
            threading.Timer(randomness.random() * 0.1, os.kill, (process.pid, signal.SIGKILL)).start()
            found.extend(workers.search_batches(batches))

    with pytest.raises(ChildProcessError, match="A process that searches was ended by SIGKILL"):
        search()
    expected = InProcess(RandomModel(vocab_size=11), BeamSearch(max_length=5)).search_batches(
        SourceBatch([[5 + number % 4, 2]] * 3, [0, 1, 2]) for number in range(len(found))
    )
    assert found == list(expected), "what came before is right"


def test_a_worker_without_memory_for_its_batch_says_so_without_a_traceback(monkeypatch, capfd):
    """What arrives or leaves needs memory too, outside of the search that answers by its exceptions."""

    monkeypatch.setattr(workers_module, "_answer", lambda searcher, batch: Unsendable())
    with (
        pytest.raises(ChildProcessError, match="exit code 75, most likely for want of memory"),
        WorkerProcesses(MODEL, BeamSearch(max_length=5), 2) as workers,
    ):
        list(workers.search_batches([SourceBatch([[5, 2]], [0])]))
    assert capfd.readouterr().err == ""


class Unsendable:
    def __reduce__(self):
        raise MemoryError


PARENT = """
import os, time
from seq2seq.decoding import Greedy
from seq2seq.decoding.running.workers import WorkerProcesses
from tests.fakes import RandomModel
workers = WorkerProcesses(RandomModel(vocab_size=11), Greedy(), 3)
print(*(process.pid for process in workers._processes.values()), flush=True)
time.sleep(60)
"""


def test_workers_end_when_their_parent_is_killed():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        workers = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(workers) == 3
        parent.kill()
    for _ in range(100):
        if not any(is_running(pid) for pid in workers):
            return
        time.sleep(0.1)
    raise AssertionError(f"still there: {[pid for pid in workers if is_running(pid)]}")


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


STOPPED = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job would ignore
from seq2seq.decoding import Greedy
from seq2seq.generation.batches import SourceBatch
from seq2seq.decoding.running.workers import WorkerProcesses
from tests.fakes import RandomModel
with WorkerProcesses(RandomModel(vocab_size=11), Greedy(max_length=5), 3) as workers:
    print("ready", flush=True)
    for _ in workers.search_batches(SourceBatch([[5, 2]] * 50, list(range(50))) for _ in range(10**6)):
        pass
"""


@pytest.mark.parametrize(("number", "last_line"), [(signal.SIGTERM, ""), (signal.SIGINT, "KeyboardInterrupt")])
@pytest.mark.parametrize("delay", [0.0, 0.03])
def test_no_worker_complains_when_the_parent_is_stopped(number, last_line, delay):
    command = [sys.executable, "-c", STOPPED]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    ) as parent:
        assert parent.stdout is not None
        assert parent.stderr is not None
        parent.stdout.readline()
        time.sleep(delay)
        if number == signal.SIGINT:  # a terminal sends it to all
            os.killpg(parent.pid, number)
        else:
            parent.send_signal(number)
        errors = parent.stderr.read()  # until the last worker has gone
    assert errors.strip().splitlines()[-1:] == ([last_line] if last_line else [])
    assert errors.count("Traceback") == bool(last_line), errors
    assert "Process ForkProcess" not in errors
