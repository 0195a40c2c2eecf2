from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from seq2seq.data.batch import IGNORED_LABEL
from seq2seq.models import loading
from seq2seq.models.families import folders
from seq2seq.models.families.folders import FAMILIES as TABLES
from seq2seq.models.families.folders import read_family, write_family
from seq2seq.models.loading import load_model
from seq2seq.models.transformer import Seq2SeqTransformer, packing
from seq2seq.models.transformer.inference import InferenceTransformer
from seq2seq.models.transformer.packing import can_halve, can_quantize, halve, pack, quantize
from tests.models.families.tiny_families import FAMILIES, random_batch, random_model, tolerance, use_double_norms


def saved(name: str, folder: Path) -> Any:
    """Write a random model into a folder as transformers does; return it."""
    model = random_model(name)
    model.save_pretrained(folder)
    if name == "flan_t5":  # what the files of these models say, and transformers would no longer write
        config = (folder / "config.json").read_text()
        (folder / "config.json").write_text(
            config.replace('"tie_word_embeddings": true', '"tie_word_embeddings": false')
        )
    return model


@pytest.mark.parametrize("name", FAMILIES)
def test_logits_and_loss_are_those_of_transformers(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_double_norms(monkeypatch)
    theirs, ours = saved(name, tmp_path), load_model(tmp_path, trainable=True)
    assert isinstance(ours, Seq2SeqTransformer)
    batch = random_batch(theirs)
    expected = theirs(**batch)
    labels = batch.pop("labels")
    torch.testing.assert_close(ours(**batch).logits, expected.logits, rtol=0, atol=tolerance(name, 1e-10))

    def loss_of(hidden: Any, weight: Any, bias: Any) -> Any:
        return functional.cross_entropy(functional.linear(hidden, weight, bias).flatten(0, 1), labels.flatten())

    labels[1, 3:] = IGNORED_LABEL
    padded = theirs(**batch, labels=labels).loss
    found = ours(**batch, score=loss_of).loss
    torch.testing.assert_close(found, padded, rtol=0, atol=tolerance(name, 1e-10))


@pytest.mark.parametrize("name", FAMILIES)
def test_gradients_are_those_of_transformers(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_double_norms(monkeypatch)
    theirs, ours = saved(name, tmp_path), load_model(tmp_path, trainable=True)
    assert isinstance(ours, Seq2SeqTransformer)
    batch = random_batch(theirs)
    theirs(**batch).loss.backward()
    ours(**batch).logits.log_softmax(-1).gather(-1, batch["labels"].unsqueeze(-1)).mean().neg().backward()
    kept = {id(parameter) for parameter in ours.parameters() if not parameter.requires_grad}
    assert {name for name, parameter in ours.named_parameters() if id(parameter) in kept} <= {"lm_head.bias"}
    table = TABLES[theirs.config.model_type]
    expected = {key: parameter.grad for key, parameter in theirs.named_parameters()}
    for entry in table.layers(ours.options):
        wanted = torch.cat([expected[key] for key in entry.theirs])
        found = ours.get_parameter(entry.ours).grad
        torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance(theirs.config.model_type, 1e-9))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_checkpoint_comes_back_bit_by_bit(name: str, tmp_path: Path) -> None:
    model = saved(name, tmp_path / "theirs")
    found = read_family(tmp_path / "theirs")
    (tmp_path / "ours").mkdir()
    write_family(tmp_path / "ours", found, None)
    before, after = (load_file(tmp_path / part / "model.safetensors") for part in ("theirs", "ours"))
    for key, tensor in before.items():
        kept = after.get(key)
        if kept is None:  # another name of the same tensor, or positions that are computed
            assert "embed_positions" in key or any(torch.equal(tensor, other) for other in after.values()), key
        else:
            assert torch.equal(tensor, kept), key
    again = type(model).from_pretrained(tmp_path / "ours", dtype=torch.float64).eval()
    states = model.state_dict(), again.state_dict()
    assert states[0].keys() == states[1].keys()
    for key, tensor in states[0].items():
        if "embed_positions" not in key:
            assert torch.equal(tensor, states[1][key]), key
    tied = [parts.get_output_embeddings().weight is parts.get_decoder().embed_tokens.weight for parts in (model, again)]
    assert tied[0] == tied[1] == (name not in ("flan_t5", "mt5"))


def test_an_output_layer_of_its_own_is_not_tied_whatever_the_configuration_says(tmp_path: Path) -> None:
    model = random_model("mt5")
    model.save_pretrained(tmp_path)
    found = read_family(tmp_path)
    assert found.options.tie_embeddings == "inputs"
    assert not found.options.output_scale
    assert torch.equal(found.weights["lm_head.weight"], model.get_output_embeddings().weight)


def test_embeddings_of_madlad_stand_under_another_name(tmp_path: Path) -> None:
    model = saved("flan_t5", tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["decoder.embed_tokens.weight"] = tensors.pop("shared.weight")
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    found = read_family(tmp_path)
    for key in ("encoder.embeddings.tokens.weight", "decoder.embeddings.tokens.weight"):
        assert torch.equal(found.weights[key], model.get_input_embeddings().weight)
    assert found.options.tie_embeddings == "inputs"


@pytest.mark.parametrize("name", [name for name in FAMILIES if "t5" not in name])
def test_checkpoints_of_the_class_without_output_layer_leave_out_where_it_keeps_the_rest(
    name: str, tmp_path: Path
) -> None:
    """Such are bart-base and bart-large, which also hold the version of their format."""
    model = random_model(name)
    base: Any = model.model
    base.save_pretrained(tmp_path)
    if name == "bart":
        tensors = load_file(tmp_path / "model.safetensors") | {"encoder.version": torch.tensor([3.0])}
        save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    theirs = type(model).from_pretrained(tmp_path, dtype="auto").eval()
    ours, batch = load_model(tmp_path, trainable=True), random_batch(model)
    assert isinstance(ours, Seq2SeqTransformer)
    torch.testing.assert_close(ours(**batch).logits, theirs(**batch).logits, rtol=0, atol=tolerance(name, 1e-10))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("absent", r"not those of a bart model; absent: model\.decoder\.layers\.1\.fc1\.weight"),
        ("surplus", r"not those of a bart model; without a place: model\.decoder\.layers\.2\.fc1\.weight"),
        ("other embeddings", r"model\.encoder\.embed_tokens\.weight: other numbers than model\.shared\.weight"),
        ("no embeddings", r"absent: model\.shared\.weight"),
    ],
)
def test_weights_that_are_not_the_familys_are_named(change: str, words: str, tmp_path: Path) -> None:
    saved("bart", tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    if change == "absent":
        del tensors["model.decoder.layers.1.fc1.weight"]
    elif change == "surplus":
        tensors["model.decoder.layers.2.fc1.weight"] = torch.zeros(3)
    elif change == "other embeddings":
        tensors["model.encoder.embed_tokens.weight"] = tensors["model.shared.weight"] + 1
    else:
        del tensors["model.shared.weight"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=words) as caught:
        load_model(tmp_path)
    assert str(caught.value).startswith(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_half_precision_is_refused_for_t5_where_it_is_of_all_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved("t5", tmp_path)
    if can_halve("cpu"):
        assert isinstance(load_model(tmp_path, dtype=torch.float16), InferenceTransformer)
    monkeypatch.setattr(loading, "can_halve", lambda device: False)
    with pytest.raises(ValueError, match="t5 models overflow in fp16"):
        load_model(tmp_path, dtype=torch.float16)


def test_weights_of_t5_in_half_precision_are_computed_with_in_single(tmp_path: Path) -> None:
    random_model("t5").half().save_pretrained(tmp_path)
    model: Any = load_model(tmp_path, trainable=True)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_pickles_are_not_read(tmp_path: Path) -> None:
    saved("bart", tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(
        ValueError, match="no weights in safetensors, and nothing else is read; pytorch_model.bin may run"
    ):
        load_model(tmp_path)


@pytest.mark.parametrize("name", FAMILIES)
def test_weights_are_converted_as_they_are_read_and_tied_ones_once(name: str, tmp_path: Path) -> None:
    random_model(name).float().save_pretrained(tmp_path)
    whole, found = read_family(tmp_path), read_family(tmp_path, torch.bfloat16)
    assert found.options == whole.options
    assert found.weights.keys() == whole.weights.keys()
    for key, weight in whole.weights.items():
        assert torch.equal(found.weights[key], weight.bfloat16()), key
    model: Any = load_model(tmp_path, dtype=torch.bfloat16)
    embeddings = model.decoder.embeddings.tokens.weight
    assert (model.encoder.embeddings.tokens.weight is embeddings) == (found.options.tie_embeddings in ("all", "inputs"))


def test_an_output_layer_that_rounds_to_the_embeddings_is_still_one_of_its_own(tmp_path: Path) -> None:
    model = saved("flan_t5", tmp_path)
    tensors = {key: tensor.float() for key, tensor in load_file(tmp_path / "model.safetensors").items()}
    tensors["lm_head.weight"] = tensors["shared.weight"] * (1 + 1e-5)
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert model.config.model_type == "t5"
    found = read_family(tmp_path, torch.bfloat16)
    assert (found.options.tie_embeddings, found.options.output_scale) == ("inputs", False)


@pytest.mark.parametrize("name", ["bart", "flan_t5"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.int8])
def test_layers_are_packed_one_by_one_as_the_whole_is(
    dtype: torch.dtype, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit; and while one is packed, those behind it have not been read."""
    if dtype == torch.int8 and not can_quantize("cpu"):
        pytest.skip("this processor has no fast products of bytes")
    if dtype == torch.float16 and not can_halve("cpu"):
        pytest.skip("this processor has no products of weights in 16 bits")
    monkeypatch.setattr(packing, "SMALLEST_OF_SEVEN_BITS", 0)
    saved(name, tmp_path)
    kept = torch.float32 if dtype in (torch.int8, torch.float16) else dtype
    found = read_family(tmp_path, kept)
    whole: Any = InferenceTransformer.without_weights(found.options).with_weights(found.weights)
    replaced, part = {torch.int8: (quantize, "quantize_parts"), torch.float16: (halve, "halve_parts")}.get(
        dtype, (pack, "pack_parts")
    )
    whole = replaced(whole)
    reads: list[str] = []
    reads_before: list[int] = []
    read, replace = folders.read_as, getattr(loading, part)

    def noted_read(path: Path, name: str, dtype: Any) -> Any:
        reads.append(name)
        return read(path, name, dtype)

    def noted_replace(layer: Any) -> None:
        reads_before.append(len(reads))
        replace(layer)

    monkeypatch.setattr(folders, "read_as", noted_read)
    monkeypatch.setattr(loading, part, noted_replace)
    model: Any = load_model(tmp_path, dtype=dtype)
    assert len(set(reads_before)) == found.options.encoder_layers + found.options.decoder_layers
    source, target = torch.randint(3, 28, (2, 5, 7))
    mask = torch.ones_like(source).bool()
    with torch.inference_mode():
        assert torch.equal(model.teacher_forced(source, mask, target), whole.teacher_forced(source, mask, target))
