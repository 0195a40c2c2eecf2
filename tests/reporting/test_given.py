"""The pairs that a run was trained on, without what its corpora put in front of them."""

import json
from pathlib import Path

import pytest

from seq2seq.assembly.configuration import RunConfig
from seq2seq.data.corpus_options import CorpusOptions, MixedCorpusOptions, PartialCorpusOptions
from seq2seq.data.options import DataOptions
from seq2seq.reporting.given import TrainingPairs, pairs_to_test, training_pairs


def config_of_two(folder: Path) -> RunConfig:
    """Return the configuration of a run on two corpora of ten pairs each, whose prefixes begin alike."""
    corpora = []
    for name, prefix in (("first", "translate: "), ("second", "translate: now: ")):
        (folder / f"{name}.tsv").write_text("".join(f"{name} {row}\tx\n" for row in range(10)))
        corpora.append(MixedCorpusOptions(path=str(folder / f"{name}.tsv"), source_prefix=prefix))
    return RunConfig(run_directory=str(folder), data=DataOptions(train=tuple(corpora), num_folds=2))


def test_the_prefix_of_every_corpus_is_no_part_of_a_source(tmp_path: Path) -> None:
    config = config_of_two(tmp_path)
    found = [*training_pairs(config).sources, *pairs_to_test(tmp_path, config).sources]
    assert sorted(found) == sorted(f"{name} {row}" for name in ("first", "second") for row in range(10))


def test_sources_that_training_has() -> None:
    known = TrainingPairs(("a", "b"), ("x", "y"), 2)
    assert known.num_seen(["a", "c", "a"]) == 2


@pytest.mark.parametrize("side", ["source", "target"])
def test_rows_of_many_languages_are_not_taken_for_one(side: str, tmp_path: Path) -> None:
    table, lines = tmp_path / "pairs.jsonl", tmp_path / "lines"
    rows = [{"source": "a", "target": f"in {language}", "spoken": language} for language in ("deu", "fra")]
    table.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    train = CorpusOptions(path=str(table), **{f"{side}_language_column": "spoken"})
    data = DataOptions(train=train, validation=PartialCorpusOptions(path=str(table)))
    config = RunConfig(run_directory=str(tmp_path), data=data)
    with pytest.raises(ValueError, match="in languages that each row says.*give `--source` and `--reference`"):
        pairs_to_test(tmp_path, config)
    lines.write_text("a\n")
    assert pairs_to_test(tmp_path, config, (lines, lines)).sources == ("a",)
