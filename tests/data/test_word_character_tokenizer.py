from pathlib import Path

import pytest

from seq2seq.data.tokenizer import TextTokenizer, TokenizerOptions

SOURCES = ["<V> abadi", "<N> abadi", "<V> laba rugi", "<N> laba", "<V> once"]
OPTIONS = {
    "kind": "word_and_characters",
    "target_kind": "characters",
    "shared": False,
    "vocab_size": 100,
    "special_tokens": ("<V>", "<N>"),
}


@pytest.fixture
def tokenizer() -> TextTokenizer:
    return TextTokenizer.train(SOURCES, ["abc"], **OPTIONS)


def test_words_stand_before_all_characters(tokenizer: TextTokenizer) -> None:
    ids = tokenizer.encode_sources(["<V> laba abadi"])[0]
    assert tokenizer.source_tokens(ids) == ["▁laba", "▁abadi", "<V>", " ", *"laba", " ", *"abadi", "<eos>"]


@pytest.mark.parametrize("word", ["once", "never"])
def test_a_word_seen_once_or_never_is_unknown_and_spelled(word: str, tokenizer: TextTokenizer) -> None:
    [ids] = tokenizer.encode_sources([f"<N> {word}"])
    assert tokenizer.source_tokens(ids)[:3] == ["<unk>", "<N>", " "]
    assert len(ids) == 1 + 2 + len(word) + 1


def test_a_word_of_one_character_is_not_that_character() -> None:
    tokenizer = TextTokenizer.train(["a", "a"], ["b"], **OPTIONS)
    [ids] = tokenizer.encode_sources(["a"])
    assert tokenizer.source_tokens(ids) == ["▁a", "a", "<eos>"]
    assert ids[0] != ids[1]


def test_the_most_frequent_words_are_kept_where_there_is_no_room_for_all() -> None:
    texts = ["aa bb"] * 3 + ["bb cc"] * 2
    characters = 4 + 2 + len("a b c".replace(" ", "")) + 1
    tokenizer = TextTokenizer.train(texts, ["b"], **OPTIONS | {"vocab_size": characters + 1})
    [ids] = tokenizer.encode_sources(["aa bb cc"])
    assert tokenizer.source_tokens(ids)[:3] == ["<unk>", "▁bb", "<unk>"]


def test_saving_and_loading(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    loaded = TextTokenizer.load(tmp_path)
    assert loaded.encode_sources(SOURCES) == tokenizer.encode_sources(SOURCES)
    assert loaded.fingerprint() == tokenizer.fingerprint()
    assert loaded.source_vocab_size == tokenizer.source_vocab_size


def test_lower_case_counts_for_words_too() -> None:
    tokenizer = TextTokenizer.train(["Laba", "laba"], ["b"], **OPTIONS | {"lowercase": True})
    [ids] = tokenizer.encode_sources(["LABA"])
    assert tokenizer.source_tokens(ids) == ["▁laba", *"laba", "<eos>"]


@pytest.mark.parametrize(
    ("text", "in_front", "behind"),
    [
        ("laba abadi", [0, 1], [0] * 4 + [-1] + [1] * 5 + [-1]),
        ("<V> laba never", [1, 2], [0, -1] + [1] * 4 + [-1] + [2] * 5 + [-1]),
        ("<V>laba", [0], [0] * 5 + [-1]),
        ("é laba xé", [0, 1, 2], [0, -1] + [1] * 4 + [-1, 2, 2, -1]),
        ("é", [0], [0, -1]),
        ("", [], [-1]),
    ],
)
def test_a_words_own_token_is_in_that_word(
    text: str, in_front: list[int], behind: list[int], tokenizer: TextTokenizer
) -> None:
    [ids] = tokenizer.encode_sources([text])
    assert tokenizer.source.words(ids).tolist() == in_front + behind


def test_words_of_a_source_that_was_cut(tokenizer: TextTokenizer) -> None:
    [ids] = tokenizer.encode_sources(["laba abadi laba"])
    cut = [*ids[:6], ids[-1]]
    assert tokenizer.source.words(cut).tolist() == [0, 1, 2, 0, 0, 0, -1]
    assert tokenizer.source.words([*ids[:2], ids[-1]]).tolist() == [0, 1, -1]


@pytest.mark.parametrize("options", [{"shared": True, "target_kind": None}, {"target_kind": None}])
def test_targets_are_refused(options: dict) -> None:
    with pytest.raises(ValueError, match="for sources alone"):
        TokenizerOptions(**OPTIONS | options)
