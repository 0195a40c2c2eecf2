"""Folders that are damaged as a copy, a disk or a hand does it, or made to do harm to who reads them."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.end_to_end.malformed_mutations import spoiled_bytes, spoiled_json, spoiled_lines, spoiled_weights

EVIL = """
from pathlib import Path
Path({sentinel!r}).write_text("ran")
from transformers import PreTrainedConfig, PreTrainedTokenizerFast
class Evil(PreTrainedTokenizerFast): pass
class EvilConfig(PreTrainedConfig): model_type = "evil"
def generate(*args, **kwargs): raise SystemExit
"""
PICKLE = "cbuiltins\nopen\n(V{sentinel}\nVw\ntR."
"""A pickle that opens a file for writing."""
DAMAGE = ("change",) * 12 + ("gone", "empty", "folder", "fifo", "link", "swap")
HARM: dict[str, dict[str, Any]] = {
    "tokenizer_config.json": {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", None]}},
    "config.json": {"auto_map": {name: "evil.EvilConfig" for name in ("AutoConfig", "AutoModelForSeq2SeqLM")}},
    "config.json ": {"model_type": "evil", "auto_map": {"AutoConfig": "evil.EvilConfig"}},
    "config.json  ": {"transformers_weights": "../outside/weights.safetensors"},
    "config.json   ": {"attn_implementation": "kernels-community/flash-attn"},
    "config.json    ": {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}},
    "adapter_config.json": {"base_model_name_or_path": "../outside", "peft_type": "LORA"},
    "tokenizer_config.json ": {"vocab_file": "/etc/passwd", "tokenizer_file": "/etc/passwd"},
    "tokenizer_config.json  ": {"fast_tokenizer_files": ["../outside/tokenizer.4.0.0.json"]},
    "tokenizer_config.json   ": {"tokenizer_class": "RagTokenizer"},
    "tokenizer_config.json    ": {"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "mecab"},
    "generation_config.json": {"custom_generate": "evil", "trust_remote_code": True},
    "model.safetensors.index.json": {"metadata": {}, "weight_map": {"shared.weight": "../outside/weights.safetensors"}},
    "model.safetensors.index.json ": {"metadata": {}, "weight_map": {"shared.weight": "pytorch_model.bin"}},
}
"""What is put into a file; blanks behind a name tell two of one file apart."""


def spoil_folder(draw: Any, folder: Path, good: Path, outside: Path, sentinel: Path, *, resign: bool = False) -> str:
    """Spoil one file of a folder, which is a copy of a good one; return what was done.

    Args:
        outside: a folder that nothing in there has any business with.
        sentinel: what code that runs would write.
        resign: let the checksums of a checkpoint be right again.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if (folder / "config.json").is_file() and draw(st.integers(0, 3)) == 0:
        return harmed(draw, folder, outside, sentinel)
    file = draw(st.sampled_from(files))
    how = draw(st.sampled_from(DAMAGE))
    whole = file.read_bytes()
    if how != "change":
        file.unlink()
    if how == "change":
        file.write_bytes(spoiled(draw, file, whole))
    elif how == "empty":
        file.touch()
    elif how == "folder":
        file.mkdir()
    elif how == "fifo":
        os.mkfifo(file)
    elif how == "link":
        file.symlink_to(draw(st.sampled_from(("/dev/zero", "/etc/passwd", "/nowhere", file.name, ".."))))
    elif how == "swap":
        file.write_bytes(
            draw(st.sampled_from([other for other in files if other != file] or [good / file.name])).read_bytes()
        )
    if resign:
        sign(file.parent)
    shown = file.read_bytes()[:2000] if how == "change" and file.suffix in (".json", ".jsonl", ".yaml") else b""
    return f"{file.relative_to(folder)} {how} {difference(whole, shown)!r}"


def difference(whole: bytes, changed: bytes) -> bytes:
    """Return what a change looks like, from a little before the first byte that differs."""
    same = next((i for i, (a, b) in enumerate(zip(whole, changed, strict=False)) if a != b), 0)
    return changed[max(same - 60, 0) : same + 80]


def spoiled(draw: Any, file: Path, whole: bytes) -> bytes:
    """Return a file's content, changed as its kind suggests."""
    if file.suffix == ".json" and whole:
        return draw(spoiled_json(json.loads(whole)) | spoiled_bytes(whole))
    if file.suffix == ".safetensors":
        return draw(spoiled_weights(whole))
    if file.suffix == ".jsonl" and whole:
        rows = whole.rstrip(b"\n").split(b"\n")
        index = draw(st.integers(0, len(rows) - 1))
        one = [*rows[:index], draw(spoiled_json(json.loads(rows[index]))), *rows[index + 1 :]]
        return b"\n".join(draw(st.just(one) | spoiled_lines(rows))) + b"\n"
    return draw(spoiled_bytes(whole))


def sign(folder: Path) -> None:
    """Give a checkpoint the checksums of what it holds."""
    checksums = folder / "checksums.json"
    if checksums.exists() and not checksums.is_file():
        return
    try:
        contents = json.loads(checksums.read_bytes())
        for name in filter(lambda name: (folder / name).is_file(), contents["sha256"]):
            contents["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        checksums.write_text(json.dumps(contents))
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return


def harmed(draw: Any, folder: Path, outside: Path, sentinel: Path) -> str:
    """Put something into a model's folder that would run code, or read what is outside, if it were followed."""
    evil = EVIL.format(sentinel=str(sentinel))
    for name in ("evil.py", "custom_generate/generate.py", "tokenization_evil.py", "__init__.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(evil)
    pickle = PICKLE.format(sentinel=sentinel).encode()
    for name in ("pytorch_model.bin", "adapter_model.bin", ".metadata", "training_args.bin"):
        (folder / name).write_bytes(pickle)
    weights = folder / "model.safetensors"
    shutil.copy(weights, outside / "weights.safetensors")
    shutil.copy(folder / "tokenizer.json", outside / "tokenizer.4.0.0.json")
    how = draw(st.sampled_from(("pickle", "link", *HARM, *HARM)))
    if how == "pickle":
        weights.unlink()
    elif how == "link":
        weights.unlink()
        weights.symlink_to(outside / "weights.safetensors")
    else:
        if "index" in how:
            weights.unlink()
        file = folder / how.strip()
        before = json.loads(file.read_bytes()) if file.is_file() else {}
        file.write_text(json.dumps(before | HARM[how]))
    return f"harm by {how}: {HARM.get(how)}"
