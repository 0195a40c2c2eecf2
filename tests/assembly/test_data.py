"""From a configuration and its corpora to a tokenizer."""

from itertools import product
from pathlib import Path

from seq2seq.assembly.configuration import load_run_config
from seq2seq.assembly.data import build_data, build_tokenizer
from seq2seq.assembly.run_directory import enter_run_directory
from seq2seq.data.corpus import read_corpus
from tests.tiny_run import write_copy_task


def test_a_tokenizer_is_trained_once_and_then_loaded(tmp_path: Path, private_cache: Path) -> None:
    config = load_run_config([write_copy_task(tmp_path, tokenizer={"kind": "bpe", "vocab_size": 29})])
    corpus = read_corpus(path=tmp_path / "train.tsv", cache_directory=private_cache)
    leftover = tmp_path / "tokenizer.tmp" / "stale.json"
    leftover.parent.mkdir()
    leftover.touch()
    trained = build_tokenizer(config, tmp_path / "tokenizer", corpus)
    assert trained.source_vocab_size == 29
    assert not (tmp_path / "tokenizer" / "stale.json").exists()
    nothing = read_corpus(path=tmp_path / "validation.tsv", cache_directory=private_cache).select([])
    assert build_tokenizer(config, tmp_path / "tokenizer", nothing).fingerprint() == trained.fingerprint()


def test_a_tokenizer_can_be_loaded_from_elsewhere(copy_task: Path, tmp_path: Path, private_cache: Path) -> None:
    elsewhere = copy_task / "run" / "tokenizer"
    config = load_run_config(
        [write_copy_task(tmp_path, tokenizer={"kind": "byte_bpe"}), "--tokenizer.path", str(elsewhere)]
    )
    corpus = read_corpus(path=tmp_path / "train.tsv", cache_directory=private_cache)
    tokenizer = build_tokenizer(config, tmp_path / "tokenizer", corpus)
    assert tokenizer.encode_sources(["abc"]) == build_tokenizer(config, elsewhere, corpus).encode_sources(["abc"])
    assert (tmp_path / "tokenizer" / "tokenizer.json").is_file(), "kept, so that the run does not depend on elsewhere"


def test_small_corpora_have_their_part_of_the_vocabulary(tmp_path: Path, private_cache: Path) -> None:
    """There is room for a few pieces beside the characters, all of the large corpus unless the small one is raised."""
    config = write_copy_task(tmp_path, tokenizer={"kind": "bpe", "vocab_size": 20})
    texts = ["".join(letters) for letters in product("abcd", repeat=4)]
    for name, lines in (("large", texts), ("small", ["fghi"] * 2)):
        (tmp_path / f"{name}.tsv").write_text("".join(f"{text}\t{text}\n" for text in lines))
    files = [f"{{path: {tmp_path / name}.tsv}}" for name in ("large", "small")]
    found = []
    for temperature in ("1", "1000000", "1"):
        options = ["--data.train", f"[{', '.join(files)}]", "--data.temperature", temperature]
        run = load_run_config([config, *options])
        tokenizer = build_data(run, enter_run_directory(run)).tokenizer
        found.append([len(ids) for ids in tokenizer.encode_sources(["fghi"])])
    assert found[0] == found[2]
    assert found[1] < found[0]
