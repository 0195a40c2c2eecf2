import math
from collections import Counter
from itertools import product
from random import Random

import pytest

from seq2seq.data.subword_sampling import UNKNOWN_PENALTY, BpeDropout, UnigramSampling
from seq2seq.data.tokenizer import TextTokenizer
from tests.data.test_tokenizer import BY_THE_LIBRARY, ENGLISH, GERMAN, ODD_TEXTS, OF_THE_LIBRARY
from tests.extras import needs
from tests.shared_data import shared_data

CERTAIN = {"byte_bpe": 0.0, "bpe": 0.0, "unigram": 1e6, "sentencepiece": 1e6, "sentencepiece_bpe": 0.0}
RATES = {kind: 0.2 if certain else 0.3 for kind, certain in CERTAIN.items()}
every_kind = pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=needs("sentencepiece") if kind in BY_THE_LIBRARY else ()) for kind in CERTAIN]
)


def trained(kind: str, texts: list[str], **options: object) -> TextTokenizer:
    return TextTokenizer.train(texts, [], **{"kind": kind, "vocab_size": 600, **options})  # type: ignore[arg-type]


@every_kind
@pytest.mark.parametrize("language", ["en", "de"])
def test_sampling_without_chance_is_the_ordinary_encoding(kind: str, language: str) -> None:
    texts = shared_data(f"multi30k/raw/val.{language}").read_text(encoding="utf-8").split("\n")[:600] + ODD_TEXTS
    spelling = {"normalization": "nfkc"} if kind in OF_THE_LIBRARY else {"lowercase": True, "normalization": "nfc"}
    side = trained(kind, texts[:300], special_tokens=["<de>"], **spelling).source
    sampler = side.sampler(CERTAIN[kind])
    texts += ["<de> A dog", "a<de>dog", " <de>  a <eos>", "<de><de>", "Zwei  Hunde<de>"]
    assert [sampler(text, 1) for text in texts] == side.encode(texts)


@every_kind
def test_sampling_depends_on_text_and_seed_alone(kind: str) -> None:
    tokenizer = trained(
        kind, ENGLISH + GERMAN, sampling=RATES[kind], vocab_size=80 if kind in ("bpe", "unigram") else 350
    )
    texts, seeds = ENGLISH[:3] * 2, [1, 2, 3, 4, 5, 6]
    together = tokenizer.encode_sources(texts, seeds)
    alone = [tokenizer.encode_sources([text], [seed])[0] for text, seed in zip(texts, seeds, strict=True)]
    backwards = tokenizer.encode_sources(texts[::-1], seeds[::-1])[::-1]
    assert together == alone == backwards
    assert together[:3] != together[3:], "another seed, another segmentation"
    assert tokenizer.decode_batch(together) == texts
    assert tokenizer.encode_sources(texts) == tokenizer.source.encode(texts), "no seeds, no sampling"
    with pytest.raises(ValueError, match="shorter"):
        tokenizer.encode_sources(texts, seeds[:-1])


@pytest.mark.parametrize("text", ODD_TEXTS)
@pytest.mark.parametrize("rate", [0.1, 0.5, 1.0])
def test_sampled_bytes_spell_any_text(text: str, rate: float) -> None:
    tokenizer = trained("byte_bpe", ENGLISH + ODD_TEXTS, sampling=rate)
    for seed in range(5):
        assert tokenizer.decode(tokenizer.encode_targets([text], [seed])[0]) == text


def test_bpe_with_all_merges_dropped_is_characters() -> None:
    tokenizer = trained("bpe", ENGLISH, sampling=1.0)
    ids = tokenizer.encode_sources(["the cat"], [1])[0]
    assert tokenizer.source_tokens(ids) == [*"▁the▁cat", "<eos>"]


def test_bpe_dropout_frequencies() -> None:
    """With merges ab < bc, `abc` goes to ab|c unless ab is dropped, and then to a|bc unless bc is dropped too."""
    ranks = {("a", "b"): 0.0, ("b", "c"): 1.0}
    segment = BpeDropout(lambda left, right: ranks.get((left, right), math.inf), 0.25)
    num_draws = 20_000
    random = Random(1)
    counts = Counter(tuple(segment("abc", random)) for _ in range(num_draws))
    expected = {("ab", "c"): 0.75, ("a", "bc"): 0.25 * 0.75, ("a", "b", "c"): 0.25**2}
    assert counts.keys() == expected.keys()
    for pieces, probability in expected.items():
        assert counts[pieces] / num_draws == pytest.approx(probability, abs=0.012)


def segmentations(word: str) -> list[tuple[str, ...]]:
    """All ways to cut a word."""
    cuts = product([False, True], repeat=len(word) - 1)
    ways = []
    for cut in cuts:
        pieces = [word[0]]
        for character, is_cut in zip(word[1:], cut, strict=True):
            pieces = [*pieces, character] if is_cut else [*pieces[:-1], pieces[-1] + character]
        ways.append(tuple(pieces))
    return ways


@pytest.mark.parametrize("alpha", [0.3, 1.0, 4.0])
def test_unigram_frequencies_are_powers_of_probabilities(alpha: float) -> None:
    scores = {"a": -2.0, "b": -2.5, "ab": -3.1, "ba": -2.9, "aba": -4.5, "bab": -7.0}
    word = "abab?a"
    weights = {}
    for pieces in segmentations(word):
        if all(piece in scores or piece == "?" for piece in pieces):
            total = sum(scores.get(piece, min(scores.values()) - UNKNOWN_PENALTY) for piece in pieces)
            weights[pieces] = math.exp(alpha * total)
    random = Random(2)
    segment = UnigramSampling(scores, alpha)
    num_draws = 20_000
    counts = Counter(tuple(segment(word, random)) for _ in range(num_draws))
    for pieces, weight in weights.items():
        assert counts[pieces] / num_draws == pytest.approx(weight / sum(weights.values()), abs=0.012)
    assert counts.keys() <= weights.keys()


@pytest.mark.parametrize(
    ("kind", "rate", "message"),
    [("bpe", 1.5, "from 0 to 1"), ("byte_bpe", 1.1, "from 0 to 1"), ("unigram", -1.0, "0 or more")],
)
def test_impossible_rates(kind: str, rate: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trained(kind, ENGLISH, sampling=rate, vocab_size=80)
