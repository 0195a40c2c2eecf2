import json
import os
import shutil
import stat
from pathlib import Path

import pytest
import torch
from transformers import GenerationConfig

from seq2seq.assembly.decoding_defaults import DecodingDefaults, read_decoding
from seq2seq.assembly.model_export import ModelExport, chosen_checkpoints
from seq2seq.config.writing import plain
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.decoding import BeamSearch
from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig
from seq2seq.training.averaging import average_weights
from seq2seq.training.checkpoint import WEIGHTS, TrainingState, exported_weights
from seq2seq.training.checkpoint_folder import checkpoint_paths
from seq2seq.training.validation import BestSoFar

SEARCH = BeamSearch(beam_width=7, length_penalty=0.6, max_length=11)


def exported(copy_task: Path, folder: Path, checkpoints: list[Path]) -> Path:
    config = Seq2SeqTransformerConfig.from_pretrained(copy_task / "run" / "model")
    tokenizer = TextTokenizer.load(copy_task / "run" / "tokenizer")
    ModelExport(config, tokenizer, SEARCH, source_prefix="copy: ").write(folder, average_weights(checkpoints))
    return folder


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights of an exported model under all names, also those that are tied."""
    return Seq2SeqTransformer.from_pretrained(folder).state_dict()


def test_the_average_of_checkpoints_is_their_mean(copy_task: Path, tmp_path: Path) -> None:
    checkpoints = checkpoint_paths(copy_task / "run" / "checkpoints")
    assert len(checkpoints) == 3
    weights = weights_of(exported(copy_task, tmp_path / "model", checkpoints))
    parts = [exported_weights(checkpoint) for checkpoint in checkpoints]
    assert weights.keys() == parts[0].keys()
    for name, tensor in weights.items():
        mean = sum(part[name].double() for part in parts) / 3
        torch.testing.assert_close(tensor.double(), mean, rtol=1e-6, atol=1e-7)
        assert tensor.dtype == torch.float32
    assert any(not torch.equal(weights[name], parts[2][name]) for name in weights)


def test_the_run_exported_its_best_checkpoint(copy_task: Path) -> None:
    log = [json.loads(line) for line in (copy_task / "run" / "log.jsonl").read_text().splitlines()]
    validations = [entry for entry in log if entry["kind"] == "validation"]
    best_step = max(validations, key=lambda entry: (entry["exact_match"], -entry["loss"]))["step"]
    best = exported_weights(copy_task / "run" / "checkpoints" / f"step-{best_step:08}")
    weights = weights_of(copy_task / "run" / "model")
    assert weights.keys() == best.keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in best.items())


def test_what_is_exported_beside_the_weights(copy_task: Path, tmp_path: Path) -> None:
    folder = exported(copy_task, tmp_path / "model", checkpoint_paths(copy_task / "run" / "checkpoints")[-1:])
    saved = json.loads((folder / "decoding.json").read_text())
    assert saved == {"search": {"beam": plain(SEARCH)}, "source_prefix": "copy: "}
    assert read_decoding(folder, "l2r") == DecodingDefaults(SEARCH, "copy: ")
    generation = GenerationConfig.from_pretrained(folder)
    assert (generation.num_beams, generation.length_penalty) == (7, 0.6)
    assert generation.max_length == 12, "transformers counts the start token too"
    tokenizer = TextTokenizer.load(folder)
    assert generation.decoder_start_token_id == tokenizer.bos_id
    assert Seq2SeqTransformer.from_pretrained(folder).config.vocab_size == tokenizer.target_vocab_size


def test_the_folder_is_replaced_as_a_whole(copy_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, other = tmp_path / "model", tmp_path / "model.tmp"
    for place in (folder, other):
        place.mkdir()
        (place / "stale").touch()
    checkpoints = checkpoint_paths(copy_task / "run" / "checkpoints")[-1:]

    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Seq2SeqTransformer, "save_pretrained", full)
        with pytest.raises(OSError, match="No space left"):
            exported(copy_task, folder, checkpoints)
    assert [path.name for path in folder.iterdir()] == ["stale"], "a failure leaves the old model"
    exported(copy_task, folder, checkpoints)
    assert (folder / "model.safetensors").is_file()
    assert not (folder / "stale").exists()
    assert other.is_dir(), "what is not our own stays"
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o666 & ~umask()}


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize(
    ("average_checkpoints", "best_step", "expected"),
    [
        (0, None, [31]),
        (0, 11, [11]),
        (2, 11, [23, 31]),
        (2, 7, [23, 31]),
    ],
)
def test_which_checkpoints_are_exported(
    tmp_path: Path, average_checkpoints: int, best_step: int | None, expected: list[int]
) -> None:
    for step in (11, 23, 31):
        (tmp_path / f"step-{step:08}").mkdir()
    state = TrainingState(step=31, best=BestSoFar(step=best_step), regular=[11, 23, 31])
    found = chosen_checkpoints(tmp_path, average_checkpoints, state)
    assert [path.name for path in found] == [f"step-{step:08}" for step in expected]


def test_a_best_checkpoint_that_somebody_removed_is_said(tmp_path: Path) -> None:
    (tmp_path / "step-00000031").mkdir()
    with pytest.warns(
        UserWarning, match="step-00000007, of the best validation, has been removed; the last checkpoint"
    ):
        found = chosen_checkpoints(tmp_path, 0, TrainingState(step=31, best=BestSoFar(step=7), regular=[31]))
    assert [path.name for path in found] == ["step-00000031"]


def test_a_mean_of_fewer_than_were_asked_for_is_refused(tmp_path: Path) -> None:
    (tmp_path / "step-00000031").mkdir()
    with pytest.raises(ValueError, match="`training.average_checkpoints` is 2, but .* holds 1: step-00000031. Lower"):
        chosen_checkpoints(tmp_path, 2, TrainingState(step=31, regular=[31]))


def test_a_damaged_checkpoint_is_not_exported(copy_task: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "step-00000300"
    shutil.copytree(copy_task / "run" / "checkpoints" / checkpoint.name, checkpoint)
    damaged = bytearray((checkpoint / WEIGHTS).read_bytes())
    damaged[-1] ^= 1
    (checkpoint / WEIGHTS).write_bytes(damaged)
    with pytest.raises(ValueError, match="is damaged"):
        exported(copy_task, tmp_path / "model", [checkpoint])
    assert not (tmp_path / "model").exists()
