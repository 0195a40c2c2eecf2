"""Say how likely given targets are: a log-probability for each pair, for filtering and ranking bitext.

    seq2seq likelihood --model runs/x --input pairs.tsv --output scored.tsv   # the table with a column `score`
    seq2seq likelihood --model runs/x --source test.en --target test.de --format jsonl   # each token's too
    seq2seq likelihood --model runs/en_de --reverse-model runs/de_en --input pairs.tsv --keep 0.7 --output kept.tsv
    seq2seq likelihood --model runs/x --input pairs.tsv --alignment --columns alignment

What enters is a table (TSV, CSV, JSONL or Parquet, by its ending; standard input is TSV) or two files of which line n
belongs to line n; rows stay in order. The score of a pair is the log-probability of its target per token: 0 is
certain, and lower is less likely. Scores of two models compare only where their tokens do. With a model of the opposite
direction it is lower the less likely each side is for the other, and the less the two agree. A row that cannot be
scored is written with an `error` instead, the log names it, and the exit code is 1.
"""

import argparse
import itertools
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from seq2seq.apps.likelihood_rows import ADDED, FORMATS, Row, RowWriter, above, best_lines
from seq2seq.apps.option_values import CHECKPOINT_HELP, integer, number
from seq2seq.assembly.generator import TextGenerator, load, pick_device
from seq2seq.assembly.pair_scores import NORMALIZATIONS, PairScore, PairScorer, perplexity, scored_pools
from seq2seq.assembly.precision import PRECISION_NAMES
from seq2seq.assembly.process import num_cores, prepare_process, several_are_launched
from seq2seq.config.declaring import MOST_PROCESSES
from seq2seq.data.table_records import COLUMNS, KINDS, Record, Table, aligned_records, table_kind, table_records
from seq2seq.decoding.running.workers import can_fork
from seq2seq.generation.corpus import check_max_source_tokens
from seq2seq.generation.output import write_lines
from seq2seq.lines import STANDARD
from seq2seq.locks import locked

POOL_PAIRS = 512
"""Pairs that are scored together, sorted by length; what one process gets at a time."""

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--model", nargs="+", required=True, help="run directory or model folder; several: an ensemble")
    add("--checkpoint", help=CHECKPOINT_HELP)
    add("--weights", nargs="+", type=number, help="weights of `--model`'s members; default: equal")
    add("--reverse-model", nargs="+", default=(), help="run or folder that generates sources from targets")
    group = parser.add_argument_group("what is read")
    add = group.add_argument
    add("--input", default=STANDARD, metavar="TABLE", help="table of pairs; `-` is standard input")
    add("--source", metavar="FILE", help="instead of a table: one source per line")
    add("--target", metavar="FILE", help="one target per line, aligned with `--source`")
    add("--input-format", choices=["auto", *KINDS], default="auto", help="of the table; default: by its ending")
    add("--header", action="store_true", help="the first line of a TSV or CSV table names its columns")
    add("--source-column", default=COLUMNS[0], help="name, or number counted from 0; default: `source`, or the first")
    add("--target-column", default=COLUMNS[1], help="likewise; default: `target`, or the second")
    group = parser.add_argument_group("what is written")
    add = group.add_argument
    add("--output", default=STANDARD, help="file to write; `-` is standard output")
    add(
        "--format", choices=["auto", *FORMATS], default="auto", help="default: by the output's ending, or as it is read"
    )
    add(
        "--columns",
        nargs="+",
        choices=ADDED,
        default=["score"],
        metavar="NAME",
        help=f"of {', '.join(ADDED)}: what a table gets; default: score. JSONL gets all",
    )
    add("--keep", type=number, metavar="SHARE", help="write only this share of the pairs, the best, in their order")
    add("--at-least", type=number, metavar="SCORE", help="write only pairs with such a score")
    group = parser.add_argument_group("how pairs are scored")
    add = group.add_argument
    add(
        "--normalize",
        choices=NORMALIZATIONS,
        default="token",
        help="what the score is divided by; `none` leaves the "
        "sum, `character` counts those of the text and its end; default: %(default)s",
    )
    add("--generation-order", choices=["auto", "l2r", "r2l"], default="auto", help="of a model that knows both")
    add(
        "--alignment",
        nargs="?",
        const="words",
        choices=["words", "tokens"],
        help="also say which words, or tokens, "
        "belong together: by what the model attends to, as `0-0 1-2`, source first, counted from 0",
    )
    add("--alignment-layer", type=integer, metavar="N", help="of the decoder, from 1; default: the last but one")
    add("--source-language", help="for a model of many languages")
    add("--target-language", help="for a model of many languages")
    add(
        "--max-source-tokens",
        type=integer,
        help="longer sources are cut, with a warning; so are those longer than the model takes",
    )
    group = parser.add_argument_group("how it is computed")
    add = group.add_argument
    add(
        "--batch-tokens",
        type=integer,
        help="source and target tokens of a batch, padding included; default: as fits the vocabulary",
    )
    add("--device", default="auto", help="cpu, cuda, cuda:1 …; default: the GPU where there is one")
    add("--precision", choices=PRECISION_NAMES, default="fp32", help="default: %(default)s")
    add("--threads", type=integer, default=0, help="CPU threads of one process; 0 leaves the choice to torch")
    add(
        "--processes",
        type=integer,
        default=0,
        help="processes that share the work on a CPU, a thread each; 0: one a core",
    )


