"""What the commands make of malformed files: none of them may end in a traceback, hang, lose a line or run code.

Whatever is wrong, a command ends with 0, with 1 where lines failed, or with 2 and one line that names the file; it
leaves what it reads as it was. A line that is spoiled changes no output but its own.

    python -m tests.end_to_end.malformed 5000 1   # so many cases of this seed, with a summary
"""

import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from transformers.utils import logging

from seq2seq.apps.command import main
from seq2seq.assembly import finishing
from seq2seq.fitting import plan
from seq2seq.fitting.probe import Speed
from seq2seq.generation import files as decoding_files
from tests.end_to_end.malformed_bench import Bench, Case, contents, judged, use_cache
from tests.end_to_end.malformed_folders import spoil_folder
from tests.end_to_end.malformed_material import SOURCES, copied, written_material
from tests.end_to_end.malformed_mutations import spoiled_bytes, spoiled_lines, spoiled_yaml

ENDINGS = ("tsv", "csv", "jsonl", "parquet")
REPORT = ("--device", "cpu", "--processes", "1", "--max-rows", "2")
DECODE = ("--device", "cpu", "--processes", "1", "--threads", "1")


# ---- kinds of cases --------------------------------------------------------------------------------------------------


def configuration(draw: Any, bench: Bench) -> Case:
    """A configuration with an odd line, read and prepared."""
    folder = bench.new()
    spoiled = draw(spoiled_yaml(bench.material.configuration.replace("run_directory: ", "# ")))
    (folder / "run.yaml").write_bytes(spoiled.replace(b"SENTINEL", str(bench.sentinel).encode()))
    arguments = ["prepare", str(folder / "run.yaml"), "--run_directory", str(folder / "run")]
    return judged(repr(spoiled[-300:]), arguments, folder)


def spoiled_table(draw: Any, good: Path) -> bytes:
    """Return a table of which rows or bytes are wrong."""
    whole = good.read_bytes()
    if good.suffix != ".parquet" and draw(st.booleans()):
        return b"\n".join(draw(spoiled_lines(whole.rstrip(b"\n").split(b"\n")))) + b"\n"
    return bytes(draw(spoiled_bytes(whole)))


def table(draw: Any, bench: Bench) -> Case:
    """A table of pairs, of which rows or bytes are wrong."""
    folder, ending = bench.new(), draw(st.sampled_from(ENDINGS))
    spoiled = spoiled_table(draw, bench.material.folder / f"table.{ending}")
    file = folder / f"train.{ending}"
    file.write_bytes(spoiled)
    columns = ["--data.train.header", "true"] if ending in ("tsv", "csv") and draw(st.booleans()) else []
    arguments = ["prepare", str(bench.material.folder / "run.yaml"), "--data.train.path", str(file), *columns]
    case = judged(f"{file.name}: {spoiled[:200]!r}", [*arguments, "--run_directory", str(folder / "run")], folder)
    if case.ended.code == 2 and file.name not in case.ended.errors[-1] and "data." not in case.ended.errors[-1]:
        case.problem = case.problem or f"nameless: {case.ended.errors[-1]}"
    return case


def pairs_to_fit(draw: Any, bench: Bench) -> Case:
    """A file of pairs of which nothing is said but its name, and of which rows or bytes are wrong."""
    folder, kind = bench.new(), draw(st.sampled_from(ENDINGS))
    spoiled = spoiled_table(draw, bench.material.folder / f"many.{kind}")
    file = folder / f"pairs.{draw(st.sampled_from((kind, kind, 'tsv', 'txt', 'csv', 'json')))}"
    file.write_bytes(spoiled)
    arguments = ["fit", str(file), "--plan", "--output", str(folder / "run")]
    return judged(f"{file.name}: {spoiled[:200]!r}", arguments, folder, names=str(file))


