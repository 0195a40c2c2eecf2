from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

import seq2seq
from seq2seq.apps.command import main
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.export.transformers_export import export_transformers
from seq2seq.models.families.folders import read_family
from seq2seq.models.loading import load_model, without_reports
from tests.models.families.tiny_families import random_model
from tests.models.tiny import random_pairs, tiny_model

OF_A_FAMILY: dict[str, Any] = {
    "key_size": None,
    "value_size": None,
    "num_heads": 3,
    "d_model": 24,
    "positions": "sinusoidal",
}


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "PegasusForConditionalGeneration"),
        ({"activation": "gelu_tanh", "embedding_scale": False, "output_bias": True}, "PegasusForConditionalGeneration"),
        ({"norm_position": "post", "activation": "silu"}, "MarianMTModel"),
        ({"norm_position": "post", "tie_embeddings": "target", "source_vocab_size": 41}, "MarianMTModel"),
    ],
)
def test_a_model_from_random_weights_is_read_without_this_package(
    options: dict[str, Any], name: str, tmp_path: Path
) -> None:
    model = tiny_model(**OF_A_FAMILY, **options).float()
    model.save_pretrained(tmp_path / "ours")
    from seq2seq.models.families.folders import FamilyModel, write_family
    from seq2seq.models.families.plain import family_like
    from seq2seq.models.transformer.inference import load_weights

    family, config = family_like(model.options)
    (tmp_path / "theirs").mkdir()
    weights = load_weights(tmp_path / "ours", model.options.tie_embeddings)
    write_family(tmp_path / "theirs", FamilyModel(family, config, model.options, weights), None)
    with without_reports():
        theirs = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "theirs").eval()
    assert type(theirs).__name__ == family.class_name == name
    pairs = random_pairs()
    expected = model(*pairs).logits
    found = theirs(
        input_ids=pairs.input_ids, attention_mask=pairs.attention_mask, decoder_input_ids=pairs.decoder_input_ids
    ).logits
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)
    again: Any = load_model(tmp_path / "theirs", trainable=True)
    torch.testing.assert_close(again(*pairs).logits, expected, rtol=0, atol=1e-6)


def test_a_run_becomes_a_folder_of_transformers(copy_task: Path, tmp_path: Path, capsys: Any) -> None:
    folder = tmp_path / "folder"
    assert main(["export", "--model", str(copy_task / "run"), "--format", "transformers", "--output", str(folder)]) == 0
    assert "holds a PegasusForConditionalGeneration" in capsys.readouterr().out
    with without_reports():
        model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = (copy_task / "test.txt").read_text().splitlines()[:7]
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    generated = model.generate(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    found = tokenizer.batch_decode(generated, skip_special_tokens=True)
    assert found == [hypotheses[0].text for hypotheses in seq2seq.load(copy_task / "run")(texts)]
    assert found == [hypotheses[0].text for hypotheses in seq2seq.load(folder)(texts)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"positions": "rotary"}, "`positions: rotary` is in no family of transformers.*positions: sinusoidal` can be"),
        ({"generation_order": "r2l"}, "`generation_order: r2l` is in no family"),
        ({"norm_position": "pre", "tie_embeddings": "none"}, "`tie_embeddings: none` is in no family"),
        ({"key_size": 6, "value_size": 8}, "`key_size` and `value_size` are in no family"),
    ],
)
def test_what_no_family_has_is_named(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    tiny_model(**OF_A_FAMILY | options).float().save_pretrained(tmp_path / "ours")
    with pytest.raises(ValueError, match=words):
        export_transformers(tmp_path / "ours", tmp_path / "theirs")
    assert not (tmp_path / "theirs").exists()


def test_a_model_of_a_family_is_copied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random_model("mbart").save_pretrained(tmp_path / "before")
    TextTokenizer.train(["ab"], ["ba"], kind="characters", shared=False).save(tmp_path / "before")
    assert export_transformers(tmp_path / "before", tmp_path / "after") == "MBartForConditionalGeneration"
    before, after = read_family(tmp_path / "before"), read_family(tmp_path / "after")
    assert all(torch.equal(weight, after.weights[name]) for name, weight in before.weights.items())
    of_both = [TextTokenizer.load(tmp_path / place) for place in ("before", "after")]
    assert of_both[0].fingerprint() == of_both[1].fingerprint()
    words = ["--model", str(tmp_path / "before"), "--output", str(tmp_path / "again")]
    assert main(["export", "--format", "transformers", *words]) == 0
    assert "`AutoTokenizer` (with `subfolder='source_tokenizer'` or `'target_tokenizer'`)" in capsys.readouterr().out


@pytest.mark.parametrize(("absent", "words"), [("model.safetensors", "no weights"), ("tokenizer.json", "tokenizer")])
def test_a_folder_that_is_not_whole_is_not_copied(absent: str, words: str, tmp_path: Path) -> None:
    """As one for ONNX is none, whose configuration is of a family, too."""
    random_model("bart").save_pretrained(tmp_path / "before")
    TextTokenizer.train(["ab"], ["ba"], kind="characters").save(tmp_path / "before")
    (tmp_path / "before" / absent).unlink()
    with pytest.raises(ValueError, match=words):
        export_transformers(tmp_path / "before", tmp_path / "after")
    assert not (tmp_path / "after").exists()


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    random_model("bart").save_pretrained(tmp_path / "before")
    with pytest.raises(ValueError, match="is there and holds something"):
        export_transformers(tmp_path / "before", tmp_path)
