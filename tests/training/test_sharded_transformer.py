"""The Transformer with its layers sharded over processes has the gradients and the validation loss of the whole one."""

import json
from pathlib import Path

import pytest

from tests.extras import is_installed
from tests.launching import launch
from tests.training.sharded_transformer import CASES


@pytest.mark.parametrize("num_processes", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_sharded_equals_whole(num_processes: int, tmp_path: Path) -> None:
    launch(num_processes, "tests.training.sharded_transformer", str(tmp_path))
    for process in range(num_processes):
        results = json.loads((tmp_path / f"{process}.json").read_text())
        assert results.keys() == CASES.keys() - ({"adapted"} if not is_installed("peft") else set())
        for case, errors in results.items():
            assert errors["gradients"] < 1e-4, case
            assert errors["adversarial"] < 1e-4, case
            assert errors["validation"] < 1e-5, case