def pairs_to_score(draw: Any, bench: Bench) -> Case:
    """Rows of pairs among which are odd ones, of which a model says how likely they are."""
    folder = bench.new()
    rows = draw(spoiled_lines((bench.material.folder / "table.tsv").read_bytes().rstrip(b"\n").split(b"\n")))
    file, output = folder / "pairs.tsv", folder / "output.jsonl"
    file.write_bytes(b"\n".join(rows) + b"\n")
    arguments = ["likelihood", "--model", str(bench.material.run), "--input", str(file), "--output", str(output)]
    case = judged(repr(rows)[:300], arguments, folder, names=str(file))
    if case.ended.code == 2 and output.exists():
        case.problem = case.problem or "an output in spite of an error"
    return case


def lines_to_decode(draw: Any, bench: Bench) -> Case:
    """Lines to decode among which are odd ones; all others become what they do alone."""
    folder = bench.new()
    rows = draw(spoiled_lines(SOURCES))
    file, output = folder / "input.txt", folder / "output.txt"
    file.write_bytes(b"\n".join(rows) + draw(st.sampled_from((b"\n", b""))))
    arguments = ["decode", "--model", str(bench.material.run), "--input", str(file), "--output", str(output), *DECODE]
    case = judged(
        repr(rows)[:300], [*arguments, "--max-length", "16", "--max-source-tokens", "64"], folder, names=str(file)
    )
    if case.ended.code in (0, 1) and not case.problem:
        case.problem = aligned_problem(rows, output.read_text(encoding="utf-8"), bench)
    elif output.exists():
        case.problem = case.problem or "an output in spite of an error"
    return case


def aligned_problem(rows: list[bytes], text: str, bench: Bench) -> str:
    """Say what is wrong with the outputs of rows, each of which is one of the good ones or odd."""
    rows = rows if rows[-1] else rows[:-1] if text.count("\n") == len(rows) - 1 else rows
    found = text.split("\n")[:-1]
    if len(found) != len(rows):
        return f"{len(found)} lines for {len(rows)}"
    expected = dict(zip(SOURCES, bench.outputs, strict=True))
    wrong = [row for row, line in zip(rows, found, strict=True) if row in expected and expected[row] != line]
    return f"another output of {wrong[0]!r}" if wrong else ""


def model_folder(draw: Any, bench: Bench) -> Case:
    """A model's folder that is damaged, or made to do harm, by every command that reads one."""
    material, folder = bench.material, bench.new()
    is_foreign = draw(st.sampled_from((False, False, True)))
    good = material.foreign if is_foreign else material.run / "model"
    bad = copied(good, folder / "model")
    (folder / "outside").mkdir()
    what = spoil_folder(draw, bad, good, folder / "outside", bench.sentinel)
    verbs = ("decode", "decode", "decode", "info", "average", "score", "from_run", "path", "export", "targets")
    verb = draw(st.sampled_from((*verbs, "init", "diagnose", "likelihood", "report", "extend", "onnx", "transformers")))
    text, output = str(material.folder / "sources.txt"), str(folder / "output")
    config = [str(material.folder / "run.yaml"), "--run_directory", str(folder / "run")]
    arguments = {
        "decode": ["decode", "--model", str(bad), "--input", text, "--output", output, "--max-length", "16", *DECODE],
        "info": ["info", str(bad)],
        "average": ["average", "--model", str(good), str(bad), "--output", output],
        "score": [
            *("score", "--hypothesis", text, "--reference", text, "--metrics", "word_movers_distance"),
            *("--embeddings", str(bad)),
        ],
        "from_run": ["prepare", *config, "--tokenizer", f"{{from_run: {bad}}}"],
        "path": ["prepare", *config, "--tokenizer", f"{{path: {bad}}}"],
        "export": ["export", "--model", str(bad), "--output", output],
        "onnx": ["export", "--model", str(bad), "--format", "onnx", "--output", output],
        "transformers": ["export", "--model", str(bad), "--format", "transformers", "--output", output],
        "extend": ["extend", "--model", str(bad), "--add-tokens", "<new>", "--output", output],
        "likelihood": ["likelihood", "--model", str(bad), "--source", text, "--target", text, "--output", output],
        "report": ["report", str(bad), "--source", text, "--reference", text, "--output", output, *REPORT],
        "targets": ["decode", "--model", str(bad), "--input", text, "--score-targets", text, "--output", output],
        "init": ["train", *config, "--init-from", str(bad), "--training.max_steps", "1", "--tokenizer", "{}"],
        "diagnose": [
            *("diagnose", "--model", str(bad), "--source", text, "--reference", text, "--output", output),
            *("--beam-widths", "1", "--max-rows", "2"),
        ],
    }[verb]
    before = contents(bad)
    case = judged(f"{'foreign' if is_foreign else 'own'}, {verb}: {what}", arguments, folder, names=str(folder))
    if contents(bad) != before:
        case.problem = case.problem or "the folder that was read has changed"
    if any((folder / "outside" / name).is_file() for name in ("made",)):
        case.problem = "something was made outside"
    return case


