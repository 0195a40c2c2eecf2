"""The pairs that a run was trained on, without what its corpora put in front of them."""

from pathlib import Path

from seq2seq.assembly.configuration import RunConfig
from seq2seq.data.corpus_options import MixedCorpusOptions
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
