"""Runs enter, a report leaves: `write_report`, what `seq2seq report` and the end of `seq2seq fit` call.

Into the folder go `report.html`, a page for people that needs nothing beside it, `report.json`, all numbers, and
`outputs.jsonl`, each output with its own scores. All runs are measured on the same pairs, those of the first.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from seq2seq.assembly.model_folder import names_of_models
from seq2seq.files import written
from seq2seq.generation.output import write_lines
from seq2seq.metrics.significance import SEED
from seq2seq.reporting.baselines import outputs_without_model
from seq2seq.reporting.cost import machine
from seq2seq.reporting.given import TestPairs, TrainingPairs, config_of, contents, pairs_to_test, training_pairs
from seq2seq.reporting.measuring import Means, RunToMeasure, measured_run
from seq2seq.reporting.page.page import page_of
from seq2seq.reporting.results import DataFacts, Report, RunComparison, RunResults, for_json
from seq2seq.reporting.scores import Judge, known_metrics
from seq2seq.reporting.slices import share_unseen
from seq2seq.reporting.task import task_of
from seq2seq.reporting.verdict import answers

PAGE_FILE, NUMBERS_FILE, OUTPUTS_FILE = "report.html", "report.json", "outputs.jsonl"
MAX_ROWS = 2000


def write_report(
    runs: Sequence[str | Path],
    output: str | Path,
    *,
    files: tuple[str | Path, str | Path] | None = None,
    max_rows: int = MAX_ROWS,
    device: str = "auto",
    precision: str | None = None,
    checkpoint: str | None = None,
    processes: int = 1,
    progress: bool = True,
    seed: int = SEED,
) -> Report:
    """Write the report of runs into a folder, and return it.

    Args:
        runs: run directories or model folders; each but the first is compared with the first.
        files: of sources and of references, a text on each line, to measure on; by default the test pairs in the first
            run's directory, else its validation pairs.
        max_rows: sources at most, the first ones; 0 takes all.
        precision: compute type, by default that of the saved weights.
        checkpoint: of the runs, see `seq2seq.load`.
        processes: that search; several only where this process has not yet computed on more than one thread.
        progress: say on standard error how far it is.
        seed: of resamples and of examples that are drawn.

    Raises:
        ValueError: there is no model or no run, there are no pairs to measure on, or a run is named twice.
    """
    if not runs:
        raise ValueError("There is no run to report on; name one.")
    subjects = [
        RunToMeasure(name, Path(run), config_of(Path(run)))
        for name, run in zip(names_of_models(runs), runs, strict=True)
    ]
    first = subjects[0]
    pairs = pairs_to_test(first.path, first.config, files, max_rows=max_rows)
    found = [_training_of(subject) for subject in subjects]
    subjects = [replace(own, training=trained_on) for own, (trained_on, _) in zip(subjects, found, strict=True)]
    training, note = found[0]
    texts = contents(pairs.sources)
    task = task_of(texts, pairs.references, training.targets if training else ())
    chosen = first.config.validation.metrics if first.config else ()
    judge = Judge(known_metrics([*task.metrics, *chosen]), pairs.references, seed, **task.options)
    targets = training.targets if training else [own[0] for own in pairs.references]
    stand_ins = outputs_without_model(pairs.sources, targets, training, is_summary=task.kind == "summaries")
    check_output(Path(output))
    means = Means(device, precision, checkpoint, processes, progress, seed)
    results = [measured_run(subject, pairs, task, judge, training, stand_ins, means) for subject in subjects]
    for place, (_, why) in enumerate(found[1:], start=1):
        if why is not None:
            results[place] = replace(results[place], notes=(*results[place].notes, why))
    data = _facts(pairs, training, note)
    comparisons = tuple(
        RunComparison(own.name, results[0].name, judge.differences(own.decoded.outputs, results[0].decoded.outputs))
        for own in results[1:]
    )
    verdict = answers(results[0], task, data, results[1:], comparisons)
    report = Report(
        verdict=verdict.sentences,
        answers=verdict,
        task=task,
        data=data,
        runs=tuple(results),
        comparisons=comparisons,
        machine=machine(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        page=Path(output) / PAGE_FILE,
        pairs=pairs,
    )
    _write(report, Path(output))
    return report


def check_output(folder: Path) -> None:
    """Raise ValueError, before minutes of work, where a folder cannot be made or written into."""
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise ValueError(f"{folder}: nothing can be written there; give a folder of your own by `--output`.")


def _training_of(subject: RunToMeasure) -> tuple[TrainingPairs | None, str | None]:
    """Return the pairs that a run was trained on, or why they are not known."""
    if subject.config is None:
        return None, f"{subject.path} is a model without its run, so its training pairs are not known."
    try:
        return training_pairs(subject.config), None
    except (ValueError, OSError) as error:
        return None, f"The training pairs cannot be read any more: {' '.join(str(error).split())}"


def _facts(pairs: TestPairs, training: TrainingPairs | None, note: str | None) -> DataFacts:
    same = sum(map(str.__eq__, contents(training.sources), training.targets)) if training else 0
    return DataFacts(
        origin=pairs.origin,
        described=pairs.described,
        num_pairs=len(pairs),
        num_blank=pairs.num_blank,
        num_more=pairs.num_more,
        has_several_references=pairs.has_several_references,
        num_training=training.num_rows if training and training.num_rows >= 0 else None,
        share_unseen=share_unseen(pairs.sources, training) if training else None,
        num_same_sides=same,
        num_looked_at=len(training) if training else 0,
        note=note,
    )


def _write(report: Report, folder: Path) -> None:
    """Write the three files; each appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    write_lines(folder / OUTPUTS_FILE, _rows(report))
    with written(folder / NUMBERS_FILE) as file:
        file.write(json.dumps(for_json(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    with written(report.page) as file:
        file.write(page_of(report))


def _rows(report: Report) -> Iterator[str]:
    """Yield a line for each output: source, reference or references, output, and its own scores."""
    for run in report.runs:
        yield from (_row(report.pairs, run, row) for row in range(len(report.pairs)))


def _row(pairs: TestPairs, run: RunResults, row: int) -> str:
    first, *others = pairs.references[row]
    facts = {"run": run.name, "source": pairs.sources[row], "reference": first}
    scores = {name: round(float(values[row]), 4) for name, values in run.row_scores.items()}
    more = {"other_references": others} if others else {}
    whole = {**facts, **more, "output": run.decoded.outputs[row], "scores": scores}
    return json.dumps(for_json(whole), ensure_ascii=False, allow_nan=False)
