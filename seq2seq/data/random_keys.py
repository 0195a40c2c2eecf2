"""Random numbers that are a function of what they are for.

Whole numbers enter (a seed, an epoch, a row), 64 random bits leave. Nothing is drawn from a stream, so a key depends on
no batch, process, order or restart, and the arithmetic is spelled out here, so it depends on no library version.
"""

import numpy

_GAMMA = numpy.uint64(0x9E3779B97F4A7C15)


def random_keys(*numbers: int | numpy.ndarray) -> numpy.ndarray:
    """Return uint64 keys, one for each combination of the broadcast numbers (SplitMix64; Steele et al. 2014)."""
    keys = numpy.zeros(1, dtype=numpy.uint64)
    for number in numbers:
        bits = number.astype(numpy.uint64) if isinstance(number, numpy.ndarray) else numpy.uint64(number % 2**64)
        keys = _scramble(keys + _GAMMA + bits)
    return keys


def random_key(*numbers: int) -> int:
    """Return the one key of these numbers."""
    return int(random_keys(*numbers)[0])


def keys_of_copies(seed: int, epoch: int, numbers: numpy.ndarray, copies: numpy.ndarray) -> numpy.ndarray:
    """Return random keys of numbers in an epoch; the further copies of one have keys of their own."""
    keys = random_keys(seed, epoch, numbers)
    again = copies > 0
    keys[again] = random_keys(seed, epoch, numbers[again], copies[again])
    return keys


def _scramble(bits: numpy.ndarray) -> numpy.ndarray:
    bits = (bits ^ (bits >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> numpy.uint64(31))
