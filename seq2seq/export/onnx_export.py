"""From a model to a folder of ONNX files, which transformers.js, onnxruntime and our own page run.

    onnx/encoder_model.onnx, onnx/decoder_model_merged.onnx   (in int8 each with `_quantized` before its end)
    config.json, generation_config.json                       what transformers.js asks before it runs them
    tokenizer.json …                                          as `TextTokenizer.save` writes it
    decoding.json                                             the run's search
    engine.json                                               all that our own page and the check need to know

transformers.js chooses its class of model by the type in `config.json`, and that of Marian is the one that adds nothing
to the graphs: every model here calls itself so there, whatever its network.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seq2seq.assembly.decoding_defaults import DecodingDefaults, write_decoding
from seq2seq.assembly.generation_config import TargetRules
from seq2seq.assembly.search import inner_search
from seq2seq.config.writing import plain
from seq2seq.data.tokenizer import SOURCE_FOLDER, TARGET_FOLDER, TextTokenizer
from seq2seq.decoding import Search
from seq2seq.export.browser_languages import frame, offered_languages
from seq2seq.export.ctranslate2_export import check_replaceable
from seq2seq.export.onnx_network import decoder_graph, encoder_graph
from seq2seq.export.onnx_nodes import require_onnx
from seq2seq.export.onnx_page import Page, write_page
from seq2seq.export.onnx_rules import generation_values, written_rules
from seq2seq.files import new_folder, written
from seq2seq.models.transformer import Seq2SeqTransformer

QUANTIZATIONS = ("float32", "int8")
NO_RULES = TargetRules()
ENGINE_FILE = "engine.json"
"""What is said of the model beside its graphs; a folder that holds it is an export and may be replaced by another."""
GRAPHS = "onnx"
LARGEST_FILE = 2_000_000_000
"""Bytes of a graph beyond which its weights stand in a file beside it; a message of protobuf ends at 2 GiB."""
SEARCH_OPTIONS = (
    *("beam_width", "length_penalty", "length_normalization", "max_length", "max_length_ratio", "min_length"),
    *("no_repeat_ngram", "early_stopping"),
)
"""What the page's search has, too."""


def export_onnx(
    folder: Path,
    model: Seq2SeqTransformer,
    tokenizer: TextTokenizer,
    search: Search,
    source_prefix: str = "",
    quantization: str = "float32",
    max_source_tokens: int | None = None,
    page: Page | None = None,
    rules: TargetRules = NO_RULES,
    called: str | None = None,
    languages: tuple[str | None, str | None] = (None, None),
) -> None:
    """Write the folder, with a page as a site; it appears whole or not at all, in the place of an older one.

    Args:
        rules: what no output may say, and what else ends one.
        called: the model's name in the page; by default that of the folder.
        languages: codes of source and target that stand first, and of a model that is told none, its own.

    Raises:
        ValueError: a library is missing, there is no such quantisation, the model does not generate from the left, no
            browser reads its tokenizer and there is a page, or the folder holds something else.
    """
    require_onnx()
    check_exportable(model, quantization)
    check_replaceable(folder, ENGINE_FILE, "ONNX export")
    has_8_bits = quantization == "int8"
    with new_folder(folder) as unfinished:
        (unfinished / GRAPHS).mkdir()
        files = {}
        for role, file, build in (
            ("encoder", "encoder_model", encoder_graph),
            ("decoder", "decoder_model_merged", decoder_graph),
        ):
            files[role] = f"{GRAPHS}/{file}{'_quantized' if has_8_bits else ''}.onnx"
            save_graph(build(model, has_8_bits), unfinished / files[role])
        tokenizer.save(unfinished)
        write_decoding(unfinished, DecodingDefaults(search, source_prefix, max_source_tokens))
        _write(unfinished / "config.json", transformers_js_config(model, unfinished))
        said = generation_config(model, tokenizer, rules) | {"max_length": _longest(search) + 1}
        _write(unfinished / "generation_config.json", said)
        limits = {"source_prefix": source_prefix, "max_source_tokens": max_source_tokens}
        engine = engine_values(model, tokenizer, search, called or folder.name, rules)
        offered = offered_languages(tokenizer, languages)
        _write(unfinished / ENGINE_FILE, {**files, **limits, **engine, "languages": offered})
        if page is not None:
            write_page(unfinished, page)


