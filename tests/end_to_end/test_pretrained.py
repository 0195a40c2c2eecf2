"""A model of transformers becomes a run's start, is trained on the copy task, and leaves as one of its family again."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, PreTrainedTokenizerFast

import seq2seq
from seq2seq.apps.command import main
from seq2seq.models.loading import without_reports
from tests.models.families.tiny_families import FAMILIES
from tests.tiny_run import ALPHABET, write_copy_task

SPECIAL = {
    "bart": ("<s>", "<pad>", "</s>", "<unk>"),
    "m2m100": ("<s>", "<pad>", "</s>", "<unk>"),
    "t5": ("<pad>", "</s>", "<unk>"),
    "flan_t5": ("<pad>", "</s>", "<unk>"),
    "pegasus": ("<pad>", "</s>", "<unk>"),
    "marian": ("</s>", "<unk>"),
}
"""Of each family's vocabulary, by id; that of Marian ends with padding."""


def write_tokenizer(name: str, folder: Path) -> None:
    """Write a tokenizer of characters with the special tokens of a family."""
    tokens = [*SPECIAL[name], *ALPHABET, *"0123456789klmno"]
    if name == "marian":
        tokens = [*tokens[:28], "<pad>"]
    tokenizer = Tokenizer(models.WordLevel({token: i for i, token in enumerate(tokens)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    begin = "<s> " if name == "bart" else ""
    ids = [(token, tokens.index(token)) for token in ("<s>", "</s>") if token in tokens]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{begin}$A </s>", special_tokens=ids)
    roles = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    if name == "bart":
        roles["bos_token"] = "<s>"
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **roles).save_pretrained(folder)


def pretrained(name: str, folder: Path) -> Path:
    """Write a model of a family with fresh weights and a tokenizer of characters; return the folder."""
    sizes: dict[str, Any] = {"d_model": 32, "num_layers": 2} if "t5" in name else {"max_position_embeddings": 300}
    with without_reports():
        FAMILIES[name](**sizes).save_pretrained(folder)
    if name == "flan_t5":
        config = json.loads((folder / "config.json").read_text()) | {"tie_word_embeddings": False}
        (folder / "config.json").write_text(json.dumps(config))
    write_tokenizer(name, folder)
    return folder


def configuration(folder: Path, **sections: Any) -> str:
    """Write the copy task with a configuration that leaves model and tokenizer to its start; return its path."""
    path = Path(write_copy_task(folder, **sections))
    values = yaml.safe_load(path.read_text())
    del values["tokenizer"]
    path.write_text(yaml.safe_dump(values | {"model": {"dropout": 0.0}}))
    return str(path)


def tune(folder: Path, start: Path, *more: str, **sections: Any) -> Path:
    """Train on the copy task in a folder, beginning as a model; return the run directory."""
    assert main(["train", configuration(folder, **sections), "--init-from", str(start), *more]) == 0
    return folder / "run"


@pytest.mark.parametrize("name", SPECIAL)
def test_a_tuned_model_is_one_of_its_family(name: str, tmp_path: Path) -> None:
    start = pretrained(name, tmp_path / "start")
    said = json.loads((start / "config.json").read_text()) | {
        "task_specific_params": {"summarization": {"prefix": "x"}}
    }
    (start / "config.json").write_text(json.dumps(said))
    run = tune(tmp_path, start, "--training.max_steps", "3", validation={"every": 3})
    config = json.loads((run / "model/config.json").read_text())
    before = json.loads((start / "config.json").read_text())
    assert {key: config[key] for key in ("model_type", "d_model", "vocab_size")} == {
        key: before[key] for key in ("model_type", "d_model", "vocab_size")
    }
    assert "task_specific_params" not in config
    with without_reports():
        theirs = AutoModelForSeq2SeqLM.from_pretrained(run / "model").eval()
        tokenizer = AutoTokenizer.from_pretrained(run / "model")
    assert tokenizer("abc")["input_ids"] == AutoTokenizer.from_pretrained(start)("abc")["input_ids"]
    generator = seq2seq.load(run, trainable=True)
    inputs = tokenizer(["abcd", "ba"], return_tensors="pt", padding=True)
    decoder_inputs = torch.randint(3, 13, (2, 5))
    ours = generator.model.teacher_forced(inputs["input_ids"], inputs["attention_mask"].bool(), decoder_inputs)
    expected = theirs(
        input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], decoder_input_ids=decoder_inputs
    ).logits
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-4)
    assert load_file(run / "model/model.safetensors").keys() <= load_file(start / "model.safetensors").keys()
    [found] = seq2seq.load(run)("abc", max_length=5)
    assert found.error is None


@pytest.mark.parametrize("order", ["r2l", "bidirectional", "interleaved"])
@pytest.mark.parametrize("name", ["marian", "bart", "m2m100", "t5"])
def test_any_family_learns_any_order(name: str, order: str, tmp_path: Path) -> None:
    start = pretrained(name, tmp_path / "start")
    options = ["--training.max_steps", "2", "--model.generation_order", order]
    search = {"bidirectional": {"synchronous": {"beam_width": 2, "max_length": 9}}, "interleaved": {"interleaved": {}}}
    decoding = search.get(order, {"beam": {"beam_width": 2, "max_length": 9}})
    run = tune(tmp_path, start, *options, validation={"every": 2}, decoding=decoding)
    assert seq2seq.load(run).model.generation_order == order
    [found] = seq2seq.load(run)("abc", max_length=7)
    assert found.error is None


def test_a_run_goes_on_without_the_folder_that_it_started_as(tmp_path: Path) -> None:
    start = pretrained("t5", tmp_path / "start")
    run = tune(tmp_path, start, "--training.max_steps", "2", validation={"every": 2})
    (start / "model.safetensors").unlink()
    assert json.loads((run / "start.json").read_text())["family"] == "t5"
    [found] = seq2seq.load(run, checkpoint="last")("abc", max_length=5)
    assert found.error is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model.d_model", "64"], "has `d_model: 32`, but this run `d_model: 64`"),
        (["--model.positions", "learned"], "has `positions: relative`, but this run `positions: learned`"),
        (["--training.precision", "fp16"], "t5 models overflow in fp16"),
    ],
)
def test_what_contradicts_the_start_is_said_before_any_work(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = pretrained("t5", tmp_path / "start")
    config = configuration(tmp_path)
    capsys.readouterr()
    assert main(["train", config, "--init-from", str(start), *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()
