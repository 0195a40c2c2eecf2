"""What one wrong token does to what follows it.

In the prefix of each reference one token is replaced, some way into it, by one of two others:

- `likely`: the likeliest token that is not the reference's; where the model's first choice is right, its second. It
  is the mistake that the model itself would make;
- `random`: any other token of the vocabulary, a prefix such as the model never meets by itself.

Start, end and padding are never put in. Then the reference goes on as if nothing had happened, and the damage is how
much less likely the model finds its following tokens than behind the right prefix, in nats; and the model goes on by
itself, and the damage is how much worse its continuation matches the reference's than that behind the right prefix.
A model that ignores its prefix has none. A good model has some: behind the wrong half of a word the right other half is
unlikely, which is most of the damage to the very next token, and behind a word that changes the meaning another
continuation is right. What is left some tokens later is what the model does not recover from.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from seq2seq.decoding.parts.teacher_forcing import ForcedTokens
from seq2seq.diagnosis.subject import Subject
from seq2seq.metrics import Metric, sentence_scores

PLACES = (0.25, 0.5, 0.75)
"""Where the token is replaced, as parts of the reference's length."""
NUM_FOLLOWING = 8
REPLACEMENTS = ("likely", "random")


@dataclass(frozen=True)
class BehindPrefix:
    """Mean sentence scores, 0 to 100, of what the model says behind a prefix, without the prefix."""

    right: float
    """Behind the reference's tokens up to the place."""
    wrong: float
    """Behind the same, with the last one replaced."""
    loss: float
    """How much worse the second is; above 0 also for metrics of which less is better."""


@dataclass(frozen=True)
class Damage:
    """Means over all references that have a token at the place."""

    replacement: str
    """`likely` or `random`."""
    place: float
    num_references: int
    following: list[float]
    """Rise of -log p of the reference's 1st to 8th token after the wrong one, nats, over those that have it."""
    num_following: list[int]
    """How many have it."""
    rest: float
    """Sum of the rises of all later tokens, a mean over references, nats."""
    total: float
    """Sum over all tokens after the wrong one, a mean over references, nats."""
    continuations: dict[str, BehindPrefix]
    """By metric, over references of which words are left to say."""


def damages(subject: Subject, gold: ForcedTokens, metrics: dict[str, Metric], seed: int) -> list[Damage]:
    """Return the damage of each replacement at each place; none where no reference has a token.

    Args:
        gold: of the subject's references.
        seed: of random tokens.
    """
    rows = numpy.nonzero(gold.lengths > 1)[0]  # others are empty
    if not len(rows):
        return []
    replaced = random_tokens(subject, seed)
    found = []
    for place in PLACES:
        positions = (place * (gold.lengths[rows] - 1)).astype(numpy.int64)
        where = gold.starts[rows] + positions
        right = _continued(subject, rows, positions, None)
        for name, tokens in zip(REPLACEMENTS, (gold.likeliest_others, replaced), strict=True):
            wrong = tokens[where]
            rises = _rises(subject, gold, rows, positions, wrong)
            texts = _continued(subject, rows, positions, wrong)
            scores = _continuations(subject, rows, positions, right, texts, metrics)
            found.append(_damage(name, place, rises, scores))
    return sorted(found, key=lambda damage: REPLACEMENTS.index(damage.replacement))


def random_tokens(subject: Subject, seed: int) -> numpy.ndarray:
    """Return for each token of the references another one of the vocabulary, each as likely, int64 [n]."""
    model = subject.model
    allowed = numpy.setdiff1d(numpy.arange(model.vocab_size), [model.pad_id, *subject.ends, model.decoder_start_id])
    tokens = numpy.concatenate([numpy.asarray(ids) for ids in subject.references])
    if len(allowed) < 2:
        raise ValueError("The target vocabulary has a single word, so that no token of it can be a wrong one.")
    places = numpy.searchsorted(allowed, tokens).clip(max=len(allowed) - 1)
    is_allowed = allowed[places] == tokens
    drawn = numpy.random.default_rng(seed).integers(0, len(allowed) - is_allowed)
    return allowed[drawn + (is_allowed & (drawn >= places))]


def _rises(
    subject: Subject, gold: ForcedTokens, rows: numpy.ndarray, positions: numpy.ndarray, wrong: numpy.ndarray
) -> list[numpy.ndarray]:
    """Return for each row the rise of -log p of each token after the replaced one."""
    references = [subject.references[row] for row in rows]
    shown = [[*ids[:p], int(token), *ids[p + 1 :]] for ids, p, token in zip(references, positions, wrong, strict=True)]
    damaged = subject.forced(rows.tolist(), references, shown)
    rises = []
    for i, (row, position) in enumerate(zip(rows, positions, strict=True)):
        before, after = gold.starts[row], damaged.starts[i]
        following = slice(position + 1, gold.lengths[row])
        right = gold.log_probs[before : before + gold.lengths[row]][following]
        rises.append(right - damaged.log_probs[after : after + gold.lengths[row]][following])
    return rises


def _continued(
    subject: Subject, rows: numpy.ndarray, positions: numpy.ndarray, wrong: numpy.ndarray | None
) -> list[str]:
    """Return the text that the model says behind the prefix up to the place, with its last token wrong if given."""
    prefixes = [subject.references[row][: position + 1] for row, position in zip(rows, positions, strict=True)]
    if wrong is not None:
        prefixes = [[*prefix[:-1], int(token)] for prefix, token in zip(prefixes, wrong, strict=True)]
    hypotheses = subject.greedy(rows.tolist(), prefixes)
    return [subject.text(h.tokens[len(prefix) :]) for h, prefix in zip(hypotheses, prefixes, strict=True)]


def _continuations(
    subject: Subject,
    rows: numpy.ndarray,
    positions: numpy.ndarray,
    right: Sequence[str],
    wrong: Sequence[str],
    metrics: dict[str, Metric],
) -> dict[str, BehindPrefix]:
    """Return the scores against the references' own continuations, where these are not empty."""
    wanted = [subject.text(subject.references[row][p + 1 :]) for row, p in zip(rows, positions, strict=True)]
    kept = [i for i, text in enumerate(wanted) if text.strip()]
    if not kept:
        return {}
    references = [[wanted[i]] for i in kept]

    def compared(metric: Metric) -> BehindPrefix:
        good, bad = (float(sentence_scores(metric, [t[i] for i in kept], references).mean()) for t in (right, wrong))
        return BehindPrefix(good, bad, good - bad if metric.higher_is_better else bad - good)

    return {name: compared(metric) for name, metric in metrics.items()}


def _damage(
    replacement: str, place: float, rises: Sequence[numpy.ndarray], continuations: dict[str, BehindPrefix]
) -> Damage:
    lengths = numpy.array([len(rise) for rise in rises])
    num_following = [int((lengths > k).sum()) for k in range(NUM_FOLLOWING)]
    sums = [sum(float(rise[k]) for rise in rises if len(rise) > k) for k in range(NUM_FOLLOWING)]
    return Damage(
        replacement=replacement,
        place=place,
        num_references=len(rises),
        following=[total / count for total, count in zip(sums, num_following, strict=True) if count],
        num_following=[count for count in num_following if count],
        rest=sum(float(rise[NUM_FOLLOWING:].sum()) for rise in rises) / len(rises),
        total=sum(float(rise.sum()) for rise in rises) / len(rises),
        continuations=continuations,
    )
