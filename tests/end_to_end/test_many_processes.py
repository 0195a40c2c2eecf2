"""Three and seven processes, of which some have nothing to do; see `many_processes`, which also does it in rounds."""

from pathlib import Path

import pytest

from tests.end_to_end.many_processes import CASES, train_and_decode


@pytest.mark.slow
@pytest.mark.parametrize(("num_processes", "order"), CASES)
def test_training_and_decoding_on_many_processes(num_processes: int, order: str, tmp_path: Path) -> None:
    train_and_decode(tmp_path, num_processes, order)
