"""Whatever a run holds, be it finished, cut or at work, is found, or said to be absent in one line."""

import os
import shutil
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

import seq2seq
from seq2seq.apps.command import main
from seq2seq.assembly.generator import CARD_FILE
from seq2seq.assembly.model_export import ModelExport
from seq2seq.assembly.model_folder import find_model, opened_model, read_model
from seq2seq.files import new_folder
from seq2seq.training.checkpoint import AVERAGES, WEIGHTS, exported_weights
from seq2seq.training.checkpoint_folder import checkpoint_path, checkpoint_paths, newest_best_step
from seq2seq.training.trainer import Trainer
from tests.tiny_run import write_copy_task

TEXTS = ["abc", "jihg"]


@pytest.fixture
def cut(copy_task: Path, tmp_path: Path) -> Path:
    """Return a run that has checkpoints of steps 100, 200 and 300 but no exported model."""
    shutil.copytree(copy_task / "run", tmp_path / "run", ignore=shutil.ignore_patterns("model"))
    return tmp_path / "run"


def train_until(step: int, config: str) -> None:
    """Train until SIGTERM comes in this step."""
    train_step = Trainer.train_step

    def stopped(self: Trainer, micro_batches: Any) -> Any:
        if self.state.step + 1 == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return train_step(self, micro_batches)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "train_step", stopped)
        with pytest.raises(SystemExit):
            main(["train", config])


def weights_of(generator: seq2seq.TextGenerator) -> dict[str, torch.Tensor]:
    model: Any = generator.model
    return dict(model.state_dict())


def test_a_run_is_its_exported_model(copy_task: Path) -> None:
    assert find_model(copy_task / "run") == copy_task / "run" / "model"
    assert find_model(copy_task / "run" / "model") == copy_task / "run" / "model"


def test_a_cut_run_is_its_best_checkpoint(cut: Path, copy_task: Path) -> None:
    """It makes the folder that the run itself exported: the same bytes."""
    step = newest_best_step(cut / "checkpoints")
    assert step is not None
    assert find_model(cut) == checkpoint_path(cut / "checkpoints", step)
    with opened_model(cut) as folder:
        made = {path.name: path.read_bytes() for path in folder.iterdir()}
    exported = {path.name: path.read_bytes() for path in (copy_task / "run" / "model").iterdir()}
    assert made == {name: contents for name, contents in exported.items() if name != CARD_FILE}
    assert not folder.exists()
    assert seq2seq.load(cut, device="cpu")(TEXTS) == seq2seq.load(copy_task / "run", device="cpu")(TEXTS)


def test_a_checkpoint_is_named_by_step_or_rank_or_place(cut: Path) -> None:
    place = checkpoint_path(cut / "checkpoints", 200)
    expected = exported_weights(place)
    for path, checkpoint in ((cut, 200), (cut, "200"), (cut, "step-00000200"), (place, None)):
        found = weights_of(seq2seq.load(path, checkpoint=checkpoint, device="cpu", trainable=True))
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert find_model(cut, "last") == checkpoint_path(cut / "checkpoints", 300)
    assert find_model(cut, "best") == find_model(cut)


def test_a_damaged_newest_checkpoint_is_passed_over_with_a_warning(cut: Path) -> None:
    (cut / "checkpoints" / "step-00000300" / WEIGHTS).write_bytes(b"\xff")
    with pytest.warns(UserWarning, match="step-00000300 is damaged"):
        assert find_model(cut, "last").name == "step-00000200"
    with pytest.raises(ValueError, match="step-00000300 is damaged: 0-weights"):
        seq2seq.load(cut, checkpoint=300)


