import numpy

from seq2seq.data.random_keys import random_key, random_keys


def test_keys_are_those_of_splitmix64() -> None:
    """The generator's published first outputs from state 0; adding the increment to the state gives the next one."""
    increment = 0x9E3779B97F4A7C15
    outputs = [random_key(0), random_key(increment), random_key(2 * increment)]
    assert outputs == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_keys_broadcast_and_depend_on_every_number() -> None:
    keys = random_keys(3, 5, numpy.arange(7))
    assert keys.tolist() == [random_key(3, 5, row) for row in range(7)]
    everything = [random_key(a, b, c) for a in range(11) for b in range(11) for c in range(11)]
    assert len(set(everything)) == 11**3
    assert random_key(-1) == random_key(2**64 - 1)


def test_bits_are_balanced() -> None:
    bits = (random_keys(1, 1, numpy.arange(4096))[:, None] >> numpy.arange(64, dtype=numpy.uint64)) & numpy.uint64(1)
    assert abs(bits.mean(axis=0) - 0.5).max() < 0.04
