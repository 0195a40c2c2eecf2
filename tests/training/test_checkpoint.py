import hashlib
import json
import shutil
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from torch import nn

from seq2seq.training import checkpoint
from seq2seq.training.checkpoint import Checkpoints, TrainingState, exported_weights
from seq2seq.training.checkpoint_folder import CHECKSUMS, STATE, checkpoint_paths, newest_data, newest_whole, verify
from seq2seq.training.validation import BestSoFar
from tests.training.fakes import TinyModel, make_trainer

PARTS = ["0-weights.safetensors", "1-optimizer.safetensors", "2-averages.safetensors", "3-state.json"]


def make_checkpoints(folder: Path, **options: Any) -> Checkpoints:
    """Checkpoints of a model after one step of Adam."""
    accelerator, model = Accelerator(cpu=True), TinyModel()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model.embedding.weight.sum().backward()
    optimizer.step()
    defaults = {"keep_checkpoints": 3}
    return Checkpoints(folder, accelerator=accelerator, model=model, optimizer=optimizer, **(defaults | options))


def steps(folder: Path) -> list[int]:
    return [int(path.name[5:]) for path in checkpoint_paths(folder)]


def damage(path: Path) -> None:
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 1
    path.write_bytes(contents)


def test_contents(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, max_steps=2, ema_decay=0.9)
    trainer.run()
    (path,) = checkpoint_paths(tmp_path / "checkpoints")
    assert sorted(part.name for part in path.iterdir()) == [*PARTS, "checksums.json", "validation.json"]
    weights = load_file(path / PARTS[0])
    names = {"embedding.weight", "hidden.weight", "hidden.bias", "norm.weight", "norm.bias", "temperature"}
    assert weights.keys() == names, "the tied output embedding is stored once"
    assert load_file(path / PARTS[1]).keys() == {
        f"{name}/{key}" for name in names - {"temperature"} for key in ("step", "exp_avg", "exp_avg_sq")
    }
    state = json.loads((path / PARTS[3]).read_text())
    assert state["step"] == state["num_micro_batches"] == 2
    assert state["position"] == {"number": 2}
    assert state["versions"]["torch"] == torch.__version__.split("+")[0] or state["versions"]["torch"]


def test_state_comes_back_whole(tmp_path: Path) -> None:
    best = BestSoFar(0.1, 5, 2, 7, 0.3, averaged=False)
    window = {
        "seconds": 1.5,
        "skipped_steps": 0.0,
        "steps": 2.0,
        "gradient_norm": 0.7,
        "loss_sum": 1 / 3,
        "weight": 5.0,
    }
    state = TrainingState(7, 21, {"epoch": 2, "batch": [3, None]}, 1.1, best, window, [2, 5])
    make_checkpoints(tmp_path).save(state)
    assert state.regular == [2, 5, 7]
    assert make_checkpoints(tmp_path).resume() == state


@pytest.mark.parametrize("is_best", [True, False])
def test_a_validation_is_kept_beside_the_checkpoint_before_it(tmp_path: Path, is_best: bool) -> None:
    checkpoints, state = make_checkpoints(tmp_path), TrainingState(step=7)
    checkpoints.save(state, is_regular=False)
    assert make_checkpoints(tmp_path).resume().best == BestSoFar()
    state.best = BestSoFar(0.1, 7, 0, 7) if is_best else BestSoFar(0.1, 5, 1, 7)
    checkpoints.save_validation(state, is_best=is_best)
    again = make_checkpoints(tmp_path).resume()
    assert again.best == state.best
    assert again.regular == state.regular == ([7] if is_best else [])
    (tmp_path / "step-00000007" / "validation.json").write_text('{"value": 0.1, "st')
    assert make_checkpoints(tmp_path).resume().best == BestSoFar(), "it is made again"


def test_a_validation_that_cannot_be_kept_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints, state = make_checkpoints(tmp_path), TrainingState(step=7)
    checkpoints.save(state)

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "_write_validation", full)
    with pytest.warns(UserWarning, match="validation of step 7 could not be kept: .*No space left"):
        checkpoints.save_validation(state, is_best=False)


