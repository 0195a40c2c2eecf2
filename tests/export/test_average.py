"""The mean of models as a model."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import seq2seq
from seq2seq.export.average import average_models


@pytest.fixture
def models(copy_task: Path, tmp_path: Path) -> list[Path]:
    """Return the copy task's model and two that differ from it."""
    torch.manual_seed(1)
    folders = [copy_task / "run"]
    for name in ("first", "second"):
        shutil.copytree(copy_task / "run" / "model", tmp_path / name)
        weights = load_file(tmp_path / name / "model.safetensors")
        changed = {key: t + 0.1 * torch.randn_like(t) for key, t in weights.items()}
        save_file(changed, tmp_path / name / "model.safetensors", metadata={"format": "pt"})
        folders.append(tmp_path / name)
    return folders


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file((folder / "model" if (folder / "model").is_dir() else folder) / "model.safetensors")


def test_every_tensor_is_the_mean_by_shares(models: list[Path], tmp_path: Path) -> None:
    average_models(tmp_path / "mean", models, [1, 1, 2])
    a, b, c = map(weights_of, models)
    for name, tensor in weights_of(tmp_path / "mean").items():
        assert tensor.dtype == a[name].dtype
        torch.testing.assert_close(tensor, (a[name] + b[name] + 2 * c[name]) / 4, atol=1e-6, rtol=1e-6)


def test_the_mean_of_a_model_with_itself_decodes_like_it(copy_task: Path, tmp_path: Path) -> None:
    average_models(tmp_path / "new" / "mean", [copy_task / "run", copy_task / "run"], [0.5, 0.5])
    assert not list((tmp_path / "new").glob("*.tmp"))
    texts = (copy_task / "test.txt").read_text().splitlines()
    run, mean = (seq2seq.load(path, device="cpu") for path in (copy_task / "run", tmp_path / "new" / "mean"))
    assert mean(texts) == run(texts)
    assert (mean.search, mean.batch_tokens, mean.source_prefix) == (run.search, run.batch_tokens, run.source_prefix)


def test_a_model_of_an_older_version_names_fewer_options(models: list[Path], tmp_path: Path) -> None:
    config = json.loads((models[1] / "config.json").read_text())
    del config["generation_order"]
    (models[1] / "config.json").write_text(json.dumps(config | {"transformers_version": "5.0.0"}))
    average_models(tmp_path / "mean", models[:2], [1, 1])
    assert (tmp_path / "mean" / "model.safetensors").is_file()


def test_what_has_no_mean(models: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two or more"):
        average_models(tmp_path / "mean", models[:1], [1])
    with pytest.raises(ValueError, match="3 models need as many shares above 0"):
        average_models(tmp_path / "mean", models, [1, 1])
    with pytest.raises(ValueError, match="above 0"):
        average_models(tmp_path / "mean", models, [1, 0, 1])
    with pytest.raises(ValueError, match="is there"):
        average_models(models[1], models, [1, 1, 1])
    weights = weights_of(models[1])
    name = next(iter(weights))
    save_file(weights | {name: weights[name][:-1].clone()}, models[1] / "model.safetensors")
    with pytest.raises(ValueError, match="not those of its config.json; absent or misshapen"):
        average_models(tmp_path / "mean", models, [1, 1, 1])
    config = json.loads((models[2] / "config.json").read_text())
    (models[2] / "config.json").write_text(json.dumps(config | {"dropout": 0.7, "generation_order": "r2l"}))
    with pytest.raises(ValueError, match="second has `generation_order: r2l`, but .*`generation_order: l2r`"):
        average_models(tmp_path / "mean", [models[0], models[2]], [1, 1])
    (models[2] / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"no model\.safetensors"):
        average_models(tmp_path / "mean", models, [1, 1, 1])
    assert not (tmp_path / "mean").exists()
