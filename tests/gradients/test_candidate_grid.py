from collections import Counter

import pytest
import torch

from seq2seq.gradients.candidate_grid import CandidateGrid


@pytest.mark.parametrize(("num_processes", "sharers"), [(1, 1), (6, 1), (6, 2), (6, 3), (6, 6), (5, 5)])
@pytest.mark.parametrize("num_candidates", [6, 8, 13])
def test_every_candidate_is_measured_once_on_every_shard(num_processes: int, sharers: int, num_candidates: int) -> None:
    grids = [CandidateGrid(num_processes, index, sharers) for index in range(num_processes)]
    measured = Counter((grid.shard, candidate) for grid in grids for candidate in grid.own(num_candidates))
    num_shards = num_processes // sharers
    assert measured == {(shard, candidate): 1 for shard in range(num_shards) for candidate in range(num_candidates)}
    assert {grid.num_shards for grid in grids} == {num_shards}


@pytest.mark.parametrize("sharers", [0, 4, 7, 12])
def test_groups_must_divide_the_processes(sharers: int) -> None:
    with pytest.raises(ValueError, match=rf"`parameter_search.candidate_processes` \({sharers}\) must divide .* \(6\)"):
        CandidateGrid(6, 0, sharers)


def test_one_process_asks_nobody() -> None:
    values = torch.tensor([3.0, 5.0])
    assert CandidateGrid().added(values) is values
    assert CandidateGrid().largest(values) is values
