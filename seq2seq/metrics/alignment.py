"""Which units of a reference a hypothesis says, wherever it says them: an alignment by edit distance.

Comparing position with position calls everything wrong after one word too many. An alignment by the fewest edits
does not: what follows the word is matched again.
"""

from collections.abc import Sequence

import numpy


def matched_units(hypothesis: Sequence[int], reference: Sequence[int]) -> numpy.ndarray:
    """Return which units of the reference are matched, bool [len(reference)].

    The alignment has the fewest insertions, deletions and substitutions (Levenshtein) and, among these, the most
    matches. Where several have, equal and replaced units stand as late as possible. Takes time and
    memory of the product of both lengths.
    """
    said, wanted = numpy.asarray(hypothesis, dtype=numpy.int64), numpy.asarray(reference, dtype=numpy.int64)
    edit = min(len(said), len(wanted)) + 1  # dearer than all matches together are worth
    rises = edit * numpy.arange(len(wanted) + 1)
    costs = numpy.empty((len(said) + 1, len(wanted) + 1), dtype=numpy.int64)
    costs[0] = rises
    for row, unit in enumerate(said, start=1):
        before = costs[row - 1]
        costs[row] = before + edit
        numpy.minimum(costs[row, 1:], before[:-1] + numpy.where(wanted == unit, -1, edit), out=costs[row, 1:])
        costs[row] = (
            numpy.minimum.accumulate(costs[row] - rises) + rises
        )  # the units of the reference that are left out
    matched = numpy.zeros(len(wanted), dtype=bool)
    row, column = len(said), len(wanted)
    while row and column:
        is_equal = said[row - 1] == wanted[column - 1]
        if costs[row, column] == costs[row - 1, column - 1] + (-1 if is_equal else edit):
            row, column = row - 1, column - 1
            matched[column] = is_equal
        elif costs[row, column] == costs[row - 1, column] + edit:
            row -= 1
        else:
            column -= 1
    return matched