def run(arguments: argparse.Namespace) -> int:
    check_choices(arguments)
    num_processes = chosen_processes(arguments)
    prepare_process(1 if num_processes > 1 else arguments.threads)
    scorer = load_scorer(arguments)
    counts = RowCounts()
    table = records_of(arguments)
    rows = counted(scored_rows(scorer, table, num_processes), counts)
    if arguments.at_least is not None:
        rows = above(rows, arguments.at_least)
    write(written_lines(rows, arguments, table.names), arguments)
    print(counts.said(), file=sys.stderr if arguments.output == STANDARD else sys.stdout)
    return 1 if counts.num_failed else 0


def check_choices(arguments: argparse.Namespace) -> None:
    """Raise ValueError for options that cannot be meant, or that do not go together."""
    if several_are_launched():
        raise ValueError("`likelihood` runs without `accelerate launch`; `--processes` shares the work on a CPU.")
    if (arguments.source is None) != (arguments.target is None):
        raise ValueError("`--source` and `--target` go together: give the file of the other side too.")
    if arguments.source is not None:
        of_tables = {"--header": arguments.header, "--input-format": arguments.input_format != "auto"}
        of_tables |= {"--source-column": arguments.source_column != COLUMNS[0]}
        of_tables |= {"--target-column": arguments.target_column != COLUMNS[1], "--input": arguments.input != STANDARD}
        if wrong := [name for name, given in of_tables.items() if given]:
            raise ValueError(f"Two files of lines are no table; leave out {' and '.join(wrong)}.")
    if arguments.keep is not None and not 0 < arguments.keep <= 1:
        raise ValueError(f"`--keep` is a share above 0 and up to 1, but is {arguments.keep}.")
    if arguments.keep is not None and arguments.at_least is not None:
        raise ValueError("`--keep` and `--at-least` both choose pairs; give one.")
    if "alignment" in arguments.columns and not arguments.alignment:
        raise ValueError("For a column `alignment` add `--alignment`.")
    if arguments.alignment_layer is not None and not arguments.alignment:
        raise ValueError("`--alignment-layer` belongs to `--alignment`; add it.")
    if any(name.startswith("reverse") for name in arguments.columns) and not arguments.reverse_model:
        raise ValueError("Such a column needs a model of the opposite direction; give it as `--reverse-model`.")
    if arguments.batch_tokens is not None and arguments.batch_tokens < 1:
        raise ValueError(f"`--batch-tokens` must be at least 1, but is {arguments.batch_tokens}.")
    for name in ("threads", "processes"):
        if not 0 <= getattr(arguments, name) <= MOST_PROCESSES:
            raise ValueError(f"`--{name}` is between 0 and {MOST_PROCESSES:,}, but is {getattr(arguments, name)}.")
    check_max_source_tokens(arguments.max_source_tokens)


def chosen_processes(arguments: argparse.Namespace) -> int:
    """Return how many processes score; raise ValueError for several where there can be one."""
    can_share = pick_device(arguments.device) == "cpu" and can_fork()
    if arguments.processes > 1 and not can_share:
        raise ValueError("`--processes` shares the work of one command on a CPU under Linux; leave it out here.")
    if arguments.processes or arguments.threads or not can_share:
        return max(1, int(arguments.processes))
    return num_cores()


