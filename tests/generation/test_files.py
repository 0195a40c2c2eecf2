import itertools
import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from seq2seq.decoding import BeamSearch, Greedy, Sampling
from seq2seq.decoding.running.in_process import InProcess
from seq2seq.generation import files
from seq2seq.generation.corpus import decode_lines
from seq2seq.generation.files import decode_file, enter_parts
from seq2seq.generation.output import read_nbest
from seq2seq.lines import lines
from seq2seq.locks import locked
from tests.fakes import CharTokenizer, RandomModel

TOKENIZER = CharTokenizer()
LINES = ["ab", "", "a cat", "the dog", "  ", "b", "cat", "a\u2028dog", "ab", "dog\x0c", "x"]
SEARCH = Sampling(max_length=7, n_best=2)
OPTIONS = {"model_fingerprint": "m", "pool_lines": 3, "output_format": "jsonl"}


class Stopped(BaseException):
    pass


class FailingModel(RandomModel):
    """Fails in the middle of a decode."""

    def encode(self, input_ids, attention_mask):
        if self.num_encoded >= 4:
            raise Stopped
        return super().encode(input_ids, attention_mask)


def model():
    return RandomModel(vocab_size=len(TOKENIZER.vocabulary))


@pytest.fixture
def paths(tmp_path):
    (tmp_path / "input").write_bytes("\n".join([*LINES, ""]).encode())
    return tmp_path / "input", tmp_path / "output"


def expected(search=SEARCH):
    return list(decode_lines(LINES, InProcess(model(), search), TOKENIZER))


def files_in(path):
    return sorted(file.name for file in path.iterdir())


@pytest.mark.parametrize("pool_lines", [1, 3, 11, 100])
def test_file_equals_lines(paths, pool_lines):
    decode_file(*paths, InProcess(model(), SEARCH), TOKENIZER, **{**OPTIONS, "pool_lines": pool_lines})
    assert list(read_nbest(paths[1])) == expected()
    assert files_in(paths[1].parent) == ["input", "output"]


def test_plain_text_is_the_default(paths):
    decode_file(*paths, InProcess(model(), Greedy(max_length=7)), TOKENIZER, model_fingerprint="m")
    assert list(lines(paths[1])) == [result.text for result in expected(Greedy(max_length=7))]


def test_empty_file(paths):
    paths[0].write_bytes(b"")
    decode_file(*paths, InProcess(model(), SEARCH), TOKENIZER, **OPTIONS)
    assert paths[1].read_bytes() == b""


@pytest.mark.parametrize("num_processes", [2, 3, 7])
def test_processes_share_the_work(paths, num_processes):
    barrier = threading.Barrier(num_processes, timeout=300)
    models = [model() for _ in range(num_processes)]

    def decode(index):
        decode_file(
            *paths,
            InProcess(models[index], SEARCH),
            TOKENIZER,
            **OPTIONS,
            process_index=index,
            num_processes=num_processes,
            wait_for_everyone=barrier.wait,
        )
        assert paths[1].exists(), "no process returns before the output is there"

    with ThreadPoolExecutor(num_processes) as executor:
        list(executor.map(decode, range(num_processes)))
    assert list(read_nbest(paths[1])) == expected()
    # Pools of 3 lines, of which 2, 2, 3 and 2 are not blank, in turn.
    assert [m.num_encoded for m in models] == {2: [5, 4], 3: [4, 2, 3], 7: [2, 2, 3, 2, 0, 0, 0]}[num_processes]
    assert files_in(paths[1].parent) == ["input", "output"]


def failing_model():
    """Return a model that says no numbers for sources that begin with `a`: lines 1, 3, 8 and 9."""
    failing = model()
    logits = failing.logits
    failing.logits = lambda source, prefix: (
        logits(source, prefix) * (math.nan if source[0] == TOKENIZER.ids["a"] else 1)
    )
    return failing


FAILED_LINES = [0, 2, 7, 8]


@pytest.mark.parametrize("output_format", ["jsonl", "text"])
def test_lines_that_fail_are_counted(paths, output_format):
    searcher, options = InProcess(failing_model(), SEARCH), OPTIONS | {"output_format": output_format}
    assert decode_file(*paths, searcher, TOKENIZER, **options) == 4
    if output_format == "text":
        assert [row for row, line in enumerate(lines(paths[1])) if not line] == sorted([*FAILED_LINES, 1, 4])
        return
    results = list(read_nbest(paths[1]))
    assert [result.id for result in results if result.failed] == FAILED_LINES
    assert [r for r in results if not r.failed] == [r for r in expected() if r.id not in FAILED_LINES]


