"""What is measured of a run beside its outputs."""

from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Any

import pytest

from seq2seq.assembly.configuration import RunConfig
from seq2seq.assembly.generator import TextGenerator
from seq2seq.data.corpus_options import CorpusOptions, PartialCorpusOptions
from seq2seq.data.options import DataOptions
from seq2seq.decoding.algorithms.beam import BeamSearch
from seq2seq.reporting import measuring
from seq2seq.reporting.measuring import Means, RunToMeasure
from seq2seq.training.options import TrainingOptions, ValidationOptions
from tests.fakes import CharTokenizer, RandomModel
from tests.reporting.runs import score


@pytest.mark.parametrize(
    ("is_there", "max_rows", "num_pairs", "noise"),
    [(True, 25, 100, 4.0), (True, 0, 450, 6.0), (True, 1000, 450, 6.0), (True, 25, 10, 2.0)]
    + [(False, 25, 100, 4.0), (False, 0, 100, 2.0)],
)
def test_a_curve_over_fewer_pairs_is_rougher(
    is_there: bool, max_rows: int, num_pairs: int, noise: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_there:
        (tmp_path / "pairs.tsv").write_text("".join(f"{row}\tx\n" for row in range(50)))
    path = str(tmp_path / "pairs.tsv")
    config = RunConfig(
        run_directory=str(tmp_path),
        data=DataOptions(train=CorpusOptions(path=path), validation=PartialCorpusOptions(path=path)),
        validation=ValidationOptions(metrics=("bleu",), select_by="bleu", max_rows=max_rows),
    )
    monkeypatch.setattr(measuring, "course_of", lambda run, select_by, noise: noise)
    subject = RunToMeasure("mine", tmp_path, config)
    assert measuring._course(subject, [score(30.0, spread=2.0)], num_pairs) == noise


class TaggingTokenizer(CharTokenizer):
    """Puts the language of the target in front of the source."""

    language = ""

    def speaking(self, source_language: str | None, target_language: str | None) -> "TaggingTokenizer":
        found = copy(self)
        found.language = target_language or self.language
        return found

    def encode_sources(self, texts: Sequence[str], seeds: Sequence[int] | None = None) -> list[list[int]]:
        return super().encode_sources([self.language + text for text in texts])


def test_the_model_before_tuning_is_told_what_the_tuned_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def generator(**options: Any) -> TextGenerator:
        tokenizer: Any = TaggingTokenizer()
        return TextGenerator(RandomModel(len(tokenizer.vocabulary)), tokenizer, BeamSearch(max_length=9), **options)

    tuned = generator(languages=("x", "d"), max_source_tokens=6)
    monkeypatch.setattr(measuring, "load", lambda *_, **__: generator(languages=("x", "f"), source_prefix="other "))
    monkeypatch.setattr(measuring, "_baseline", lambda name, texts, outputs, judge: texts)
    config = RunConfig(
        run_directory=str(tmp_path),
        data=DataOptions(train=CorpusOptions(path="pairs.tsv"), num_folds=2),
        training=TrainingOptions(initialize_from="start"),
    )
    sources, judge = ["p abc", "p abcdefghi"], Any
    outputs = [found[0].text for found in tuned(sources)]
    subject = RunToMeasure("mine", tmp_path, config)
    notes: list[str] = []
    before = measuring._before_tuning(subject, tuned, sources, outputs, judge, Means(progress=False), notes)
    assert (list(before), notes) == ([outputs], [])