def run_directory(draw: Any, bench: Bench) -> Case:
    """A run of which a file is damaged, gone on with or looked at."""
    folder = bench.new()
    run = copied(bench.material.run, folder / "run")
    what = spoil_folder(draw, run, bench.material.run, folder, bench.sentinel, resign=draw(st.booleans()))
    config = [str(bench.material.folder / "run.yaml"), "--run_directory", str(run)]
    verb = draw(st.sampled_from(("train", "train", "train", "info", "diagnose", "report")))
    arguments = {
        "train": ["train", *config, "--training.max_steps", "13"],
        "info": ["info", str(run)],
        "diagnose": ["diagnose", "--model", str(run), "--data", "validation", "--max-rows", "2", "--beam-widths", "1"],
        "report": ["report", str(run), *REPORT],
    }[verb]
    return judged(what, arguments, folder, names=str(folder))


def parts_of_a_decode(draw: Any, bench: Bench) -> Case:
    """What a decode that was stopped has left, damaged, and the same command again."""
    folder = bench.new()
    output = folder / "output.txt"
    parts = copied(bench.material.parts, folder / "output.txt.parts")
    what = spoil_folder(draw, parts, bench.material.parts, folder, bench.sentinel)
    text = str(bench.material.folder / "sources.txt")
    arguments = ["decode", "--model", str(bench.material.run), "--input", text, "--output", str(output), *DECODE]
    case = judged(what, arguments, folder, names=str(parts))
    if case.ended.code == 0 and not case.problem and " tokens" not in what:
        case.problem = "" if output.read_text().count("\n") == len(SOURCES) else "lines were lost"
    return case


def files_to_score(draw: Any, bench: Bench) -> Case:
    """Hypotheses and references of which one is malformed."""
    folder, material = bench.new(), bench.material
    ending = draw(st.sampled_from(("txt", "jsonl")))
    rows = (material.folder / f"hypotheses.{ending}").read_bytes().rstrip(b"\n").split(b"\n")
    hypothesis, reference = folder / f"hypothesis.{ending}", folder / "reference.txt"
    hypothesis.write_bytes(b"\n".join(draw(spoiled_lines(rows))) + b"\n")
    reference.write_bytes(b"\n".join(draw(st.just(SOURCES) | spoiled_lines(SOURCES))) + b"\n")
    metrics = draw(st.sampled_from((["bleu", "chrf", "ter"], ["rougeL", "exact_match"], ["wer", "cer"])))
    arguments = ["score", "--hypothesis", str(hypothesis), "--reference", str(reference), "--metrics", *metrics]
    baseline = ["--baseline", str(reference), "--num-samples", "20"] if draw(st.booleans()) else []
    return judged(repr(hypothesis.read_bytes()[:200]), [*arguments, *baseline], folder)


def cache_of_corpora(draw: Any, bench: Bench) -> Case:
    """A damaged file in the cache of corpora, which is made anew."""
    folder = bench.new()
    what = spoil_folder(draw, folder / "cache", bench.material.folder, folder, bench.sentinel)
    config = [str(bench.material.folder / "run.yaml"), "--run_directory", str(folder / "run")]
    return judged(what, ["prepare", *config], folder, names=str(folder / "cache"))