def test_lines_that_failed_in_another_process_are_counted(paths):
    barrier = threading.Barrier(3, timeout=300)

    def decode(index):
        shared = {"process_index": index, "num_processes": 3, "wait_for_everyone": barrier.wait}
        return decode_file(*paths, InProcess(failing_model(), SEARCH), TOKENIZER, **OPTIONS, **shared)

    with ThreadPoolExecutor(3) as executor:
        assert list(executor.map(decode, range(3))) == [4, 0, 0]


def test_lines_that_failed_before_a_stop_stay_as_they_are(paths, monkeypatch):
    monkeypatch.setattr(files, "join_parts", lambda *_: next(stop()))
    with pytest.raises(Stopped):
        decode_file(*paths, InProcess(failing_model(), SEARCH), TOKENIZER, **OPTIONS)
    monkeypatch.undo()
    resumed = model()
    assert decode_file(*paths, InProcess(resumed, SEARCH), TOKENIZER, **OPTIONS) == 4
    assert resumed.num_encoded == 0


def stop_in_third_pool(paths):
    with pytest.raises(Stopped):
        decode_file(*paths, InProcess(FailingModel(vocab_size=len(TOKENIZER.vocabulary)), SEARCH), TOKENIZER, **OPTIONS)


def test_a_stopped_decode_goes_on(paths):
    paths[1].write_text("an older output\n")
    stop_in_third_pool(paths)
    folder = paths[1].with_name("output.parts")
    assert files_in(folder) == ["manifest.json", "part-00000000.jsonl", "part-00000001.jsonl"]
    assert paths[1].read_text() == "an older output\n"
    resumed = model()
    decode_file(*paths, InProcess(resumed, SEARCH), TOKENIZER, **OPTIONS)
    assert resumed.num_encoded == 5
    assert list(read_nbest(paths[1])) == expected()
    assert files_in(paths[1].parent) == ["input", "output"]


def test_a_stop_while_joining_loses_nothing(paths, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(files, "read_nbest", lambda path: itertools.chain(read_nbest(path), stop()))
        with pytest.raises(Stopped):
            decode_file(*paths, InProcess(model(), SEARCH), TOKENIZER, **OPTIONS)
    assert files_in(paths[1].parent) == ["input", "output.parts"]
    resumed = model()
    decode_file(*paths, InProcess(resumed, SEARCH), TOKENIZER, **OPTIONS)
    assert resumed.num_encoded == 0
    assert list(read_nbest(paths[1])) == expected()


def stop():
    raise Stopped
    yield


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"model_fingerprint": "other"}, "model"),
        ({"pool_lines": 4}, "pool_lines"),
        ({"max_source_tokens": 5}, "max_source_tokens"),
        ({"source_prefix": "a "}, "source_prefix"),
        ({"search": BeamSearch()}, "search"),
        ({"input": b"other\n"}, "input"),
        ({"prefixes": b"a\n" * 11}, "prefixes"),
    ],
)
def test_parts_of_another_decode_are_refused(paths, changed, name):
    stop_in_third_pool(paths)
    changed = dict(changed)
    search = changed.pop("search", SEARCH)
    if "input" in changed:
        paths[0].write_bytes(changed.pop("input"))
    if "prefixes" in changed:
        (paths[0].parent / "prefixes").write_bytes(changed.pop("prefixes"))
        changed["prefixes_path"] = paths[0].parent / "prefixes"
    with pytest.raises(ValueError, match=f"output.parts holds parts .* another {name}. .*remove the folder"):
        decode_file(*paths, InProcess(model(), search), TOKENIZER, **{**OPTIONS, **changed})
    assert (paths[1].with_name("output.parts") / "part-00000001.jsonl").exists()


def test_a_folder_without_parts_is_no_decode(paths):
    folder = paths[1].with_name("output.parts")
    folder.mkdir()
    (folder / "manifest.json").write_text('{"search": "other"}')
    decode_file(*paths, InProcess(model(), SEARCH), TOKENIZER, **OPTIONS)
    assert list(read_nbest(paths[1])) == expected()


def test_parts_that_nothing_is_said_of_are_refused(paths):
    stop_in_third_pool(paths)
    folder = paths[1].with_name("output.parts")
    (folder / "manifest.json").unlink()
    with pytest.raises(ValueError, match="output.parts holds parts of a decode, but no manifest.json"):
        decode_file(*paths, InProcess(model(), SEARCH), TOKENIZER, **OPTIONS)
    assert len(files_in(folder)) == 2