def test_a_checkpoint_of_an_older_version_counts_all_that_are_there(tmp_path: Path) -> None:
    checkpoints = make_checkpoints(tmp_path)
    for step in (3, 5):
        checkpoints.save(TrainingState(step=step, regular=[3] if step == 5 else []))
    for path in checkpoint_paths(tmp_path):
        state = json.loads((path / PARTS[3]).read_text())
        del state["regular"], state["best"]["loss"]
        (path / PARTS[3]).write_text(json.dumps(state))
        contents = json.loads((path / "checksums.json").read_text())
        contents["sha256"][PARTS[3]] = sha256((path / PARTS[3]).read_bytes()).hexdigest()
        (path / "checksums.json").write_text(json.dumps(contents))
    assert make_checkpoints(tmp_path).resume() == TrainingState(step=5, regular=[3, 5])


def test_only_the_process_that_writes_copies_weights(tmp_path: Path) -> None:
    checkpoints = make_checkpoints(tmp_path)
    (parts := checkpoints._tensors(with_frozen=True)).pop("2-averages.safetensors", None)
    assert all(parts.values())
    checkpoints.accelerator = SimpleNamespace(is_main_process=False)  # type: ignore[assignment]
    assert not any(checkpoints._tensors(with_frozen=True).values())


def test_what_a_checkpoint_says_of_its_data(tmp_path: Path) -> None:
    """The newest readable one counts; one of before there was such a record says nothing, and is resumed."""
    record = {"train": "7 pairs"}
    checkpoints = make_checkpoints(tmp_path)
    assert newest_data(tmp_path / "none") == {}
    state = TrainingState()
    for step, data in ((1, {}), (2, record), (3, {"train": "8 pairs"})):
        state.step, state.data = step, data
        newest = checkpoints.save(state)
    (newest / STATE).write_text("{")
    assert newest_data(tmp_path) == record
    shutil.rmtree(newest)
    older = checkpoint_paths(tmp_path)[-1]
    entries = json.loads((older / STATE).read_text())
    assert entries.pop("data") == record
    (older / STATE).write_text(json.dumps(entries))
    sums = json.loads((older / CHECKSUMS).read_text())
    sums["sha256"][STATE] = hashlib.sha256((older / STATE).read_bytes()).hexdigest()
    (older / CHECKSUMS).write_text(json.dumps(sums))
    assert newest_data(tmp_path) == {}
    assert make_checkpoints(tmp_path).resume() == TrainingState(2, regular=[1, 2])


def test_nothing_there_is_a_new_run(tmp_path: Path) -> None:
    assert make_checkpoints(tmp_path / "none").resume() == TrainingState()


def test_exported_weights_are_the_average_under_all_names(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, max_steps=3, ema_decay=0.5, validation_rows=None)
    trainer.run()
    weights = exported_weights(checkpoint_paths(tmp_path / "checkpoints")[-1])
    assert weights.keys() == trainer.model.state_dict().keys()
    assert trainer.ema is not None
    with trainer.ema.applied():
        for name, tensor in trainer.model.state_dict().items():
            assert torch.equal(weights[name], tensor), name


def test_exported_weights_are_those_that_validated_best(tmp_path: Path) -> None:
    """In three steps from a random start the average lags behind, which the trainer's validation finds out."""
    trainer = make_trainer(tmp_path, max_steps=3, ema_decay=0.999)
    assert not trainer.run().best.averaged
    weights = exported_weights(checkpoint_paths(tmp_path / "checkpoints")[-1])
    assert all(torch.equal(weights[name], tensor) for name, tensor in trainer.model.state_dict().items())