def check_exportable(model: Seq2SeqTransformer, quantization: str) -> None:
    """Raise ValueError for what no graph is made of."""
    if quantization not in QUANTIZATIONS:
        raise ValueError(f"`quantization` must be one of {', '.join(QUANTIZATIONS)}, but is {quantization!r}.")
    if model.config.generation_order != "l2r":
        raise ValueError(
            f"The graphs of ONNX generate from the left, and this model was trained in the order "
            f"`{model.config.generation_order}`; export one with `generation_order: l2r`, or serve this one by "
            "`seq2seq serve`."
        )


def save_graph(graph: Any, path: Path) -> None:
    """Write a graph; weights of a large one go into a file beside it, where transformers.js looks for them."""
    onnx = require_onnx()
    if graph.ByteSize() <= LARGEST_FILE:
        onnx.save_model(graph, str(path))
        return
    onnx.save_model(graph, str(path), save_as_external_data=True, location=f"{path.name}_data", size_threshold=1024)


def transformers_js_config(model: Seq2SeqTransformer, folder: Path) -> dict[str, Any]:
    """Return what transformers.js asks of the model; `folder` holds its graphs already."""
    config = model.config
    parts = {f"{side}_attention_heads": config.num_heads for side in ("encoder", "decoder")}
    said = {
        "model_type": "marian",
        "architectures": ["MarianMTModel"],
        "is_encoder_decoder": True,
        "d_model": config.d_model,
        "encoder_layers": config.encoder_layers,
        "decoder_layers": config.decoder_layers,
        **parts,
        "vocab_size": config.vocab_size,
        **special_tokens(model),
    }
    has_data = any((folder / GRAPHS).glob("*_data"))
    return said | ({"transformers.js_config": {"use_external_data_format": True}} if has_data else {})


def generation_config(model: Seq2SeqTransformer, tokenizer: TextTokenizer, rules: TargetRules) -> dict[str, Any]:
    """Return what transformers.js has to know of an output: what it begins and ends with, and never says."""
    said: dict[str, Any] = special_tokens(model)
    if rules.other_ends:
        said["eos_token_id"] = [model.eos_id, *rules.other_ends]
    if tokenizer.target_start:
        assert len(tokenizer.target_start) == 1, "a language, or what a folder of transformers forces, is one token"
        [said["forced_bos_token_id"]] = tokenizer.target_start
    return said | generation_values(written_rules(rules.constraints))


def special_tokens(model: Seq2SeqTransformer) -> dict[str, int]:
    """Return the ids that generation begins and ends with, by the names of transformers."""
    return {
        "pad_token_id": model.pad_id,
        "eos_token_id": model.eos_id,
        "decoder_start_token_id": model.decoder_start_id,
    }


def engine_values(
    model: Seq2SeqTransformer, tokenizer: TextTokenizer, search: Search, name: str, rules: TargetRules
) -> dict[str, Any]:
    """Return what `engine.json` says besides where the graphs are."""
    config, (prefix, suffix) = model.config, frame(tokenizer)
    key_size, value_size = config.head_sizes
    values = plain(inner_search(search))
    return {
        "name": name,
        "num_layers": config.decoder_layers,
        "num_heads": config.num_heads,
        "key_size": key_size,
        "value_size": value_size,
        "d_model": config.d_model,
        "vocab_size": config.vocab_size,
        "longest": config.longest,
        **special_tokens(model),
        "source_frame": [prefix, suffix],
        "target_start": list(tokenizer.target_start),
        "source_tokenizer": f"{SOURCE_FOLDER}/" if not tokenizer.shared else "",
        "target_tokenizer": f"{TARGET_FOLDER}/" if not tokenizer.shared else "",
        "other_ends": list(rules.other_ends),
        "rules": written_rules(rules.constraints),
        "search": {name: values[name] for name in SEARCH_OPTIONS if name in values},
    }


def _longest(search: Search) -> int:
    return int(getattr(inner_search(search), "max_length", 0))


def _write(path: Path, values: Mapping[str, Any]) -> None:
    with written(path) as file:
        file.write(json.dumps(values, indent=2, ensure_ascii=False) + "\n")
