"""A tokenizer of more tokens than the model is refused where they are put together, before a text shows it."""

import json
import shutil
from pathlib import Path

import pytest

import seq2seq
from seq2seq.apps.command import main


def test_a_tokenizer_of_more_tokens_than_the_model_is_refused(copy_task: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(copy_task / "run" / "model", folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["z"] = 99
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(ValueError, match=r"model: its tokenizer has 100 source tokens, but its model 14"):
        seq2seq.load(folder)


@pytest.mark.parametrize("verb", ["average", "init", "info"])
def test_a_damaged_model_is_named_by_all_verbs(
    verb: str, copy_task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, good = tmp_path / "model", str(copy_task / "run")
    shutil.copytree(copy_task / "run" / "model", folder)
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:-100])
    init = ["train", str(copy_task / "run.yaml"), "--init-from", str(folder), "--run_directory", str(tmp_path / "run")]
    commands = {
        "average": ["average", "--model", good, str(folder), "--output", str(tmp_path / "mean")],
        "init": init,
        "info": ["info", str(folder)],
    }
    assert main(commands[verb]) == 2
    error = capsys.readouterr().err
    assert str(folder / "model.safetensors") in error
    assert error.count("\n") == 1
