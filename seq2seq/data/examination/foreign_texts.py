"""Texts of a side that are in another language or script than the others.

Pairs enter; findings leave. Scripts are counted by characters. Of languages in one script two clusters of texts are
looked for, by their sequences of three characters, beginning with the texts that are least like all; two languages are
apart by more than one nat a sequence, two subjects in one language by a quarter. Words that are everywhere in a
language say which it is.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache

import numpy

from seq2seq.data.examination.findings import Finding, part_of, shown
from seq2seq.data.examination.raw_pairs import SIDES, RawPairs, pair_list
from seq2seq.data.examination.trigrams import log_odds, trigram_counts

_MOST_ROWS = 4_000
_FEWEST_ROWS = 100
_FEWEST_SEQUENCES = 25
"""Sequences of half of the texts, without which a text is too short to tell its language."""
_FEWEST_WORDS = 300
"""Different words of all texts, fewer of which make patterns, and no language."""
_BEGINNINGS = (0.005, 0.02, 0.1, 0.3)
"""Shares of the texts that are taken for the other cluster in the beginning."""
_TURNS = 12
_LONGEST = 200
"""Characters whose script is looked at."""
_LETTERS_ASIDE = 0.2
"""Share of the letters of a foreign text that may be in the usual script."""
_APART = 0.75
"""Nats a sequence by which each cluster must speak for itself: captions, abstracts and titles in one language have 0.1
to 0.3, English, French and German among each other 1.0 to 1.5."""
_UNDECIDED, _MOST_UNDECIDED = 0.1, 0.02
_SMALLEST = 0.003
_FEWEST_FOREIGN = 5
_NOTABLE = 0.01
_NAMED = 0.1
"""Share of the words that must be the small words of a language for it to be named, and more than those of others."""
_SMALL_WORDS = {
    "English": "the of and to in is was with for that on at",
    "German": "der die das und ist ein eine mit auf den im zu",
    "French": "le la les des et est une dans un du sur avec",
    "Spanish": "el la los las y que en una un por con del",
    "Italian": "il di che e la una un è per del con sono",
    "Portuguese": "o a os de que e um uma não com em do",
    "Dutch": "de het een en van op is met in dat zijn voor",
    "Swedish": "och en ett är på som av med det att i för",
    "Danish": "og en et er på af med det til at i for",
    "Polish": "i w na z się nie jest do to o po jak",
    "Czech": "a v na se je s že do to z k o",
    "Finnish": "ja on ei se että hän oli en myös kun",
    "Hungarian": "a az és egy hogy nem is van meg volt",
    "Turkish": "ve bir bu da için ile de ne çok olan",
    "Romanian": "și de în la cu este un o pe care din",
    "Indonesian": "dan yang di dengan untuk ini itu pada dari adalah",
    "Vietnamese": "và của là một có không trong cho được người",
    "Russian": "и в не на что с он как это по",
    "Ukrainian": "і в не на що з та як це до",
    "Greek": "και το η της του να με είναι για την",
}
_UNNAMED = "their sequences of letters are others"
_EAST_ASIAN, _LETTERS_A_SIGN = "East Asian", 3
_OF_EAST_ASIA = {"CJK", "HIRAGANA", "KATAKANA", "IDEOGRAPHIC", "KANGXI", "BOPOMOFO"}


def foreign_texts(pairs: RawPairs) -> Iterator[Finding]:
    """Yield which texts of a side are of another script, or of another language, than most."""
    rows = pairs.spread(_MOST_ROWS)
    if len(rows) < _FEWEST_ROWS:
        return
    for side in SIDES:
        texts = pairs.sample(side, rows)
        if (found := _other_script(texts)) is not None:
            is_foreign, described = found
        elif (clusters := _other_language(texts)) is not None:
            is_foreign, described = clusters, _described(texts, clusters)
        else:
            continue
        is_sure = described != _UNNAMED
        count = int(is_foreign.sum())
        of = f"{part_of(count, len(rows))} {pairs.name} {side}s"
        yield Finding(
            f"foreign_{side}s",
            f"{of}{'' if len(rows) == pairs.num_texts else ' that were looked at'} are in another language than the "
            f"others, or of another kind ({pair_list(rows[is_foreign])}): {described}. Take them out, or put a tag in "
            "front of each source that says what is wanted.",
            round(count / len(rows) * pairs.num_texts),
            shown([texts[place] for place in numpy.flatnonzero(is_foreign)[:2]]),
            is_warning=is_sure and count >= _NOTABLE * len(rows),
        )


def _other_script(texts: Sequence[str]) -> tuple[numpy.ndarray, str] | None:
    """Return which texts have hardly a letter of the script that most texts are in, and the names of both."""
    letters = [_letters(text) for text in texts]
    main = Counter(found.most_common(1)[0][0] for found in letters if found)
    if not main:
        return None
    [(usual, most)] = main.most_common(1)
    is_foreign = numpy.array([bool(found) and found[usual] <= _LETTERS_ASIDE * found.total() for found in letters])
    if most < 0.5 * len(texts) or is_foreign.sum() < max(_FEWEST_FOREIGN, _SMALLEST * len(texts)):
        return None
    others = Counter(
        found.most_common(1)[0][0] for found, wanted in zip(letters, is_foreign.tolist(), strict=True) if wanted
    )
    names = " and ".join(name for name, _ in others.most_common(2))
    return is_foreign, f"they are written in {names} letters, the others in {usual}"


def _letters(text: str) -> Counter[str]:
    """Return how many letters of each script a text begins with; one of East Asia stands for several."""
    found = Counter(filter(None, map(_script_of, text[:_LONGEST])))
    found[_EAST_ASIAN] *= _LETTERS_A_SIGN
    return +found


@cache
def _script_of(character: str) -> str:
    """Return the script of a letter, the first word of its name; those of Chinese and Japanese count as one."""
    if not character.isalpha():
        return ""
    word = unicodedata.name(character, "").partition(" ")[0]
    if word in ("MODIFIER", "FULLWIDTH", "FEMININE", "MASCULINE", "SUPERSCRIPT", "COMBINING"):
        return ""
    return _EAST_ASIAN if word in _OF_EAST_ASIA else word.capitalize()


def _other_language(texts: Sequence[str]) -> numpy.ndarray | None:
    """Return which texts are of a cluster that is as far from the others as a language is from another."""
    counts = trigram_counts(texts, with_shape=False)
    lengths = numpy.maximum(1.0, counts.sum(axis=1))
    is_small = len({word for text in texts for word in text.split()}) < _FEWEST_WORDS
    if is_small or numpy.median(lengths) < _FEWEST_SEQUENCES:
        return None
    total = counts.sum(axis=0) + 0.5
    usual = counts @ numpy.log(total / total.sum()).astype(numpy.float32) / lengths
    is_long = lengths >= _FEWEST_SEQUENCES / 2
    counts, lengths, usual = counts[is_long], lengths[is_long], usual[is_long]
    order = numpy.argsort(usual, kind="stable")
    for share in _BEGINNINGS:
        begun = numpy.zeros(len(order), dtype=bool)
        begun[order[: max(_FEWEST_FOREIGN, int(share * len(texts)))]] = True
        found = _clustered(counts, lengths, begun)
        if found is not None:
            is_foreign = numpy.zeros(len(texts), dtype=bool)
            is_foreign[numpy.flatnonzero(is_long)[found]] = True
            return is_foreign
    return None


def _clustered(counts: numpy.ndarray, lengths: numpy.ndarray, chosen: numpy.ndarray) -> numpy.ndarray | None:
    """Return the smaller of two clusters if they are far apart; each text is judged by what others have."""
    number = len(counts)
    fold = numpy.arange(number) % 2
    scores = numpy.zeros(number, dtype=numpy.float32)
    for turn in range(_TURNS):
        for own in (0, 1):
            others = fold != own
            weights = log_odds(counts[others & chosen].sum(axis=0), counts[others & ~chosen].sum(axis=0))
            scores[~others] = counts[~others] @ weights / lengths[~others]
        before, chosen = chosen, scores > 0
        if chosen.sum() < _FEWEST_FOREIGN or (~chosen).sum() < _FEWEST_FOREIGN:
            return None
        if (before == chosen).all():
            break
        if turn >= _TURNS // 4 and numpy.abs(scores).mean() < _APART / 2:
            return None  # two subjects of one language, which more turns part no further
    if chosen.sum() > number / 2:
        chosen, scores = ~chosen, -scores
    is_far = scores[chosen].mean() >= _APART and -scores[~chosen].mean() >= _APART
    is_decided = (numpy.abs(scores) < _UNDECIDED).mean() <= _MOST_UNDECIDED
    return chosen if is_far and is_decided and chosen.sum() >= _SMALLEST * number else None


def _described(texts: Sequence[str], is_foreign: numpy.ndarray) -> str:
    """Return of which languages the texts are, as far as their small words say."""
    names = []
    for wanted in (True, False):
        chosen = [text for text, found in zip(texts, is_foreign.tolist(), strict=True) if found is wanted]
        names.append(_language(chosen))
    if all(names) and names[0] != names[1]:
        return f"they look {names[0]}, the others {names[1]}"
    return _UNNAMED


def _language(texts: Sequence[str]) -> str | None:
    words = [word.strip(".,;:!?\"'()").lower() for text in texts[:500] for word in text.split()]
    counts = Counter(words)
    shares = {
        name: sum(counts[word] for word in small.split()) / max(1, len(words)) for name, small in _SMALL_WORDS.items()
    }
    (first, most), (_, second) = sorted(shares.items(), key=lambda item: -item[1])[:2]
    return first if most >= _NAMED and most > 1.2 * second else None
