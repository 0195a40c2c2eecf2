import json
import os
import threading
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq.data import loader as loader_module
from seq2seq.data.batch import Batch
from seq2seq.data.corpus import Dataset, IterableDataset, read_corpus
from seq2seq.data.loader import TrainingLoader, ValidationLoader, tokenize_corpus
from seq2seq.data.streaming import StreamingLoader
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.generation.corpus import truncated
from tests.shared_data import shared_data

NUM_ROWS = 101
EMPTY_ROW, LONG_ROW = 17, 41
OPTIONS = {"max_source_tokens": 60, "max_target_tokens": 60, "batch_tokens": 150, "seed": 7}


@pytest.fixture(autouse=True)
def small_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader_module, "SAMPLED_POOL_ROWS", 29)


@pytest.fixture(scope="module")
def corpus_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs of different lengths, of which one has an empty source and one is too long."""
    rows = [(f"row {n} " + "ab cd " * (n % 7), f"line {n}" + " efg" * (n % 5)) for n in range(NUM_ROWS)]
    rows[EMPTY_ROW] = ("", "nothing")
    rows[LONG_ROW] = ("long", "x y " * 100)
    path = tmp_path_factory.mktemp("corpus") / "corpus.tsv"
    path.write_text("".join(f"{source}\t{target}\n" for source, target in rows))
    return path


def make_tokenizer(corpus_file: Path, sampling: float = 0.0) -> TextTokenizer:
    texts = corpus_file.read_text().replace("\t", "\n").split("\n")
    return TextTokenizer.train(texts, [], kind="byte_bpe", vocab_size=300, sampling=sampling)


def make_loader(
    corpus_file: Path, kind: str, sampling: float = 0.0, **options: Any
) -> TrainingLoader | StreamingLoader:
    tokenizer = make_tokenizer(corpus_file, sampling)
    cache = corpus_file.parent / "cache"
    dataset = read_corpus(path=corpus_file, streaming=kind == "streaming", cache_directory=cache)
    if isinstance(dataset, IterableDataset):
        return StreamingLoader(dataset, tokenizer, pool_rows=37, **{**OPTIONS, **options})
    return TrainingLoader(tokenize_corpus(dataset, tokenizer), tokenizer, **{**OPTIONS, **options})


def content(batch: Batch) -> list[Any]:
    tensors = (batch.rows, batch.input_ids, batch.attention_mask, batch.decoder_input_ids, batch.labels)
    return [tensor.tolist() for tensor in tensors]


def take(loader: TrainingLoader | StreamingLoader, number: int, position: Any = None) -> list[tuple[Any, list[Any]]]:
    return [(after, content(batch)) for after, batch in islice(loader.micro_batches(position), number)]


def epochs(loader: TrainingLoader | StreamingLoader, number: int) -> list[list[list[Any]]]:
    """The batches of the first epochs."""
    batches: list[list[list[Any]]] = [[] for _ in range(number + 1)]
    for after, batch in loader.micro_batches():
        ends_epoch = after["pool"] == after["batch"] == 0
        epoch = after["epoch"] - ends_epoch
        if epoch == number:
            break
        batches[epoch].append(content(batch))
    return batches[:number]


CASES = pytest.mark.parametrize(
    ("kind", "sampling"), [("map", 0.0), ("map", 0.3), ("streaming", 0.0), ("streaming", 0.3)]
)


@CASES
def test_an_epoch_has_every_kept_row_once(corpus_file: Path, kind: str, sampling: float) -> None:
    loader = make_loader(corpus_file, kind, sampling)
    first, second = epochs(loader, 2)
    assert len(first) > 10
    for epoch in (first, second):
        rows = sorted(row for batch in epoch for row in batch[0])
        assert rows == [row for row in range(NUM_ROWS) if row not in (EMPTY_ROW, LONG_ROW)]
    assert first != second
    report = loader.filter_report
    assert report.empty_source > 0 < report.long_target
    assert report.rows - report.kept == report.empty_source + report.long_target


@CASES
def test_long_sources_are_cut_as_in_decoding(corpus_file: Path, kind: str, sampling: float) -> None:
    """Every kept source of a stream, a file or sampled subwords is what decoding makes of it, if it has no sampling."""
    loader = make_loader(corpus_file, kind, sampling, max_source_tokens=8, cut_sources=True)
    [epoch] = epochs(loader, 1)
    seen = {row: ids for batch in epoch for row, ids in zip(batch[0], batch[1], strict=True)}
    assert sorted(seen) == [row for row in range(NUM_ROWS) if row not in (EMPTY_ROW, LONG_ROW)]
    texts = [line.split("\t")[0] for line in corpus_file.read_text().splitlines()]
    whole = loader.tokenizer.encode_sources(texts)
    num_cut = 0
    for row, ids in seen.items():
        found = [index for index in ids if index != loader.tokenizer.source_pad_id]
        assert len(found) <= 8
        assert found[-1] == loader.tokenizer.source.eos_id
        if not sampling:
            assert [found] == truncated([whole[row]], 8, [row + 1]), "as decoding does"
        num_cut += len(whole[row]) > 8
    assert loader.filter_report.cut_source >= num_cut > 5, "a stream may have counted a part of the next epoch"
    assert loader.filter_report.long_source == 0


@CASES
def test_resumed_is_uninterrupted(corpus_file: Path, kind: str, sampling: float) -> None:
    loader = make_loader(corpus_file, kind, sampling)
    total = sum(map(len, epochs(loader, 2))) + 3
    whole = take(loader, total)
    assert [after["number"] for after, _ in whole] == list(range(1, total + 1))
    for cut in range(1, total - 2, 2):
        position = json.loads(json.dumps(whole[cut - 1][0]))
        assert take(make_loader(corpus_file, kind, sampling), 3, position) == whole[cut : cut + 3]
    assert take(loader, total) == whole, "a loader can start again"


@CASES
@pytest.mark.parametrize("num_processes", [2, 3])
def test_processes_share_one_stream(corpus_file: Path, kind: str, sampling: float, num_processes: int) -> None:
    alone = make_loader(corpus_file, kind, sampling)
    num_rounds = sum(map(len, epochs(alone, 2))) // num_processes + 1
    whole = take(alone, num_rounds * num_processes)
    shares = [
        take(make_loader(corpus_file, kind, sampling, num_processes=num_processes, process_index=index), num_rounds)
        for index in range(num_processes)
    ]
    for number, (_, batch) in enumerate(whole):
        assert shares[number % num_processes][number // num_processes][1] == batch
    for turn in range(num_rounds):
        assert all(share[turn][0] == whole[(turn + 1) * num_processes - 1][0] for share in shares)


@pytest.mark.parametrize("kind", ["map", "streaming"])
def test_position_may_be_resumed_by_another_number_of_processes(corpus_file: Path, kind: str) -> None:
    whole = take(make_loader(corpus_file, kind), 9)
    position = whole[2][0]
    shares = [take(make_loader(corpus_file, kind, num_processes=2, process_index=i), 3, position) for i in (0, 1)]
    assert [shares[0][0][1], shares[1][0][1], shares[0][1][1]] == [batch for _, batch in whole[3:6]]


@CASES
def test_another_budget_goes_on_with_the_pairs_that_are_left(corpus_file: Path, kind: str, sampling: float) -> None:
    """The budget changes twice within a pool, and once more between pools or epochs: each pair comes once an epoch."""
    kept = [row for row in range(NUM_ROWS) if row not in (EMPTY_ROW, LONG_ROW)]
    position, rows = None, []
    for batch_tokens, number in ((150, 3), (100, 2), (300, 1), (90, 4), (150, 200)):
        loader = make_loader(corpus_file, kind, sampling, batch_tokens=batch_tokens)
        for after, batch in islice(loader.micro_batches(position), number):
            assert batch.num_slots <= batch_tokens or len(batch) == 1
            position = json.loads(json.dumps(after))
            rows += batch.rows.tolist()
            if len(rows) >= len(kept):
                break
    assert sorted(rows) == kept


@CASES
def test_another_budget_within_a_pool_can_be_resumed(corpus_file: Path, kind: str, sampling: float) -> None:
    position = take(make_loader(corpus_file, kind, sampling), 3)[-1][0]
    whole = take(make_loader(corpus_file, kind, sampling, batch_tokens=100), 40, position)
    assert [after["number"] for after, _ in whole] == list(range(4, 44))
    for cut in (1, 2, 20):
        after = json.loads(json.dumps(whole[cut - 1][0]))
        assert take(make_loader(corpus_file, kind, sampling, batch_tokens=100), 3, after) == whole[cut : cut + 3]


@CASES
def test_an_epoch_can_begin_again(corpus_file: Path, kind: str, sampling: float) -> None:
    loader = make_loader(corpus_file, kind, sampling)
    whole = take(loader, len(epochs(loader, 1)[0]) + 5)
    position = loader.epoch_again(whole[-2][0])
    assert position["epoch"] == 1
    found = take(loader, 4, position)
    assert [content for _, content in found] == [content for _, content in whole[-5:-1]]
    assert found[0][0]["number"] == whole[-1][0]["number"]


def test_sampling_does_not_depend_on_batch_mates(corpus_file: Path) -> None:
    def sampled(**options: Any) -> dict[int, list[int]]:
        loader = make_loader(corpus_file, "map", 0.3, **options)
        targets = {}
        for after, batch in loader.micro_batches():
            for row, labels in zip(batch.rows.tolist(), batch.labels, strict=True):
                targets[row] = labels[labels >= 0].tolist()
            if after["epoch"] == 1:
                return targets
        raise AssertionError("the stream is endless")

    first = sampled()
    assert first == sampled(batch_tokens=400) == sampled(max_batch_rows=1)
    assert first != sampled(seed=8)


@CASES
def test_batches_hold_what_the_corpus_says(corpus_file: Path, kind: str, sampling: float) -> None:
    loader = make_loader(corpus_file, kind, sampling)
    texts = [line.split("\t") for line in corpus_file.read_text().split("\n")[:-1]]
    for _, batch in islice(loader.micro_batches(), 7):
        assert batch.num_slots <= OPTIONS["batch_tokens"] or len(batch) == 1
        for row, source, labels in zip(batch.rows.tolist(), batch.input_ids, batch.labels, strict=True):
            decoded = loader.tokenizer.decode_batch([source.tolist(), labels[labels >= 0].tolist()])
            assert decoded == texts[row]


@pytest.mark.parametrize("kind", ["map", "streaming"])
def test_nothing_left_to_train_on(corpus_file: Path, kind: str) -> None:
    with pytest.raises(ValueError, match="No training pair is left: kept 0 of 101 pairs; dropped 101"):
        next(iter(make_loader(corpus_file, kind, max_source_tokens=2).micro_batches()))


def tokenized(corpus_file: Path, num_workers: int = 0, sampling: float = 0.0) -> tuple[Dataset, TextTokenizer]:
    dataset = read_corpus(path=corpus_file, cache_directory=corpus_file.parent / f"cache{num_workers}")
    tokenizer = make_tokenizer(corpus_file, sampling)
    return tokenize_corpus(dataset, tokenizer, num_workers=num_workers), tokenizer


def test_worker_processes_change_nothing(corpus_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKENIZERS_PARALLELISM")
    alone, _ = tokenized(corpus_file)
    shared, _ = tokenized(corpus_file, num_workers=2, sampling=0.1)
    assert alone[:] == shared[:]
    assert "TOKENIZERS_PARALLELISM" not in os.environ


def test_tokenised_corpus_is_kept_until_corpus_or_tokenizer_change(corpus_file: Path) -> None:
    first, tokenizer = tokenized(corpus_file)
    again, _ = tokenized(corpus_file)
    assert first.cache_files == again.cache_files
    other = TextTokenizer.train(["other text"], [], kind="byte_bpe", vocab_size=265)
    corpus = read_corpus(path=corpus_file, cache_directory=corpus_file.parent / "cache0")
    assert isinstance(corpus, Dataset)
    assert tokenize_corpus(corpus, other).cache_files != first.cache_files
    prefixed = read_corpus(path=corpus_file, source_prefix="x ", cache_directory=corpus_file.parent / "cache0")
    assert isinstance(prefixed, Dataset)
    assert tokenize_corpus(prefixed, tokenizer)[0]["source_ids"] != first[0]["source_ids"]


@pytest.mark.parametrize("num_processes", [1, 2, 3])
def test_validation_sees_every_row_once(corpus_file: Path, num_processes: int) -> None:
    dataset, tokenizer = tokenized(corpus_file)
    loaders = [
        ValidationLoader(dataset, tokenizer, batch_tokens=150, num_processes=num_processes, process_index=index)
        for index in range(num_processes)
    ]
    batches = [list(loader) for loader in loaders]
    assert [len(loader) for loader in loaders] == list(map(len, batches))
    rows = sorted(row for share in batches for batch in share for row in batch.rows.tolist())
    assert rows == list(range(NUM_ROWS)), "training filters do not apply"
    again = [batch for loader in loaders for batch in loader]
    flat = [batch for share in batches for batch in share]
    assert all(torch.equal(one.labels, other.labels) for one, other in zip(flat, again, strict=True))
    longest = [batch.input_ids.shape[1] for batch in batches[0]]
    assert longest == sorted(longest, reverse=True)


def test_real_corpus_is_packed_tightly(tmp_path: Path) -> None:
    source, target = shared_data("multi30k/raw/val.de"), shared_data("multi30k/raw/val.en")
    dataset = read_corpus(source=source, target=target, cache_directory=tmp_path)
    tokenizer = TextTokenizer.train(dataset["source"], dataset["target"], kind="byte_bpe", vocab_size=2000)
    assert isinstance(dataset, Dataset)
    loader = TrainingLoader(
        tokenize_corpus(dataset, tokenizer),
        tokenizer,
        max_source_tokens=256,
        max_target_tokens=256,
        batch_tokens=2048,
        seed=1,
    )
    assert loader.filter_report.kept == len(dataset) == 1014
    assert loader.plan(0).padding_share < 0.15


@pytest.mark.parametrize("kind", ["map", "streaming"])
def test_sampled_beyond_the_limit_is_encoded_in_the_ordinary_way(corpus_file: Path, kind: str) -> None:
    """With the longest ordinary source as the limit, no pair is dropped and no sample is longer."""
    ordinary = make_loader(corpus_file, kind)
    longest = max(int(batch.attention_mask.sum(dim=1).max()) for _, batch in islice(ordinary.micro_batches(), 20))
    loader = make_loader(corpus_file, kind, 0.9, max_source_tokens=longest)
    batches = [batch for _, batch in islice(loader.micro_batches(), 20)]
    assert max(batch.input_ids.shape[1] for batch in batches) == longest
    unlimited = make_loader(corpus_file, kind, 0.9)
    assert max(batch.input_ids.shape[1] for _, batch in islice(unlimited.micro_batches(), 20)) > longest


def test_looking_into_a_stream_does_not_move_it(corpus_file: Path) -> None:
    whole = take(make_loader(corpus_file, "streaming"), 5)
    dataset = read_corpus(path=corpus_file, streaming=True)
    assert len(list(dataset.take(50))) == 50
    loader = StreamingLoader(dataset, make_tokenizer(corpus_file), pool_rows=37, **OPTIONS)
    assert take(loader, 5) == whole


def test_a_stream_closes_the_one_before(corpus_file: Path) -> None:
    loader = make_loader(corpus_file, "streaming")
    whole = take(loader, 5)
    first = loader.micro_batches()
    next(first)
    second = loader.micro_batches(whole[1][0])
    assert content(next(second)[1]) == whole[2][1]
    with pytest.raises(StopIteration):
        next(first)


@CASES
def test_a_closed_stream_leaves_no_thread(corpus_file: Path, kind: str, sampling: float) -> None:
    stream = make_loader(corpus_file, kind, sampling).micro_batches()
    next(stream)
    assert any(thread.name == "prefetch" for thread in threading.enumerate())
    stream.close()
    assert not any(thread.name == "prefetch" for thread in threading.enumerate())