def test_a_part_that_is_no_file_is_named_and_not_waited_for(paths):
    stop_in_third_pool(paths)
    part = paths[1].with_name("output.parts") / "part-00000000.jsonl"
    part.unlink()
    os.mkfifo(part)
    with pytest.raises(ValueError, match=r"part-00000000.jsonl is no file"):
        decode_file(*paths, InProcess(model(), SEARCH), TOKENIZER, **OPTIONS)


@pytest.mark.parametrize("content", ["[]", "7", "{", "[" * 100_000])
def test_a_manifest_that_is_none_is_named(paths, content):
    stop_in_third_pool(paths)
    (paths[1].with_name("output.parts") / "manifest.json").write_text(content)
    with pytest.raises(ValueError, match=r"manifest.json: .*it is damaged"):
        decode_file(*paths, InProcess(model(), SEARCH), TOKENIZER, **OPTIONS)


@pytest.mark.parametrize("change", [lambda lines: lines[:-1], lambda lines: lines[::-1], lambda lines: lines * 2])
def test_a_part_that_is_not_whole_is_named(paths, change):
    stop_in_third_pool(paths)
    part = paths[1].with_name("output.parts") / "part-00000001.jsonl"
    part.write_text("".join(change(part.read_text().splitlines(keepends=True))))
    with pytest.raises(ValueError, match="part-00000001.jsonl is damaged: it does not hold lines 4 to 6 one by one"):
        decode_file(*paths, InProcess(model(), SEARCH), TOKENIZER, **OPTIONS)
    assert not paths[1].exists()


def test_an_output_is_for_one_decode_at_a_time(paths):
    with locked(paths[1]), pytest.raises(ValueError, match="output is in use by process"):
        decode_file(*paths, InProcess(model(), SEARCH), TOKENIZER, **OPTIONS)
    assert files_in(paths[1].parent) == ["input"]


def test_prefixes_come_from_a_pipe(paths):
    pipe = paths[0].parent / "prefixes"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("do\n" * 11,))
    writer.start()
    decode_file(*paths, InProcess(model(), SEARCH), TOKENIZER, **OPTIONS, prefixes_path=pipe)
    writer.join()
    results = [result for result in read_nbest(paths[1]) if result.source.strip()]
    assert all(h.text.startswith("do") for result in results for h in result.hypotheses)


def test_prefixes_come_from_a_file(paths):
    prefixes = ["do", "", "", "cat", "", "b", "", "", "", "", "dog"]
    (paths[0].parent / "prefixes").write_text("\n".join([*prefixes, ""]))
    decode_file(*paths, InProcess(model(), SEARCH), TOKENIZER, **OPTIONS, prefixes_path=paths[0].parent / "prefixes")
    for result, prefix in zip(read_nbest(paths[1]), prefixes, strict=True):
        assert all(h.text.startswith(prefix) for h in result.hypotheses)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b"ab\n\xff\n", {}, "input:2: not valid UTF-8"),
        (b"ab\n", {"output_format": "xml"}, "`output_format` must be one of text, jsonl, moses, but is 'xml'"),
        (b"ab\nb\n", {"prefixes_path": True}, "input has 2 lines, but .*prefixes has 1;"),
    ],
)
def test_bad_input_leaves_nothing(paths, content, options, message):
    paths[0].write_bytes(content)
    (paths[0].parent / "prefixes").write_text("a\n")
    if "prefixes_path" in options:
        options = {"prefixes_path": paths[0].parent / "prefixes"}
    with pytest.raises(ValueError, match=message):
        decode_file(*paths, InProcess(model(), SEARCH), TOKENIZER, **{**OPTIONS, **options})
    assert files_in(paths[0].parent) == ["input", "prefixes"]


def test_processes_that_have_read_different_models_do_not_mix_their_parts(tmp_path):
    """A training may replace its export between the one's reading and the other's."""
    folder = tmp_path / "output.parts"
    enter_parts(folder, {"input": {"bytes": 3}, "model": "a"}, 0, lambda: None)
    enter_parts(folder, {"input": {"bytes": 3}, "model": "a"}, 1, lambda: None)
    with pytest.raises(
        ValueError, match="have read another model each, which was replaced meanwhile, .* command again"
    ):
        enter_parts(folder, {"input": {"bytes": 3}, "model": "b"}, 1, lambda: None)