def test_the_verbs_take_a_cut_run(cut: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "source").write_text("abc\njihg\n")
    source, run, names = str(tmp_path / "source"), str(cut), os.listdir(cut)
    files = ["--source", source, "--reference", source, "--max-rows", "2", "--beam-widths", "1"]
    for verb in (
        ["decode", "--model", run, "--input", source, "--processes", "1"],
        ["decode", "--model", run, "--checkpoint", "last", "--input", source, "--processes", "1"],
        ["decode", "--model", run, "--input", source, "--score-targets", source],
        ["average", "--model", *(f"{run}/checkpoints/step-00000{n}00" for n in (1, 2)), "--output", f"{tmp_path}/mean"],
        ["diagnose", "--model", run, "--checkpoint", "100", *files, "--output", f"{tmp_path}/report"],
        ["info", run],
        ["info", f"{run}/checkpoints/step-00000100"],
    ):
        assert main(verb) == 0, verb
        assert "Traceback" not in capsys.readouterr().err
    assert sorted(os.listdir(cut)) == sorted(names)
    assert main(["decode", "--model", f"{tmp_path}/mean", "--input", source, "--processes", "1"]) == 0


def test_what_a_wrong_checkpoint_is_said_to_be(cut: Path, copy_task: Path) -> None:
    for checkpoint, message in (
        ("7", r"has no checkpoint of step 7, only of 100, 200, 300; give one of these, `best` or `last`\."),
        ("newest", r"`checkpoint` must be `best`, `last` or the number of a step, but is 'newest'\."),
        ("-1", r"but is '-1'"),
    ):
        with pytest.raises(ValueError, match=message):
            seq2seq.load(cut, checkpoint=checkpoint)
    with pytest.raises(ValueError, match="model is none; give one, or leave it out"):
        seq2seq.load(copy_task / "run" / "model", checkpoint="best")
    shutil.rmtree(cut / "tokenizer")
    with pytest.raises(ValueError, match="run has lost its tokenizer, without which its checkpoints cannot be decoded"):
        seq2seq.load(cut)


def test_what_is_no_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no model: give a run directory"):
        find_model(tmp_path)
    with pytest.raises(ValueError, match=r"nowhere holds no model"):
        seq2seq.load(tmp_path / "nowhere")
    export = tmp_path / "export"
    export.mkdir()
    for name in ("model.bin", "config.json"):
        (export / name).touch()
    with pytest.raises(ValueError, match="export for CTranslate2"):
        find_model(export)
    (tmp_path / "config.yaml").touch()
    for checkpoint in (None, "best", "last", 3):
        with pytest.raises(
            ValueError, match="run without a model yet: its first checkpoint comes with .* same command"
        ):
            find_model(tmp_path, checkpoint)


def test_a_run_that_was_stopped_before_its_first_validation(tmp_path: Path) -> None:
    """It can be decoded with, and begun from with other batches: what a run that lacks memory needs."""
    config, run = write_copy_task(tmp_path, optimizer={"ema_decay": 0.9}, training={"max_steps": 9}), tmp_path / "run"
    train_until(4, config)
    assert not (run / "model").exists()
    [checkpoint] = checkpoint_paths(run / "checkpoints")
    assert find_model(run) == checkpoint
    with pytest.warns(UserWarning, match="has not been validated yet, so that its last checkpoint is taken"):
        assert find_model(run, "best") == checkpoint
    found = weights_of(seq2seq.load(run, device="cpu", trainable=True))
    assert (checkpoint / AVERAGES).is_file()
    assert all(torch.equal(found[name], tensor) for name, tensor in exported_weights(checkpoint).items())
    for number, start in enumerate((run, checkpoint)):
        other = tmp_path / str(number)
        options = ["--init-from", str(start), "--data.batch_tokens", "256", "--training.max_steps", "1"]
        assert main(["train", config, "--run_directory", str(other), *options]) == 0
        assert (other / "model").is_dir()