KINDS: tuple[Callable[[Any, Bench], Case], ...] = (
    *(configuration, configuration, table, table, pairs_to_fit, pairs_to_fit, pairs_to_score),
    *(lines_to_decode, lines_to_decode, *(model_folder,) * 7),
    *(run_directory, run_directory, parts_of_a_decode, files_to_score, cache_of_corpora),
)


# ---- running ---------------------------------------------------------------------------------------------------------


SPEED = Speed(
    threads=1,
    seconds_per_step=0.1,
    pairs_per_step=30,
    target_tokens_per_second=1000,
    loss_seconds=0.1,
    decoding_seconds=0.01,
    parameters=1000,
    memory_mib=100,
    batch_tokens=4096,
    accumulation=1,
    target_length=10,
    longest_source=30,
    longest_target=30,
)


def without_waiting(replace: Callable[[Any, str, Any], None]) -> None:
    """Let what takes seconds and reads nothing be left out, by a function such as `setattr`: curves and a probe."""
    replace(finishing, "plot_curves", lambda *arguments: None)
    replace(plan, "measured", lambda *arguments: SPEED)


def set_up(folder: Path) -> Bench:
    """Make all that is good: train, decode, and stop a decode before its parts are joined."""
    use_cache(folder / "cache")
    material = written_material(folder / "material")
    bench, run = Bench(material, folder), ["train", str(folder / "material" / "run.yaml")]
    assert main(run) == 0
    sources, output = material.folder / "sources.txt", material.folder / "output.txt"
    sources.write_bytes(b"\n".join(SOURCES) + b"\n")
    for ending in ("txt", "jsonl"):
        hypotheses = material.folder / f"hypotheses.{ending}"
        decode = ["decode", "--model", str(material.run), "--input", str(sources), *DECODE, "--max-length", "16"]
        assert main([*decode, "--output", str(hypotheses)]) == 0
    bench.outputs = (material.folder / "hypotheses.txt").read_text(encoding="utf-8").split("\n")[:-1]
    join = decoding_files.join_parts
    decoding_files.join_parts = lambda *arguments: 0
    try:
        decode = ["decode", "--model", str(material.run), "--input", str(sources), *DECODE, "--output", str(output)]
        assert main(decode) == 0
    finally:
        decoding_files.join_parts = join
    assert material.parts.is_dir()
    for good in (material.foreign, material.run / "model"):  # loads all libraries, whose time is nobody's
        main(["decode", "--model", str(good), "--input", str(sources), *DECODE, "--output", str(folder / "warm")])
    return bench


def cases(num_cases: int, first_seed: int, bench: Bench) -> list[Case]:
    """Return the cases of a seed with what has become of them; none stops the others."""
    found: list[Case] = []

    @seed(first_seed)
    @settings(
        max_examples=num_cases,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def one(data: st.DataObject) -> None:
        kind = data.draw(st.sampled_from(KINDS))
        case = kind(data.draw, bench)
        if bench.sentinel.exists():
            bench.sentinel.unlink()
            case.problem = "code was run"
        found.append(case)
        if report is not None:
            report(case)

    one()
    return found


report: Callable[[Case], None] | None = None
"""Who is told of each case."""
counts: Counter[str] = Counter()


def print_case(case: Case) -> None:
    """Print a case with which something is wrong, and every hundred cases how many there were."""
    counts[case.verdict.split(":")[0]] += 1
    counts[f"exit code {case.ended.code}"] += 1
    if case.problem:
        print(f"{case.problem}\n    {case.what}", flush=True)
    if sum(counts.values()) % 200 == 0:
        print(f"{sum(counts.values()) // 2} cases: {dict(counts)}", flush=True)


if __name__ == "__main__":
    report = print_case
    without_waiting(setattr)
    logging.set_verbosity_error()
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    with tempfile.TemporaryDirectory() as temporary:
        cases(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1, set_up(Path(temporary)))
    print(f"{sum(counts.values()) // 2} cases: {dict(counts)}")
