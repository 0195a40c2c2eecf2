"""What a reader should know of an output that was found as asked and may still be wrong.

Counts of tokens enter, alarms leave. The bounds are meant to be passed by nothing that is right: a model that says the
same over and over is far beyond them.
"""

from collections.abc import Sequence

from seq2seq.serving.requests import Alarm

MOST_TIMES_AS_LONG, SLACK = 3.0, 10
"""An output may have so many times the tokens of its source, and some more, so that short sources may be short."""
LEAST_SHARE, LONG_SOURCE = 0.2, 15
"""A translation of a source of so many tokens has at least this share of them."""
REPEATED_SHARE, REPEATED_SIZE, LEAST_NGRAMS = 0.4, 3, 8
"""An output of so many n-grams has fewer than this share of those that it has had before."""


def alarms_of(
    source: Sequence[int], target: Sequence[int], *, is_finished: bool, is_translation: bool, is_cut: bool
) -> tuple[Alarm, ...]:
    """Return what there is to say of an output, given by its tokens and those of its source.

    Args:
        is_translation: whether an output that is much shorter than its source has lost something.
        is_cut: whether a sentence had to be cut for it.
    """
    found = []
    if not is_finished:
        found.append(Alarm("length_limit", "The output ends where its longest length is, not where it is complete."))
    if is_cut:
        found.append(Alarm("cut_within_sentence", "A sentence was too long for the model and was cut into parts."))
    if len(target) > MOST_TIMES_AS_LONG * len(source) + SLACK:
        found.append(Alarm("length_ratio", f"The output has {len(target)} tokens, its source only {len(source)}."))
    elif is_translation and len(source) >= LONG_SOURCE and len(target) < LEAST_SHARE * len(source):
        found.append(Alarm("length_ratio", f"The output has only {len(target)} tokens, its source {len(source)}."))
    if _repeated(target) >= REPEATED_SHARE > _repeated(source):
        found.append(Alarm("repetition", "The output repeats itself; the model may have lost its way."))
    return tuple(found)


def _repeated(tokens: Sequence[int]) -> float:
    """Return the share of n-grams that a sequence has had before; 0 where it has few."""
    from seq2seq.metrics.repetition import count_repeats

    repeated, total = count_repeats(tokens, REPEATED_SIZE)
    return repeated / total if total >= LEAST_NGRAMS else 0.0