def test_the_best_is_exported_as_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the export failed or was cut, at the next start."""
    sections: dict[str, Any] = {"training": {"max_steps": 20, "checkpoint_every": 4}, "validation": {"every": 5}}
    config, run = write_copy_task(tmp_path, **sections), tmp_path / "run"
    train_until(12, config)
    assert newest_best_step(run / "checkpoints") == 10
    assert exported_bytes(run) == best_bytes(run)
    with monkeypatch.context() as patch:
        patch.setattr(ModelExport, "write", lambda self, folder, weights, step: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            main(["train", config])
    assert newest_best_step(run / "checkpoints") == 15
    assert exported_bytes(run) != best_bytes(run)
    train_until(17, config)
    assert exported_bytes(run) == best_bytes(run)


def exported_bytes(run: Path) -> bytes:
    return (run / "model" / "model.safetensors").read_bytes()


def best_bytes(run: Path) -> bytes:
    with opened_model(run, "best") as folder:
        return (folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("No space left in it")], ids=str)
def test_an_export_that_fails_costs_the_run_nothing(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_copy_task(tmp_path, training={"max_steps": 10}, validation={"every": 5})
    write, failed = ModelExport.write, []

    def full_at_first(self: ModelExport, folder: Path, weights: Any, step: int | None) -> None:
        if len(failed) < 2:
            failed.append(folder)
            raise type(error)(*error.args)  # a new one: what has been raised keeps the frames of the training alive
        write(self, folder, weights)

    monkeypatch.setattr(ModelExport, "write", full_at_first)
    with pytest.warns(UserWarning, match="best model so far could not be exported: .*No space left"):
        assert main(["train", config]) == 0
    assert (tmp_path / "run" / "model").is_dir()


def test_a_model_that_is_replaced_while_it_is_read_is_read_whole(copy_task: Path, tmp_path: Path) -> None:
    """A thread goes on replacing it by one of two; parts of both never come together, and it never seems absent."""
    place, is_over = tmp_path / "model", threading.Event()

    def replace(number: int) -> None:
        with new_folder(place) as unfinished:
            for name in ("config.json", "weights"):
                (unfinished / name).write_text(str(number))

    def go_on_replacing() -> None:
        number = 1
        while not is_over.is_set():
            replace(number := number + 1)
            is_over.wait(0.002)

    replace(0)
    thread = threading.Thread(target=go_on_replacing)
    thread.start()
    try:
        for _ in range(50):
            found = read_model(place, lambda folder: [(folder / n).read_text() for n in ("config.json", "weights")])
            assert found[0] == found[1]
    finally:
        is_over.set()
        thread.join()


def test_a_model_that_changes_while_it_is_loaded_is_loaded_again(
    cut: Path, copy_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tokenizer of one export and the weights of the next make no generator."""
    from seq2seq.assembly import generator

    place = tmp_path / "served"
    shutil.copytree(copy_task / "run" / "model", place)
    loaded: list[Path] = []
    load_model = generator.load_model

    def replaced_before(folder: Path, *arguments: Any, **options: Any) -> Any:
        loaded.append(folder)
        if len(loaded) == 1:
            with opened_model(cut, 100) as other, new_folder(folder) as unfinished:
                shutil.copytree(other, unfinished, dirs_exist_ok=True)
        return load_model(folder, *arguments, **options)

    monkeypatch.setattr(generator, "load_model", replaced_before)
    assert seq2seq.load(place, device="cpu").fingerprint == seq2seq.load(cut, checkpoint=100, device="cpu").fingerprint
    assert len(loaded) == 3


def test_a_checkpoint_that_a_training_removes_meanwhile_is_chosen_anew(
    cut: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seq2seq.assembly import model_export

    export_checkpoint, exported = model_export.export_checkpoint, []

    def removed_before(place: Path, folder: Path) -> None:
        exported.append(place.name)
        if len(exported) == 1:
            shutil.rmtree(place)
        export_checkpoint(place, folder)

    monkeypatch.setattr(model_export, "export_checkpoint", removed_before)
    with opened_model(cut, "last") as folder:
        assert (folder / "model.safetensors").is_file()
    assert exported == ["step-00000300", "step-00000200"]


def test_a_checkpoint_may_give_way_to_an_export(cut: Path, copy_task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the first validation of a training does, between two looks."""
    from seq2seq.assembly import model_export

    export_checkpoint = model_export.export_checkpoint

    def replaced_before(place: Path, folder: Path) -> None:
        shutil.rmtree(place)
        shutil.copytree(copy_task / "run" / "model", cut / "model")
        export_checkpoint(place, folder)

    monkeypatch.setattr(model_export, "export_checkpoint", replaced_before)
    with opened_model(cut) as folder:
        assert folder == cut / "model"
