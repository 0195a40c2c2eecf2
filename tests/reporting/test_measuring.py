"""What is measured of a run beside its outputs."""

from pathlib import Path

import pytest

from seq2seq.assembly.configuration import RunConfig
from seq2seq.data.corpus_options import CorpusOptions, PartialCorpusOptions
from seq2seq.data.options import DataOptions
from seq2seq.reporting import measuring
from seq2seq.reporting.measuring import RunToMeasure
from seq2seq.training.options import ValidationOptions
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
