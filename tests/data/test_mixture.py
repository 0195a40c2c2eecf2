import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy
import pytest

from seq2seq.data import loader as loader_module
from seq2seq.data.corpus import concatenated, read_corpus
from seq2seq.data.loader import TrainingLoader, tokenize_corpus
from seq2seq.data.mixture import CorpusShare, MixedRows, Mixture, shared_out, shares
from seq2seq.data.tokenizer import TextTokenizer
from tests.data.test_loader import epochs, take

SIZES = (61, 17, 5)
LIMITS = {"max_source_tokens": 60, "max_target_tokens": 60}


def mixture_of(sizes: tuple[int, ...] = SIZES, temperature: float = 5.0, **weights: float) -> Mixture:
    labels = tuple("abcdefg"[: len(sizes)])
    return Mixture(labels, sizes, tuple(weights.get(label, 1.0) for label in labels), temperature)


# ---- shares ----------------------------------------------------------------------------------------------------------


def test_shares_follow_weights_and_sizes() -> None:
    """By hand: sizes 16 and 1 are 4 : 1 at temperature 2, and 4 : 3 with a weight of 3 for the smaller."""
    assert shares((16, 1), (1.0, 1.0), 2.0).tolist() == pytest.approx([4 / 5, 1 / 5])
    assert shares((16, 1), (1.0, 3.0), 2.0).tolist() == pytest.approx([4 / 7, 3 / 7])
    assert shares((16, 1), (1.0, 1.0), 1.0).tolist() == pytest.approx([16 / 17, 1 / 17])
    assert shares((16, 1), (1.0, 1.0), 1e12).tolist() == pytest.approx([1 / 2, 1 / 2])
    assert shares((10**9, 10), (1e30, 1.0), 1e-3).tolist() == [1.0, 0.0], "and nothing overflows"


@pytest.mark.parametrize("number", [1, 7, 83, 1000])
def test_rows_are_shared_out_to_the_last(number: int) -> None:
    generator = numpy.random.default_rng(3)
    for _ in range(50):
        parts = generator.dirichlet([0.7] * 5)
        found = shared_out(number, parts)
        assert (found >= 1).all()
        assert (numpy.abs(found - number * parts) < 1).all() or (found == 1).any()
        assert found.sum() == number or (found == 1).any()


@pytest.mark.parametrize("sizes", [(1, 1, 1), (61, 17, 5), (1_000_003, 999_983, 7)])
def test_at_temperature_1_each_row_is_seen_once(sizes: tuple[int, ...]) -> None:
    mixed = MixedRows(mixture_of(sizes, 1.0), numpy.arange(sum(sizes)), seed=3)
    for epoch in (0, 5):
        assert (mixed.times(epoch) == 1).all()


# ---- which rows ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("temperature", "seed"), [(5.0, 1), (5.0, 2), (1.7, 1), (1e9, 1), (0.5, 1)])
def test_no_row_is_seen_more_than_once_more_than_another_of_its_corpus(temperature: float, seed: int) -> None:
    """Within each epoch, and over all epochs up to each."""
    rows = numpy.arange(100)[numpy.arange(100) % 7 != 2][: sum(SIZES) - 12]
    mixture = mixture_of((64, 12, 7), temperature, b=3.0)
    mixed = MixedRows(mixture, rows, seed)
    corpora = numpy.searchsorted(numpy.cumsum(mixture.sizes), rows, side="right")
    total = numpy.zeros(len(rows), dtype=int)
    for epoch in range(40):
        times = mixed.times(epoch)
        assert times.sum() == mixed.drawn.sum()
        total += times
        for corpus in range(3):
            for counts in (times[corpora == corpus], total[corpora == corpus]):
                assert counts.max() - counts.min() <= 1
            assert times[corpora == corpus].sum() == mixed.drawn[corpus]
    assert (mixed.times(3) != mixed.times(4)).any()


def test_another_seed_begins_with_other_rows() -> None:
    first, second = (MixedRows(mixture_of((50, 3)), numpy.arange(53), seed).times(0) for seed in (1, 2))
    assert first.sum() == second.sum()
    assert (first != second).any()


def test_shares_are_told() -> None:
    """Of 20 rows one did not pass: 15 + 4 are shared out as 3 : 2 * 1 at a temperature where 15 : 4 is 3 : 1 or so."""
    temperature = float(numpy.log(15 / 4) / numpy.log(3))
    mixed = MixedRows(mixture_of((16, 4), temperature, b=2.0), numpy.delete(numpy.arange(20), 5), seed=1)
    assert mixed.shares() == [
        CorpusShare("a", 16, 15, 11, share=11 / 19, times=11 / 15),
        CorpusShare("b", 4, 4, 8, share=8 / 19, times=2.0),
    ]
    assert str(mixed.shares()[1]) == "b: 4 pairs, 42.1% of an epoch, each seen 2 times"
    assert mixed.counted(numpy.array([0, 19, 3, 16, 15])) == {"a": 3, "b": 2}


def test_a_corpus_of_which_nothing_is_left_is_named() -> None:
    with pytest.raises(ValueError, match="Of the training corpus b no pair is left"):
        MixedRows(mixture_of((3, 2, 4)), numpy.array([0, 1, 2, 5, 6]), seed=1)


# ---- in the stream of batches ----------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def small_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader_module, "SAMPLED_POOL_ROWS", 29)


