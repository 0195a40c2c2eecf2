"""An examination of data as text for people."""

import textwrap
from collections.abc import Iterator, Sequence

from seq2seq.data.examination.examination import CorpusFacts, Examination, MixedFacts
from seq2seq.data.examination.findings import Finding, percent, quoted
from seq2seq.data.examination.vocabulary import SamplePair

WIDTH = 120
_LONGEST_TEXT = 400
_INDENT = " " * 12


def report_lines(examination: Examination, places: dict[str, str]) -> Iterator[str]:
    """Yield the lines of a report: sample pairs, sizes, and what is noteworthy, warnings first.

    Args:
        places: where the pairs of a corpus are read from, by its name.
    """
    yield from (f"{name:12}{place}" for name, place in places.items())
    yield ""
    for pair in examination.samples:
        yield from sample_lines(pair)
    yield ""
    yield from size_lines({"training": examination.train, "validation": examination.validation})
    yield from corpus_lines(examination.corpora)
    yield ""
    others = [finding for finding in examination.findings if not finding.is_warning]
    for finding in (*examination.warnings, *others):
        yield from finding_lines(finding)
    if not examination.findings:
        yield "Nothing about these pairs is out of the ordinary."


def sample_lines(pair: SamplePair) -> Iterator[str]:
    """Yield both sides of a pair, each as text and as tokens."""
    yield f"A {pair.corpus} pair:"
    sides = (("source", pair.source, pair.source_tokens), ("target", pair.target, pair.target_tokens))
    for side, text, tokens in sides:
        yield from wrapped(f"  {side}    ", text)
        yield from wrapped("    tokens  ", " ".join(tokens))


def size_lines(corpora: dict[str, CorpusFacts]) -> Iterator[str]:
    """Yield a table of pairs, tokens and unknown pieces."""
    columns = f"{'median':>12}{'95 %':>8}{'longest':>9}{'unknown':>13}"
    yield f"{'source tokens':>37}{'target tokens':>42}"
    yield f"{'pairs':>24}{columns}{columns}"
    for name, facts in corpora.items():
        cells = ""
        for lengths, unknown in (
            (facts.source_lengths, facts.unknown_sources),
            (facts.target_lengths, facts.unknown_targets),
        ):
            cells += f"{lengths.median:>12,}{lengths.most:>8,}{lengths.longest:>9,}{percent(unknown):>13}"
        yield f"{name:12}{facts.pairs:>12,}{cells}"


def corpus_lines(corpora: Sequence[MixedFacts]) -> Iterator[str]:
    """Yield a table of the corpora that are mixed, if there are several."""
    if not corpora:
        return
    width = max(len("mixed"), *(len(facts.label) for facts in corpora))
    yield f"\n{'mixed':{width}}{'pairs':>12}{'kept':>12}{'share':>9}{'times seen':>12}{'validated on':>15}"
    for facts in corpora:
        numbers = f"{facts.rows:>12,}{facts.kept:>12,}{percent(facts.share):>9}{facts.times:>12.3g}"
        yield f"{facts.label:{width}}{numbers}{facts.in_validation:>15,}"


def finding_lines(finding: Finding) -> Iterator[str]:
    """Yield a finding, with an exclamation mark where it is a warning, and examples that its sentence lacks."""
    examples = [text for text in finding.examples if text not in finding.sentence]
    text = f"{finding.sentence} For example {quoted(examples)}." if examples else finding.sentence
    label = "! " if finding.is_warning else "- "
    yield from textwrap.wrap(text, WIDTH, initial_indent=label, subsequent_indent="  ", break_long_words=False)


def wrapped(label: str, text: str) -> Iterator[str]:
    shortened = text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"
    yield from textwrap.wrap(shortened, WIDTH, initial_indent=label, subsequent_indent=_INDENT) or [label.rstrip()]
