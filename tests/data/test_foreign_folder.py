"""What a folder asks of who reads it is refused with the file's name, whatever a library would make of it."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from seq2seq.data.foreign_folder import LARGEST_TOKENIZER, check_foreign_folder, check_links, check_size


def write(folder: Path, name: str, value: Any) -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(value))
    return folder / name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with nothing wrong, but much that libraries write."""
    (tmp_path / "outside.json").write_text("{}")
    folder = tmp_path / "model"
    write(folder, "config.json", {"model_type": "t5", "_name_or_path": "/home/me/t5", "quantization_config": None})
    old = {
        "special_tokens_map_file": str(tmp_path / "outside.json"),
        "tokenizer_file": "/home/somebody/of/another/machine",
    }
    write(folder, "tokenizer_config.json", {"name_or_path": "..", "model_max_length": 10**30, **old})
    write(folder, "vocab.json", {"auto_map": 1, "custom_generate": 2})
    write(folder, "model.safetensors.index.json", {"weight_map": {"a": "one.safetensors"}})
    (folder / "linked.json").symlink_to("vocab.json")
    return folder


def test_what_libraries_write_is_let_pass(folder: Path) -> None:
    check_foreign_folder(folder)
    os.symlink(folder, folder.parent / "link")
    check_foreign_folder(folder.parent / "link")


@pytest.mark.parametrize(
    ("name", "entries"),
    [
        ("config.json", {"auto_map": {"AutoModelForSeq2SeqLM": "own.Model"}}),
        ("config.json", {"encoder": {"auto_map": {"AutoConfig": "own.Config"}}}),
        ("config.json", {"transformers_weights": "../outside.safetensors"}),
        ("config.json", {"attn_implementation": "kernels-community/flash-attn"}),
        ("config.json", {"_attn_implementation": {"decoder": "paged|some/one"}}),
        ("config.json", {"quantization_config": {"quant_method": "bitsandbytes"}}),
        ("generation_config.json", {"custom_generate": "some/one"}),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["own.Tokenizer", None]}}),
        ("tokenizer_config.json", {"vocab_file": "/etc/passwd"}),
        ("tokenizer_config.json", {"vocab_file": "../outside.json"}),
        ("tokenizer_config.json", {"fast_tokenizer_files": ["../outside.json"]}),
        ("tokenizer_config.json", {"mecab_kwargs": {"mecab_option": "-r /etc/passwd"}}),
        ("generator_tokenizer/tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["own.Tokenizer", None]}}),
        ("adapter_config.json", {"base_model_name_or_path": "some/one"}),
        ("processor_config.json", "[" * 10),
    ],
)
def test_what_has_code_run_or_leaves_the_folder_is_refused(folder: Path, name: str, entries: Any) -> None:
    file = write(folder, name, entries)
    with pytest.raises(ValueError, match=re.escape(str(file))) as caught:
        check_foreign_folder(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("index", [{}, [], {"weight_map": 3}, {"weight_map": {"a": "../one.safetensors"}}])
def test_indexes_of_something_else_are_refused(folder: Path, index: Any) -> None:
    file = write(folder, "other/model.safetensors.index.json", index)
    with pytest.raises(ValueError, match=re.escape(str(file))):
        check_foreign_folder(folder)


@pytest.mark.parametrize("target", ["../outside.json", "/dev/zero", "/nowhere", ".."])
def test_links_out_of_a_folder_are_refused(folder: Path, target: str) -> None:
    (folder / "tokenizer.json").symlink_to(target)
    with pytest.raises(ValueError, match=re.escape(f"{folder / 'tokenizer.json'} is a link out of its folder")):
        check_links(folder)


def test_links_of_the_hubs_cache_lead_to_its_own_blobs(tmp_path: Path) -> None:
    folder, blobs = tmp_path / "models--some--one" / "snapshots" / "0123", tmp_path / "models--some--one" / "blobs"
    write(blobs, "abc", {})
    write(tmp_path, "blobs", {})
    folder.mkdir(parents=True)
    (folder / "config.json").symlink_to("../../blobs/abc")
    check_links(folder)
    (folder / "other.json").symlink_to("../../../blobs")
    with pytest.raises(ValueError, match=r"other.json is a link out"):
        check_links(folder)


def test_vocabularies_are_files_and_not_endless(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(ValueError, match=r"pipe.json: a pipe or a device"):
        check_size(tmp_path / "pipe.json")
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(LARGEST_TOKENIZER + 1)  # takes no room on a disk
    with pytest.raises(ValueError, match=r"large.json has 536,870,913 bytes"):
        check_size(tmp_path / "large.json")
    check_size(tmp_path / "absent.json")