def load_scorer(arguments: argparse.Namespace) -> PairScorer:
    """Return what scores pairs by the models that the command names."""

    def loaded(
        models: list[str], weights: list[float] | None, languages: tuple[str | None, str | None]
    ) -> TextGenerator:
        return load(
            models,
            device=arguments.device,
            precision=arguments.precision,
            weights=weights,
            checkpoint=arguments.checkpoint,
            source_language=languages[0],
            target_language=languages[1],
        )

    languages = (arguments.source_language, arguments.target_language)
    return PairScorer(
        loaded(arguments.model, arguments.weights, languages),
        loaded(arguments.reverse_model, None, languages[::-1]) if arguments.reverse_model else None,
        normalization=arguments.normalize,
        alignment=arguments.alignment,
        layer=arguments.alignment_layer,
        batch_tokens=arguments.batch_tokens,
        max_source_tokens=arguments.max_source_tokens,
        generation_order=arguments.generation_order,
    )


def input_kind(arguments: argparse.Namespace) -> str:
    """Return the format of the table."""
    if arguments.input_format != "auto":
        return str(arguments.input_format)
    return table_kind(arguments.input)


def records_of(arguments: argparse.Namespace) -> Table:
    """Return the pairs that the command names."""
    if arguments.source is not None:
        return Table(aligned_records(arguments.source, arguments.target))
    columns = (arguments.source_column, arguments.target_column)
    return table_records(arguments.input, input_kind(arguments), columns, has_names=arguments.header)


def scored_rows(scorer: PairScorer, records: Iterable[Record], num_processes: int) -> Iterator[Row]:
    """Yield each record with its score, in order."""
    rest = iter(records)
    ahead, kept = itertools.tee(iter(lambda: list(itertools.islice(rest, POOL_PAIRS)), []))
    pools = ([(record.source, record.target) for record in pool if not record.error] for pool in ahead)
    for pool, scores in zip(kept, scored_pools(scorer, pools, num_processes), strict=True):
        found = iter(scores)
        yield from ((record, PairScore(error=record.error) if record.error else next(found)) for record in pool)


class RowCounts:
    """What is said of all rows at the end."""

    def __init__(self) -> None:
        self.num_rows = self.num_failed = self.num_tokens = 0
        self.log_prob = 0.0

    def said(self) -> str:
        parts = [f"{self.num_rows:,} pairs"]
        if self.num_tokens:
            parts.append(
                f"{self.num_tokens:,} target tokens, perplexity {perplexity(self.log_prob, self.num_tokens):.4g}"
            )
        if self.num_failed:
            parts.append(f"{self.num_failed:,} without a score")
        return ", ".join(parts)


def counted(rows: Iterable[Row], counts: RowCounts) -> Iterator[Row]:
    """Yield the rows, and count them; the log names those that failed."""
    for record, score in rows:
        counts.num_rows += 1
        if score.error is not None:
            counts.num_failed += 1
            logger.error("Row %d has no score: %s", record.number, score.error)
        counts.num_tokens += score.num_tokens or 0
        counts.log_prob += score.log_prob or 0.0
        yield record, score


def output_format(arguments: argparse.Namespace) -> str:
    """Return the format of what is written: as said, by its ending, or that of what is read."""
    if arguments.format != "auto":
        return str(arguments.format)
    ending = Path(arguments.output).suffix.removeprefix(".")
    if ending in FORMATS:
        return ending
    if ending == "txt":
        return "text"
    if arguments.source is not None:
        return "tsv"
    return {"parquet": "jsonl"}.get(input_kind(arguments), input_kind(arguments))


def written_lines(rows: Iterator[Row], arguments: argparse.Namespace, names: Sequence[str]) -> Iterator[str]:
    """Yield the lines of the rows that are kept; `names` are those of the columns, where the file says them."""
    fields_of_json = arguments.source is None and input_kind(arguments) in ("jsonl", "parquet")
    writer = RowWriter(output_format(arguments), arguments.columns, header=arguments.header or fields_of_json)
    if not names and writer.header:
        names, rows = names_of_first(rows)
    if names:
        yield from writer.first_lines(names)
    if arguments.keep is None:
        yield from (writer.line(*row) for row in rows)
    else:
        yield from best_lines(((writer.line(*row), row[1]) for row in rows), arguments.keep)


def names_of_first(rows: Iterator[Row]) -> tuple[list[str], Iterator[Row]]:
    """Return the names in the first row that has any, and all rows."""
    looked_at = []
    for row in rows:
        looked_at.append(row)
        if row[0].values:
            break
    return [*looked_at[-1][0].values] if looked_at else [], itertools.chain(looked_at, rows)


def write(lines: Iterator[str], arguments: argparse.Namespace) -> None:
    """Write lines to the output, whole or not at all where that is a file."""
    if arguments.output != STANDARD:
        with locked(arguments.output):
            write_lines(Path(arguments.output), lines, may_be_stream=True)
        return
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
    for line in lines:
        print(line)
