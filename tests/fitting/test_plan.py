import shutil
from pathlib import Path

import pytest

from seq2seq.assembly.configuration import RunConfig
from seq2seq.data.corpus_options import CorpusOptions
from seq2seq.data.tokenizer import TokenizerOptions
from seq2seq.fitting.pairs import Pairs, Parts
from seq2seq.fitting.plan import check_disk, check_said, lengths, parsed, without_contradicted

OPTIONS = {"run_directory": "x", "training.max_steps": 4200, "optimizer.ema_decay": 0.999}


def pairs(number: int, source: str = "a b", target: str = "c d") -> Pairs:
    return Pairs([source] * number, [target] * number, CorpusOptions(path="x.tsv"))


def test_lengths_are_in_the_tokens_of_each_side() -> None:
    parts = Parts(pairs(3, "abc defg", "x y z"), pairs(1), pairs(1))
    of_words = {"tokenizer.kind": "word_and_characters", "tokenizer.target_kind": "words", "tokenizer.shared": False}
    found = lengths(parts, parsed(OPTIONS | of_words))
    assert found["data.max_source_tokens"] == 8 + 2 + 2
    assert found["data.max_target_tokens"] == 3 + 2
    assert lengths(parts, parsed(OPTIONS))["data.max_source_tokens"] == 256
    very_long = Parts(pairs(3, "x" * 5000), pairs(1), pairs(1))
    characters = parsed(OPTIONS | {"tokenizer.kind": "characters"})
    assert lengths(very_long, characters)["data.max_source_tokens"] == 1000
    assert lengths(Parts(pairs(3, "字" * 700), pairs(1), pairs(1)), parsed(OPTIONS))["data.max_source_tokens"] == 700
    assert (
        lengths(Parts(pairs(3, "a word " * 100), pairs(1), pairs(1)), parsed(OPTIONS))["data.max_source_tokens"] == 350
    )


def test_what_a_user_sets_counts_most() -> None:
    config = parsed(OPTIONS, [("training.max_steps", "7"), ("model.d_model", "64")])
    assert (config.training.max_steps, config.model.d_model) == (7, 64)
    with pytest.raises(ValueError, match="modle"):
        parsed(OPTIONS, [("modle.d_model", "64")])


def test_a_disk_too_small_is_said_before_the_start(tmp_path: Path) -> None:
    check_disk(tmp_path, 1000)
    with pytest.raises(ValueError, match="MiB on the disk, of which .* are free; make room"):
        check_disk(tmp_path, 2 * shutil.disk_usage(tmp_path).total)


def test_a_recipe_gives_way_to_what_a_user_sets() -> None:
    recipe = {
        "run_directory": "runs/new",
        **{"tokenizer.vocab_size": 2000, "tokenizer.min_frequency": 10},
        **{"validation.metrics": ["bleu", "chrf"], "validation.select_by": "chrf"},
    }

    def left(*said: tuple[str, str]) -> RunConfig:
        check_said(said)
        return parsed(without_contradicted(recipe, said), said)

    assert left(("tokenizer.path", "own.model")).tokenizer == TokenizerOptions(path="own.model")
    assert left(("tokenizer.kind", "sentencepiece")).tokenizer.vocab_size == 2000
    assert left(("validation.metrics", "[ter]")).validation.select_by == "loss"
    assert left(("validation.metrics", "[ter, chrf]")).validation.select_by == "chrf"
    assert left(("validation.select_by", "bleu")).validation.select_by == "bleu"
    with pytest.raises(ValueError, match="`tokenizer`: `min_frequency` is nothing that sentencepiece can be told"):
        check_said([("tokenizer.kind", "sentencepiece"), ("tokenizer.min_frequency", "3")])
    with pytest.raises(ValueError, match="neither `loss` nor one of `metrics`"):
        check_said([("validation.select_by", "ter")])
