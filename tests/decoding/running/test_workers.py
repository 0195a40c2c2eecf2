import math
import os
import signal
import subprocess
import sys
import time

import pytest

from seq2seq.decoding import BeamSearch, Sampling
from seq2seq.decoding.running.batches import InProcess, SourceBatch
from seq2seq.decoding.running.corpus import decode_lines
from seq2seq.decoding.running.workers import WorkerProcesses, can_fork
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


def test_an_error_of_a_search_is_raised_here():
    broken = RandomModel(vocab_size=11)
    broken.logits = lambda source, prefix: MODEL.logits(source, prefix) * math.nan
    with (
        pytest.raises(ValueError, match="logits are not finite"),
        WorkerProcesses(broken, BeamSearch(max_length=5), 2) as workers,
    ):
        list(workers.search_batches([SourceBatch([[5, 2]], [0])]))


def test_a_worker_that_was_killed_is_reported():
    class Fatal(RandomModel):
        def encode(self, input_ids, attention_mask):
            os.kill(os.getpid(), signal.SIGKILL)

    with (
        pytest.raises(ChildProcessError, match="lower `--batch-tokens` or `--processes`"),
        WorkerProcesses(Fatal(vocab_size=11), BeamSearch(max_length=5), 2) as workers,
    ):
        list(workers.search_batches([SourceBatch([[5, 2]], [0])]))


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