def loader_of(folder: Path, mixture: Mixture | None, sampling: float = 0.0, **options: Any) -> TrainingLoader:
    parts = []
    for label, size in zip("abc", SIZES, strict=True):
        path = folder / f"{label}.tsv"
        path.write_text(
            "".join(f"{label}{n} {'ab cd ' * (n % 7)}\t{label}{n}{' efg' * (n % 5)}\n" for n in range(size))
        )
        parts.append(read_corpus(path=path, cache_directory=folder / "cache"))
    text = "\n".join((folder / f"{label}.tsv").read_text().replace("\t", "\n") for label in "abc")
    tokenizer = TextTokenizer.train(text.split("\n"), [], kind="byte_bpe", vocab_size=300, sampling=sampling)
    dataset = tokenize_corpus(concatenated(parts), tokenizer)
    return TrainingLoader(dataset, tokenizer, mixture=mixture, **{**LIMITS, "batch_tokens": 150, "seed": 7, **options})


def corpus_at(row: int) -> str:
    return "abc"[int(numpy.searchsorted(numpy.cumsum(SIZES), row, side="right"))]


SAMPLING = pytest.mark.parametrize("sampling", [0.0, 0.3])


@SAMPLING
def test_an_epoch_has_the_rows_that_are_drawn(tmp_path: Path, sampling: float) -> None:
    loader = loader_of(tmp_path, mixture_of(), sampling)
    assert loader.mixed is not None
    for epoch, batches in enumerate(epochs(loader, 3)):
        seen = Counter(row for batch in batches for row in batch[0])
        times = loader.mixed.times(epoch)
        assert seen == {row: count for row, count in enumerate(times.tolist()) if count}
        assert max(seen[row] for row in seen if corpus_at(row) == "c") > 3


@SAMPLING
def test_at_temperature_1_it_is_the_stream_of_one_corpus(tmp_path: Path, sampling: float) -> None:
    """But that it is counted."""
    mixed = take(loader_of(tmp_path, mixture_of(temperature=1.0), sampling), 40)
    single = take(loader_of(tmp_path, None, sampling), 40)
    assert [batch for _, batch in mixed] == [batch for _, batch in single]
    assert [{name: value for name, value in after.items() if name != "seen"} for after, _ in mixed] == [
        after for after, _ in single
    ]


@SAMPLING
def test_resumed_is_uninterrupted_and_counts_go_on(tmp_path: Path, sampling: float) -> None:
    loader = loader_of(tmp_path, mixture_of(), sampling)
    whole = take(loader, 60)
    counts = dict.fromkeys("abc", 0)
    for number, (after, batch) in enumerate(whole):
        for row in batch[0]:
            counts[corpus_at(row)] += 1
        assert after["seen"] == counts
        if number % 7 == 3 and number + 6 <= len(whole):
            assert take(loader, 5, json.loads(json.dumps(after))) == whole[number + 1 : number + 6]
    assert whole[-1][0]["epoch"] >= 2, "or no part of an epoch follows another"


@SAMPLING
def test_any_number_of_processes_sees_the_same_stream(tmp_path: Path, sampling: float) -> None:
    whole = take(loader_of(tmp_path, mixture_of(), sampling), 60)
    for process in range(3):
        own = take(loader_of(tmp_path, mixture_of(), sampling, num_processes=3, process_index=process), 20)
        assert [batch for _, batch in own] == [batch for _, batch in whole[process::3]]
        assert [after for after, _ in own] == [after for after, _ in whole[2::3]]


@SAMPLING
def test_another_budget_goes_on_with_the_rows_that_the_epoch_has_left(tmp_path: Path, sampling: float) -> None:
    loader = loader_of(tmp_path, mixture_of(), sampling)
    begun = take(loader, 4)
    seen = Counter(row for _, batch in begun for row in batch[0])
    after = begun[-1][0]
    for later, batch in take(loader_of(tmp_path, mixture_of(), sampling, batch_tokens=90), 40, after):
        seen.update(batch[0])
        if later["epoch"] == 1:
            break
    assert loader.mixed is not None
    assert seen == {row: count for row, count in enumerate(loader.mixed.times(0).tolist()) if count}


def test_copies_of_a_row_are_segmented_anew(tmp_path: Path) -> None:
    loader = loader_of(tmp_path, mixture_of(temperature=1e9), sampling=0.3)
    [epoch] = epochs(loader, 1)
    found: dict[int, list[Any]] = {}
    for batch in epoch:
        for row, ids in zip(batch[0], batch[1], strict=True):
            found.setdefault(row, []).append([index for index in ids if index != loader.tokenizer.source_pad_id])
    repeated = [copies for copies in found.values() if len(copies) > 2]
    assert len(repeated) == SIZES[2]
    assert sum(len({tuple(ids) for ids in copies}) > 1 for copies in repeated) >= 3, "some have one segmentation alone"


def test_an_epoch_that_begins_again_keeps_the_counts_and_labels_may_be_others(tmp_path: Path) -> None:
    loader = loader_of(tmp_path, mixture_of())
    after = take(loader, 5)[-1][0]
    again = loader.epoch_again(after)
    assert (again["batch"], again["number"], again["seen"]) == (0, 5, after["seen"])
    renamed = after | {"seen": {f"old {label}": count for label, count in after["seen"].items()}}
    assert take(loader, 1, renamed) == take(loader, 1, after)
