from dataclasses import replace

import pytest
import torch

from seq2seq.assembly.configuration import RunConfig
from seq2seq.fitting import sharing
from seq2seq.fitting.plan import parsed
from seq2seq.fitting.record import machine_line
from seq2seq.fitting.sharing import (
    Sharing,
    check_processes,
    check_shares,
    num_devices,
    of_one_process,
    record_of,
    shares_of_run,
    sharing_of,
)
from tests.fitting.test_times import SPEED


def config(**data: int) -> RunConfig:
    return parsed({"run_directory": "x"} | {f"data.{name}": value for name, value in data.items()})


def with_devices(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "num_devices", lambda: number)


def test_a_machine_without_gpus_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    assert num_devices() == 0
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 3)
    assert num_devices() == 3


@pytest.mark.parametrize(
    ("devices", "asked", "tokens", "used"),
    [(0, None, 4096, 1), (1, None, 4096, 1), (4, None, 4096, 4), (8, None, 2048, 4), (8, 8, 2048, 8), (0, 2, 512, 2)],
)
def test_by_default_as_many_as_there_are_gpus_and_a_step_feeds(
    devices: int, asked: int | None, tokens: int, used: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_devices(devices, monkeypatch)
    found = sharing_of(config(batch_tokens=tokens), asked)
    assert found == Sharing(asked, devices, used)
    assert found.leaves_some == (asked is None and used < devices)


def test_by_default_no_share_is_smaller_than_the_longest_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    with_devices(8, monkeypatch)
    assert sharing_of(config(batch_tokens=4096, max_source_tokens=900, max_target_tokens=100), None).used == 4


def test_shares_are_as_large_as_the_whole() -> None:
    whole = config(batch_tokens=4096, max_batch_rows=50)
    assert of_one_process(whole, 1) is whole
    data = of_one_process(whole, 4).data
    assert (4 * data.batch_tokens, data.max_batch_rows) == (4096, 13)
    assert of_one_process(config(batch_tokens=4096), 4).data.max_batch_rows == 0, "which is no limit"
    with pytest.raises(ValueError, match="`--processes 7` cannot share 5 tokens"):
        of_one_process(config(batch_tokens=5), 7)


def test_shares_that_are_less_than_a_pair_are_refused() -> None:
    check_shares(1, 64, 100, 100)
    check_shares(2, 64, 100, 5)
    with pytest.raises(ValueError, match="`--processes 2` leaves each 64 tokens of a step, and 6 pairs are longer"):
        check_shares(2, 64, 100, 6)


def test_what_a_machine_has_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with_devices(0, monkeypatch)
    check_processes(None)
    check_processes(5)
    with_devices(2, monkeypatch)
    check_processes(2)
    with pytest.raises(ValueError, match="each trains on a GPU of its own, and this machine has 2"):
        check_processes(3)
    with pytest.raises(ValueError, match="must be at least 1"):
        check_processes(0)


def test_a_run_goes_on_with_the_steps_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    accumulated = parsed({"run_directory": "x", "training.gradient_accumulation": 3})
    record = record_of(Sharing(None, 4, 4), accumulated)
    assert record["micro_batches_of_step"] == 12
    for devices, found in (
        (0, (1, 12)),
        (1, (1, 12)),
        (2, (2, 6)),
        (3, (3, 4)),
        (4, (4, 3)),
        (5, (4, 3)),
        (12, (4, 3)),
    ):
        with_devices(devices, monkeypatch)
        assert shares_of_run(record, None) == found
    assert shares_of_run(record, 6) == (6, 2)
    with pytest.raises(ValueError, match="`--processes 5` cannot share evenly.* give 1 or 2 or 3 or 4 or 6 or 12"):
        shares_of_run(record, 5)


def test_a_run_of_one_process_has_what_its_configuration_says(monkeypatch: pytest.MonkeyPatch) -> None:
    with_devices(8, monkeypatch)
    assert shares_of_run(None, None) == (1, None)
    assert shares_of_run(record_of(Sharing(None, 1, 1), config()), None) == (1, None)
    with pytest.raises(ValueError, match="give 1, or another `--output`"):
        shares_of_run(None, 2)


def test_the_plan_says_on_how_many_processes_and_what_is_left_alone() -> None:
    def machine(of: Sharing) -> str:
        speed = replace(SPEED, processes=of.used)
        return machine_line(speed, of, disk_bytes=2**20)

    assert machine(Sharing(None, 0, 1)) == (
        "2 threads, 3,000 target tokens a second, 900 MiB of memory so far, 1 MiB on the disk"
    )
    assert machine(Sharing(3, 0, 3)).startswith(
        "on 3 processes of 2 threads, 3,000 target tokens a second, 900 MiB of "
    )
    assert "MiB of memory each so far" in machine(Sharing(3, 0, 3))
    assert machine(Sharing(None, 8, 4)).endswith(
        "; of 8 GPUs 4 train, since a step has too few tokens to keep more of them busy: `--processes 8` takes all"
    )
