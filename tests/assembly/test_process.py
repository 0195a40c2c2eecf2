import os
import resource
import subprocess
import sys

import pytest

from seq2seq.assembly.process import KERNEL_CACHE_VARIABLE, launched_processes

FAULTS = """
import resource, torch
from seq2seq.assembly.process import keep_freed_memory, prepare_process
{prepare}
def fill():
    for _ in range(10):
        torch.ones(5_000_000)
fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
fill()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def output_of(program: str, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], env=os.environ | environment, check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="`mallopt` is an option of glibc")
def test_freed_memory_is_kept() -> None:
    """20 MB ten times are 48,000 pages of 4 KiB: mapped every time without, and once with."""
    pages = 10 * 5_000_000 * 4 // resource.getpagesize()
    freed = """import ctypes; ctypes.CDLL(None).mallopt(-3, 2**20)"""
    assert int(output_of(FAULTS.format(prepare=freed))) > pages // 2
    assert int(output_of(FAULTS.format(prepare="keep_freed_memory()"))) < pages // 100


def test_a_kernel_cache_that_the_user_chose_stays() -> None:
    program = f"""
import os
from seq2seq.assembly.process import keep_freed_memory, prepare_process
prepare_process(1)
import torch
print(os.environ[{KERNEL_CACHE_VARIABLE!r}], torch.get_num_threads())
"""
    assert output_of(program, **{KERNEL_CACHE_VARIABLE: "7"}) == "7 1\n"


def test_attention_is_left_to_kernels_without_plans() -> None:
    program = """
import torch
from seq2seq.assembly.process import prepare_process
before = torch.backends.cuda.cudnn_sdp_enabled()
prepare_process()
print(before, torch.backends.cuda.cudnn_sdp_enabled())
"""
    assert output_of(program) == "True False\n"


def test_one_process_needs_no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    alone = launched_processes("cpu")
    assert (alone.process_index, alone.num_processes, alone.is_main_process) == (0, 1, True)
    alone.wait_for_everyone()
