import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from seq2seq.apps.command import main
from seq2seq.apps.info import training_facts
from seq2seq.training.tracking import read_log


def printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["info", *arguments]) == 0
    return capsys.readouterr().out


def test_a_run_is_described(copy_task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = json.loads(printed([str(copy_task / "run"), "--json"], capsys))
    weights = load_file(copy_task / "run" / "model" / "model.safetensors")
    assert facts["model"] == str(copy_task / "run" / "model")
    assert facts["parameters"] == sum(tensor.numel() for tensor in weights.values())
    assert (facts["d_model"], facts["encoder_layers"], facts["num_heads"], facts["ffn_size"]) == (32, 1, 2, 64)
    assert facts["vocab_size"] == 4 + 10, "special tokens and letters"
    assert (facts["decoding.beam.beam_width"], facts["decoding.beam.max_length"]) == (3, 13)
    log = read_log(copy_task / "run" / "log.jsonl")
    last = [entry for entry in log if entry["kind"] == "train"][-1]
    assert (facts["train.step"], facts["train.loss"]) == (300, last["loss"])
    assert facts["validation.exact_match"] == [e for e in log if e["kind"] == "validation"][-1]["exact_match"]
    assert facts["data.batches"] == 9


def test_a_table_says_the_same(copy_task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = json.loads(printed([str(copy_task / "run"), "--json"], capsys))
    lines = printed([str(copy_task / "run")], capsys).splitlines()
    assert [line.split(maxsplit=1) for line in lines] == [[name, str(value)] for name, value in facts.items()]
    assert len({len(line) - len(line.split(maxsplit=1)[1]) for line in lines}) == 1, "values are aligned"


def test_a_model_folder_has_no_training_facts(copy_task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = json.loads(printed([str(copy_task / "run" / "model"), "--json"], capsys))
    assert facts["parameters"] > 0
    assert not [name for name in facts if name.startswith(("train.", "validation.", "data."))]


def test_the_installation_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    facts = json.loads(printed(["--json"], capsys))
    assert facts["torch"] == torch.__version__
    assert facts["threads"] == torch.get_num_threads()
    assert {"seq2seq", "python", "transformers", "GPUs"} <= facts.keys()
    assert "not installed" not in {facts[name] for name in ("seq2seq", "datasets", "accelerate", "sacrebleu")}


def test_what_is_no_model_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert f"seq2seq info: error: {tmp_path} holds no model" in error
    assert error.count("\n") == 1


def test_a_log_that_a_kill_has_cut(tmp_path: Path) -> None:
    log = '{"kind": "train", "step": 4, "loss": 1.5}\n7\n{"kind": "train", "step": "x"}\n{"kind": "train", "st'
    (tmp_path / "log.jsonl").write_text(log)
    assert training_facts(tmp_path) == {"train.step": 4, "train.loss": 1.5}
    assert training_facts(tmp_path / "nowhere") == {}


def test_damaged_weights_are_named(copy_task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model"
    shutil.copytree(copy_task / "run" / "model", model)
    (model / "model.safetensors").write_bytes(b"\xff" * 20)
    for verb in (["info", str(model)], ["decode", "--model", str(model), "--input", str(tmp_path)]):
        assert main(verb) == 2
        error = capsys.readouterr().err
        assert f"{model / 'model.safetensors'} is damaged" in error
        assert error.count("\n") == 1
