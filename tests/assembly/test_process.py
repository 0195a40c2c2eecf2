import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from seq2seq.assembly.process import (
    KERNEL_CACHE_VARIABLE,
    SIZE_VARIABLES,
    launched_processes,
    num_cores,
    prepare_process,
)
from seq2seq.processes import OneProcess, cpu_quota

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


@pytest.mark.parametrize(
    ("groups", "files", "quota"),
    [
        ("0::/", {"cpu.max": "200000 100000\n"}, 2.0),
        ("0::/", {"cpu.max": "max 100000\n"}, None),
        ("0::/", {}, None),
        ("0::/a/b", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "150000 100000\n", "cpu.max": "800000 100000\n"}, 1.5),
        ("0::/of/the/host", {"cpu.max": "50000 100000\n"}, 0.5),
        (
            "5:cpuset:/\n4:cpu,cpuacct:/x\n",
            {"cpu/x/cpu.cfs_quota_us": "300000\n", "cpu/x/cpu.cfs_period_us": "100000\n"},
            3.0,
        ),
        ("4:cpu:/x\n0::/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ("4:cpu:/x\n", {"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1.0),
        ("4:memory:/x\n", {"cpu/x/cpu.cfs_quota_us": "300000\n", "cpu/x/cpu.cfs_period_us": "100000\n"}, None),
    ],
)
def test_quotas_of_control_groups(groups: str, files: dict[str, str], quota: float | None, tmp_path: Path) -> None:
    (tmp_path / "cgroup").write_text(groups)
    for name, text in files.items():
        (tmp_path / "fs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fs" / name).write_text(text)
    assert cpu_quota(tmp_path / "cgroup", tmp_path / "fs") == quota


@pytest.mark.parametrize(("quota", "cores"), [(None, 6), (2.0, 2), (1.5, 2), (0.2, 1), (64.0, 6)])
def test_cores_are_those_of_the_container(quota: float | None, cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 6)
    monkeypatch.setattr("seq2seq.processes.cpu_quota", lambda: quota)
    assert num_cores() == cores


def test_fewer_threads_than_none() -> None:
    with pytest.raises(ValueError, match="`threads` must be 0 .* but is -1"):
        prepare_process(-1)


@pytest.mark.parametrize("name", SIZE_VARIABLES)
def test_a_size_without_a_launcher_is_passed_over(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in {*SIZE_VARIABLES, *(more for mores in SIZE_VARIABLES.values() for more in mores)}:
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, "8")
    with pytest.warns(UserWarning, match=f"`{name}` is 8 .* this is taken for the only process"):
        assert launched_processes("cpu") == OneProcess("cpu")
    monkeypatch.setenv(name, "many")
    with pytest.warns(UserWarning, match=f"`{name}` is many"):
        assert launched_processes("cpu") == OneProcess("cpu")
    assert name not in os.environ, "accelerate would take it for true"