# ---- which are kept --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keep", "best", "kept"),
    [(1, None, [5]), (2, None, [4, 5]), (2, 2, [2, 4, 5]), (2, 5, [4, 5]), (9, 1, [1, 2, 3, 4, 5])],
)
def test_retention(keep: int, best: int | None, kept: list[int], tmp_path: Path) -> None:
    checkpoints, state = make_checkpoints(tmp_path, keep_checkpoints=keep), TrainingState(best=BestSoFar(step=best))
    for state.step in range(1, 6):
        checkpoints.save(state)
    assert steps(tmp_path) == kept
    assert len(list(tmp_path.iterdir())) == len(kept), "nothing else is left behind"


def test_what_a_stop_leaves_is_kept_until_there_is_a_newer_one(tmp_path: Path) -> None:
    checkpoints, state = make_checkpoints(tmp_path, keep_checkpoints=2), TrainingState(best=BestSoFar(step=3))
    there = []
    for state.step in range(1, 8):
        checkpoints.save(state, is_regular=state.step % 2 == 0)
        there.append(steps(tmp_path))
    assert there == [[1], [2], [2, 3], [2, 3, 4], [2, 3, 4, 5], [3, 4, 6], [3, 4, 6, 7]]


def test_what_a_kill_left_half_deleted_goes_when_the_run_goes_on(tmp_path: Path) -> None:
    checkpoints, state = make_checkpoints(tmp_path, keep_checkpoints=1), TrainingState()
    for state.step in (1, 2):
        checkpoints.save(state)
    shutil.copytree(tmp_path / "step-00000002", tmp_path / ".step-00000001.deleted")
    shutil.copytree(tmp_path / "step-00000002", tmp_path / "step-00000001")
    assert checkpoints.resume() == state
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000002"]


def test_keeping_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="keep_checkpoints"):
        make_checkpoints(tmp_path, keep_checkpoints=0)


def test_order_is_numeric(tmp_path: Path) -> None:
    for name in ("step-99999999", "step-100000000", "step-00000010", "step-x", ".step-00000011.writing"):
        (tmp_path / name).mkdir()
    assert steps(tmp_path) == [10, 99999999, 100000000]


# ---- damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", [*PARTS, "checksums.json"])
@pytest.mark.parametrize("harm", ["flipped bit", "cut short", "missing"])
def test_damage_is_found_and_the_one_before_is_used(part: str, harm: str, tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, max_steps=4, checkpoint_every=2, ema_decay=0.9)
    trainer.run()
    path = tmp_path / "checkpoints" / "step-00000004"
    target = path / part
    if harm == "flipped bit":
        damage(target)
    elif harm == "cut short":
        target.write_bytes(target.read_bytes()[:-5])
    else:
        target.unlink()
    if part == "checksums.json" and harm == "flipped bit":
        part = ""  # a flipped bit may fall into a checksum or a name
    with pytest.raises(ValueError, match=f"step-00000004 is damaged.*{part}"):
        verify(path)
    again = make_trainer(tmp_path, max_steps=4, ema_decay=0.9)
    with pytest.warns(UserWarning, match=r"damaged.*Going on from .*step-00000002"):
        again.run()
    verify(path)
    assert all(torch.equal(a, b) for a, b in zip(trainer.parameters, again.parameters, strict=True))


def test_without_a_whole_one_training_does_not_start_over_in_silence(tmp_path: Path) -> None:
    make_checkpoints(tmp_path).save(TrainingState(step=1))
    damage(tmp_path / "step-00000001" / PARTS[0])
    assert newest_whole(tmp_path)[0] is None
    with pytest.raises(ValueError, match=r"0-weights.safetensors is missing or differs.*No whole checkpoint is left"):
        make_checkpoints(tmp_path).resume()


def test_half_written_ones_are_never_picked_and_swept_away(tmp_path: Path) -> None:
    checkpoints, state = make_checkpoints(tmp_path), TrainingState(step=1)
    checkpoints.save(state)
    shutil.copytree(tmp_path / "step-00000001", tmp_path / ".step-00000002.writing")
    assert checkpoints.resume().step == 1
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    state.step = 3
    checkpoints.save(state)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000001", "step-00000003"]


