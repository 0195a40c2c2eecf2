import inspect
import re
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq.assembly.generate_arguments import TRANSLATED
from seq2seq.assembly.pipeline_arguments import NO_EFFECT, AroundTheSearch, device_name, precision_name, without_effect
from seq2seq.assembly.pipelines import pipeline


@pytest.mark.parametrize("device", [-1, 0, torch.device("cpu"), "cpu"])
def test_devices_as_transformers_numbers_them(device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_name(device) == "cpu"


def test_a_number_is_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [device_name(device) for device in (-1, 0, 1, "cuda:2", None)] == ["cpu", "cuda:0", "cuda:1", "cuda:2", None]


def test_types_of_weights() -> None:
    names = (torch.bfloat16, "float16", torch.float32, "int8", "auto", None)
    assert [precision_name(name) for name in names] == ["bf16", "fp16", "fp32", "int8", None, None]


def test_what_changes_nothing_is_taken_out() -> None:
    assert without_effect({"framework": "pt", "num_workers": 4, "use_fast": True, "num_beams": 2}) == {"num_beams": 2}


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("framework", "tf", "PyTorch"),
        ("trust_remote_code", True, "never run"),
        ("device_map", "auto", "`device`"),
        ("model_kwargs", {"low_cpu_mem_usage": True}, "`dtype`"),
        ("assistant_model", object(), "no model drafts"),
    ],
)
def test_values_that_would_change_something_are_refused(name: str, value: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}` cannot be .*{reason}.*leave it out"):
        without_effect({name: value})


class Strategy(Enum):
    ONLY_FIRST = "only_first"
    DO_NOT_TRUNCATE = "do_not_truncate"


@pytest.mark.parametrize(
    ("truncation", "cuts"),
    [(None, False), (False, False), (True, True), ("longest_first", True), *((s, s.name[0] == "O") for s in Strategy)],
)
def test_what_truncation_means(truncation: Any, cuts: bool) -> None:
    assert AroundTheSearch(truncation=truncation).cuts == cuts


def test_values_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="`batch_size` must be a whole number of at least 1, but is 0"):
        AroundTheSearch(batch_size=0)
    with pytest.raises(ValueError, match="`return_text` False leaves nothing"):
        AroundTheSearch(return_text=False)
    assert AroundTheSearch(return_text=False, return_tensors=True).return_text is False


def test_the_page_lists_all_arguments() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "pipelines.md").read_text(encoding="utf-8")
    listed = {name for row in re.findall(r"^\| (`.*?`) \|", page, flags=re.M) for name in re.findall(r"`(\w+)`", row)}
    taken = {*TRANSLATED, *NO_EFFECT, *(field.name for field in fields(AroundTheSearch))}
    taken |= {*inspect.signature(pipeline).parameters} - {"task", "model", "arguments"}
    assert taken - listed == set()
    assert {name for name in listed if not name.endswith("_text")} - taken == {"translation", "summarization"} | {
        "translation_xx_to_yy"
    }
