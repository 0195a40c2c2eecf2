"""Corpora of a configuration: what is learned, what is validated on, what is left out, what is mixed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from seq2seq.apps.command import main
from seq2seq.assembly.configuration import RunConfig, load_run_config
from seq2seq.assembly.corpora import (
    fingerprints_of,
    mixture_of,
    open_corpus,
    open_training,
    open_validation,
    stream_facts,
)
from seq2seq.assembly.stages import stages
from seq2seq.data.corpus import Corpus
from seq2seq.data.corpus_options import CorpusOptions, MixedCorpusOptions, PartialCorpusOptions
from seq2seq.data.mixture import Mixture
from seq2seq.data.options import CompanionOptions, DataOptions
from seq2seq.models.transformer.options import TransformerOptions
from seq2seq.training.tracking import read_log
from tests.tiny_run import write_copy_task


@pytest.fixture
def pairs(tmp_path: Path, private_cache: Path) -> CorpusOptions:
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"s{row}\tt{row}\n" for row in range(11)))
    return CorpusOptions(path=str(path))


def test_a_corpus_that_names_no_data_names_its_options() -> None:
    with pytest.raises(ValueError, match=r"`data.train` names no data: set `data.train.path`, or `data.train.source`"):
        open_corpus(CorpusOptions(), "data.train")


def test_the_fold_that_is_left_out_is_validated_on(pairs: CorpusOptions) -> None:
    data = DataOptions(pairs, num_folds=4, left_out_fold=2)
    train, validation = open_training(data), open_validation(data)
    assert list(validation["source"]) == ["s2", "s6", "s10"]
    assert list(train["target"]) == [f"t{row}" for row in (0, 1, 3, 4, 5, 7, 8, 9)]


def test_pairs_for_validation_that_are_named_are_taken(pairs: CorpusOptions, tmp_path: Path) -> None:
    (tmp_path / "other.tsv").write_text("a\tb\n")
    other = CorpusOptions(path=str(tmp_path / "other.tsv"))
    data = DataOptions(pairs, other, num_folds=4)
    assert (len(open_training(data)), list(open_validation(data)["source"])) == (8, ["a"])
    assert len(open_training(DataOptions(pairs, other))) == 11


def test_pairs_for_validation_are_read_in_the_direction_of_training(tmp_path: Path, private_cache: Path) -> None:
    config = write_copy_task(tmp_path)
    for name in ("train", "validation"):
        (tmp_path / f"{name}.tsv").write_text("ein Hund\ta dog\n")
    reversed_columns = ["--data.train.source_column", "1", "--data.train.target_column", "0"]
    data = load_run_config([config, *reversed_columns, "--data.train.source_prefix", "de: "]).data
    for corpus in (open_training(data), open_validation(data)):
        assert list(corpus) == [{"source": "de: a dog", "target": "ein Hund"}]


def test_folds_are_known_by_all_pairs_and_their_number(pairs: CorpusOptions) -> None:
    def found(**options: int) -> dict[str, str]:
        data = DataOptions(pairs, **options)
        return fingerprints_of(data, open_training(data), open_validation(data))

    first = found(num_folds=4)
    assert found(num_folds=4) == first
    assert first["train"] != first["validation"]
    for options in ({"num_folds": 5}, {"num_folds": 4, "left_out_fold": 1}):
        other = found(**options)
        assert other["train"] != first["train"]
        assert other["validation"] != first["validation"]
    before, path = first["train"], Path(str(pairs.path))
    path.write_text(path.read_text().replace("s7", "x"))
    assert found(num_folds=4)["train"] != before


def test_a_stream_is_known_by_its_files_or_its_name(pairs: CorpusOptions, tmp_path: Path) -> None:
    assert stream_facts(pairs) == {"bytes": [Path(str(pairs.path)).stat().st_size]}
    hub = CorpusOptions(path="somebody/pairs", name="de-en")
    assert stream_facts(hub) == {"path": "somebody/pairs", "name": "de-en", "split": "train"}


def test_nothing_to_validate_on_says_how_to_hold_pairs_out(pairs: CorpusOptions) -> None:
    with pytest.raises(ValueError, match="`data.validation` names no data: .* or `data.num_folds` to 20"):
        open_validation(DataOptions(pairs))


@pytest.mark.parametrize(
    ("num_folds", "left_out_fold", "open_part"), [(1, 0, open_training), (12, 11, open_validation)]
)
def test_both_parts_need_a_pair(
    pairs: CorpusOptions, num_folds: int, left_out_fold: int, open_part: Callable[[DataOptions], Corpus]
) -> None:
    with pytest.raises(ValueError, match=rf"11 pairs, too few to hold a part of `data.num_folds` \({num_folds}\) out"):
        open_part(DataOptions(pairs, num_folds=num_folds, left_out_fold=left_out_fold))


def test_folds_of_companions_are_not_folds_of_folds() -> None:
    config = RunConfig(
        run_directory="runs/x",
        data=DataOptions(num_folds=20),
        model=TransformerOptions(generation_order="bidirectional", interaction="tanh"),
        companions=CompanionOptions(model="self", first_steps=7, folds=2),
    )
    with pytest.raises(ValueError, match="set `data.num_folds` to 0"):
        stages(config)


def test_one_file_is_enough_to_train_and_diagnose(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {"training": {"max_steps": 2, "checkpoint_every": 2}, "data": {"num_folds": 7}}
    config = write_copy_task(tmp_path, **options)
    without = ["--data.validation.path", "null"]
    assert main(["train", config, *without]) == 0
    [validation] = [entry for entry in read_log(tmp_path / "run" / "log.jsonl") if entry["kind"] == "validation"]
    assert validation["step"] == 2
    assert main(["prepare", config, *without]) == 0
    num_pairs = len((tmp_path / "train.tsv").read_text().splitlines())
    assert f"validation pairs: {-(-num_pairs // 7)}" in capsys.readouterr().out
    report = ["--output", str(tmp_path / "report"), "--max-rows", "3"]
    assert main(["diagnose", "--model", str(tmp_path / "run"), "--data", "validation", *report]) == 0


# ---- lists of corpora ------------------------------------------------------------------------------------------------


@pytest.fixture
def corpora(tmp_path: Path, private_cache: Path) -> tuple[MixedCorpusOptions, ...]:
    """Three corpora of 7, 5 and 3 pairs, each with columns of its own."""
    (tmp_path / "a.tsv").write_text("".join(f"a{row}\tA{row}\n" for row in range(7)))
    (tmp_path / "b.csv").write_text("out,in,to\n" + "".join(f"B{row},b{row},x\n" for row in range(5)))
    for side in ("source", "target"):
        (tmp_path / f"c.{side}").write_text("".join(f"{side} {row}\n" for row in range(3)))
    return (
        MixedCorpusOptions(path=str(tmp_path / "a.tsv"), weight=2.0),
        MixedCorpusOptions(
            path=str(tmp_path / "b.csv"), header=True, source_column="in", target_column="out", tag_column="to"
        ),
        MixedCorpusOptions(
            str(tmp_path / "c.source"), str(tmp_path / "c.target"), source_prefix="say: ", label="third"
        ),
    )


def test_corpora_of_a_list_are_read_by_options_of_their_own(corpora: tuple[MixedCorpusOptions, ...]) -> None:
    data = DataOptions(corpora, temperature=5.0, num_folds=0)
    train = open_training(data)
    assert [train[row] for row in (0, 6, 7, 11, 12, 14)] == [
        {"source": "a0", "target": "A0"},
        {"source": "a6", "target": "A6"},
        {"source": "<x> b0", "target": "B0"},
        {"source": "<x> b4", "target": "B4"},
        {"source": "say: source 0", "target": "target 0"},
        {"source": "say: source 2", "target": "target 2"},
    ]
    assert mixture_of(data) == Mixture(("a", "b", "third"), (7, 5, 3), (2.0, 1.0, 1.0), 5.0)
    assert mixture_of(DataOptions(corpora[0])) is None


def test_folds_are_dealt_through_all_corpora(corpora: tuple[MixedCorpusOptions, ...]) -> None:
    data = DataOptions(corpora, num_folds=4, left_out_fold=1)
    assert list(open_validation(data)["target"]) == ["A1", "A5", "B2", "target 1"]
    mixture = mixture_of(data)
    assert mixture is not None
    assert mixture.sizes == (5, 4, 2)
    assert len(open_training(data)) == 11


def test_validation_is_read_like_the_first_corpus(corpora: tuple[MixedCorpusOptions, ...], tmp_path: Path) -> None:
    (tmp_path / "validation.csv").write_text("out,in,to\nV,v,z\n")
    validation = PartialCorpusOptions(path=str(tmp_path / "validation.csv"))
    assert list(open_validation(DataOptions(corpora[1:], validation))) == [{"source": "<z> v", "target": "V"}]
    assert DataOptions(corpora[::-1], validation).validated.source_prefix == "say: "
    assert DataOptions(corpora[:2], validation).validated.tag_column is None


def test_pairs_that_move_to_another_corpus_of_the_list_are_other_data(
    corpora: tuple[MixedCorpusOptions, ...], tmp_path: Path
) -> None:
    (tmp_path / "all.tsv").write_text("".join(f"s{row}\tt{row}\n" for row in range(6)))

    def found(*ends: int) -> str:
        lines = (tmp_path / "all.tsv").read_text().splitlines(keepends=True)
        parts = []
        for place, (start, end) in enumerate(zip(ends, ends[1:], strict=False)):
            path = tmp_path / f"{place}-{start}-{end}.tsv"
            path.write_text("".join(lines[start:end]))
            parts.append(MixedCorpusOptions(path=str(path)))
        data = DataOptions(tuple(parts), num_folds=3)
        return fingerprints_of(data, open_training(data), open_validation(data))["train"]

    assert found(0, 2, 6) == found(0, 2, 6)
    assert found(0, 2, 6) != found(0, 3, 6)
    assert found(0, 2, 6).split(" of ")[0] == found(0, 3, 6).split(" of ")[0]
