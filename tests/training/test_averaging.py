from pathlib import Path

import pytest
import torch

from seq2seq.training.averaging import average_weights, last_checkpoints
from seq2seq.training.checkpoint import TrainingState, exported_weights
from tests.training.fakes import make_trainer
from tests.training.test_checkpoint import damage, make_checkpoints


def three_checkpoints(folder: Path) -> list[Path]:
    make_trainer(folder, max_steps=6, checkpoint_every=2).run()
    return last_checkpoints(folder / "checkpoints", 3, [2, 4, 6])


def test_mean_of_all_tensors_under_all_names(tmp_path: Path) -> None:
    paths = three_checkpoints(tmp_path)
    averaged = average_weights(paths)
    each = [exported_weights(path) for path in paths]
    assert averaged.keys() == each[0].keys() >= {"output.weight", "temperature"}
    for name, tensor in averaged.items():
        mean = torch.stack([weights[name].double() for weights in each]).sum(0) / 3
        assert tensor.dtype == each[0][name].dtype
        assert torch.equal(tensor, mean.float()), name
    assert torch.equal(averaged["output.weight"], averaged["embedding.weight"])


def test_one_checkpoint_is_its_own_mean(tmp_path: Path) -> None:
    (path,) = three_checkpoints(tmp_path)[-1:]
    averaged = average_weights([path])
    assert all(torch.equal(averaged[name], tensor) for name, tensor in exported_weights(path).items())


def test_last_ones_are_the_newest(tmp_path: Path) -> None:
    paths = three_checkpoints(tmp_path)
    found = last_checkpoints(paths[0].parent, 2, [2, 4, 6])
    assert [path.name for path in found] == ["step-00000004", "step-00000006"]
    assert [path.name for path in last_checkpoints(paths[0].parent, 2, [2, 6])] == ["step-00000002", "step-00000006"]


def test_too_few_damaged_or_different_ones_are_refused(tmp_path: Path) -> None:
    paths = three_checkpoints(tmp_path / "run")
    with pytest.raises(ValueError, match="`training.average_checkpoints` is 4, but .* holds 3: step-00000002, step-"):
        last_checkpoints(paths[0].parent, 4, [1, 2, 4, 6])
    with pytest.raises(ValueError, match="no checkpoint"):
        average_weights([])
    other = make_checkpoints(tmp_path / "other")
    other.model.hidden = torch.nn.Linear(7, 5)
    with pytest.raises(ValueError, match="different tensors"):
        average_weights([*paths, other.save(TrainingState(step=1))])
    damage(paths[1] / "0-weights.safetensors")
    with pytest.raises(ValueError, match="damaged"):
        average_weights(paths)