def test_one_that_a_kill_has_kept_from_being_deleted_goes_at_the_next_start(tmp_path: Path) -> None:
    checkpoints, state = make_checkpoints(tmp_path, keep_checkpoints=2), TrainingState()
    for state.step in (1, 2):
        checkpoints.save(state)
    replaced = tmp_path / ".step-00000000.0123abcd-1-0123abcd.replaced"
    shutil.copytree(tmp_path / "step-00000001", replaced)
    state.step = 3
    checkpoints.save(state)
    shutil.copytree(replaced, tmp_path / "step-00000001")
    make_checkpoints(tmp_path, keep_checkpoints=2).resume()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000002", "step-00000003"]


@pytest.mark.parametrize("failing", ["write_weights", "fingerprint", "new_folder"])
def test_a_full_disk_leaves_the_old_ones_whole(failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = make_checkpoints(tmp_path, keep_checkpoints=1)
    checkpoints.save(TrainingState(step=1))

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, failing, full)
        with pytest.raises(OSError, match="step-00000002 could not be written.*No space left.*Earlier checkpoints"):
            checkpoints.save(TrainingState(step=2))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    verify(tmp_path / "step-00000001")
    checkpoints.save(TrainingState(step=2))
    assert steps(tmp_path) == [2]


# ---- what does not fit -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weight: weight.long(), "0-weights.safetensors does not fit this model: hidden.bias is of torch.int64"),
        (lambda weight: weight * torch.nan, "hidden.bias holds NaN or infinity"),
    ],
)
def test_weights_that_a_hand_has_written_are_refused(change: Any, message: str, tmp_path: Path) -> None:
    checkpoints = make_checkpoints(tmp_path)
    checkpoints.save(TrainingState(step=1))
    path = tmp_path / "step-00000001"
    weights = load_file(path / PARTS[0])
    save_file(weights | {"hidden.bias": change(weights["hidden.bias"])}, path / PARTS[0])
    sums = json.loads((path / "checksums.json").read_text())
    sums["sha256"][PARTS[0]] = sha256((path / PARTS[0]).read_bytes()).hexdigest()
    (path / "checksums.json").write_text(json.dumps(sums))
    with pytest.raises(ValueError, match=message):
        checkpoints.resume()


def test_another_format_is_refused(tmp_path: Path) -> None:
    path = make_checkpoints(tmp_path).save(TrainingState(step=1))
    contents = json.loads((path / "checksums.json").read_text()) | {"format_version": 99}
    (path / "checksums.json").write_text(json.dumps(contents))
    with pytest.raises(ValueError, match="format 99"):
        verify(path)


@pytest.mark.parametrize(
    ("module", "message"),
    [(nn.Linear(7, 5), r"hidden.weight is \(7, 7\) there, but \(5, 7\) here"), (nn.Identity(), "too many")],
)
def test_another_model_is_refused_before_anything_is_loaded(module: nn.Module, message: str, tmp_path: Path) -> None:
    make_checkpoints(tmp_path).save(TrainingState(step=1))
    other = make_checkpoints(tmp_path)
    other.model.hidden = module
    before = {name: tensor.clone() for name, tensor in other.model.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        other.resume()
    assert all(torch.equal(tensor, before[name]) for name, tensor in other.model.state_dict().items())


def test_an_average_that_was_not_saved_is_missed(tmp_path: Path) -> None:
    make_trainer(tmp_path, max_steps=1).run()
    with pytest.raises(ValueError, match="ema_decay: 0"):
        make_trainer(tmp_path, max_steps=2, ema_decay=0.9).run()


def test_a_parameter_without_optimizer_state_stays_without(tmp_path: Path) -> None:
    checkpoints = make_checkpoints(tmp_path)
    checkpoints.save(TrainingState(step=1))
    again = make_checkpoints(tmp_path)
    again.resume()
    assert [p is again.model.embedding.weight for p in again.optimizer.state] == [True]
