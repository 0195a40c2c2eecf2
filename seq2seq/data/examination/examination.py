"""An examination of the pairs of a training: sizes, samples, and all findings.

Two tokenised corpora enter, an `Examination` leaves.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from seq2seq.data.examination.examined import Examined, Lengths
from seq2seq.data.examination.findings import Finding
from seq2seq.data.examination.headers import headers
from seq2seq.data.examination.limits import PairLimits, costs, validation_lengths
from seq2seq.data.examination.overlap import duplicates, identical_sides, near_overlap, overlap, shared_pairs
from seq2seq.data.examination.resemblance import resemblance
from seq2seq.data.examination.text_findings import findings_of_texts
from seq2seq.data.examination.vocabulary import SamplePair, samples, unknown_pieces, unknown_share
from seq2seq.data.mixture import CorpusShare
from seq2seq.data.tokenizer import TextTokenizer

_SHOWN_PAIRS = {"training": 3, "validation": 2}
_FEW_TO_JUDGE = 50
_PARAMETERS_A_TOKEN = 500
"""Parameters for each target token beyond which there is little to learn but the pairs themselves."""


@dataclass(frozen=True)
class CorpusFacts:
    """The size of a corpus and of its texts."""

    pairs: int
    source_lengths: Lengths
    target_lengths: Lengths
    unknown_sources: float
    """Share of the pieces."""
    unknown_targets: float

    @classmethod
    def of(cls, corpus: Examined, tokenizer: TextTokenizer) -> "CorpusFacts":
        return cls(
            len(corpus),
            Lengths.of(corpus.lengths("source")),
            Lengths.of(corpus.lengths("target")),
            unknown_share(corpus, "source", tokenizer.source.unk_id),
            unknown_share(corpus, "target", tokenizer.target.unk_id),
        )


@dataclass(frozen=True)
class MixedFacts(CorpusShare):
    """One of several training corpora."""

    in_validation: int
    """Pairs that are validated on, too."""

    @classmethod
    def of(cls, share: CorpusShare, in_validation: int) -> "MixedFacts":
        return cls(**asdict(share), in_validation=in_validation)


@dataclass(frozen=True)
class Examination:
    """What is known of the pairs of a training before it starts."""

    train: CorpusFacts
    validation: CorpusFacts
    samples: tuple[SamplePair, ...]
    findings: tuple[Finding, ...]
    corpora: tuple[MixedFacts, ...] = ()
    """Of a list of training corpora, each."""

    @property
    def warnings(self) -> list[Finding]:
        """What probably spoils the training."""
        return [finding for finding in self.findings if finding.is_warning]


def examine(
    train: Examined,
    validation: Examined,
    tokenizer: TextTokenizer,
    findings: Iterable[Finding],
    shares: Sequence[CorpusShare] = (),
) -> Examination:
    """Return facts and samples beside what is noteworthy.

    Args:
        shares: of the corpora that `train` consists of.
    """
    shown = (pair for corpus in (train, validation) for pair in samples(corpus, tokenizer, _SHOWN_PAIRS[corpus.name]))
    facts = [CorpusFacts.of(corpus, tokenizer) for corpus in (train, validation)]
    common = shared_pairs(train, validation) if shares else []
    mixed = (MixedFacts.of(share, number) for share, number in zip(shares, common, strict=True))
    return Examination(facts[0], facts[1], tuple(shown), tuple(findings), tuple(mixed))


def findings_of(
    train: Examined, validation: Examined, tokenizer: TextTokenizer, limits: PairLimits
) -> Iterator[Finding]:
    """Yield what is noteworthy, of both corpora and of one beside the other."""
    for corpus in (train, validation):
        yield from headers(corpus)
    yield from resemblance(train, validation)
    yield from overlap(train, validation)
    yield from near_overlap(train, validation)
    yield from costs(train, limits)
    yield from validation_lengths(train, validation, limits)
    for corpus in (train, validation):
        yield from unknown_pieces(corpus, tokenizer)
        yield from duplicates(corpus)
        yield from identical_sides(corpus)
        yield from findings_of_texts(corpus)
    if len(validation) < _FEW_TO_JUDGE:
        yield Finding(
            "few_validation_pairs",
            f"There are {len(validation)} validation pairs, so that scores differ by chance; some hundreds are better.",
            len(validation),
        )


def too_few_pairs(num_pairs: int, num_target_tokens: int, num_parameters: int) -> Iterator[Finding]:
    """Yield that a model is so large for its pairs that it learns them by heart."""
    if num_parameters > _PARAMETERS_A_TOKEN * max(1, num_target_tokens):
        yield Finding(
            "few_pairs",
            f"There are {num_pairs:,} training pairs with {num_target_tokens:,} target tokens for a model of "
            f"{num_parameters:,} parameters, which will learn them by heart. More pairs, a smaller "
            "`tokenizer.vocab_size` or `model.d_model`, or weights from elsewhere (`--init-from`) would help.",
            num_pairs,
            is_warning=True,
        )
