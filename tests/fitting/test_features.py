import pytest

from seq2seq.fitting.features import features_of


def test_numbers_of_three_pairs_by_hand() -> None:
    features = features_of(["<de> ab c", "<en> d", "<de> ab 12"], ["x y z", "x", "y yy"], ["<de>", "<en>"], 1)
    assert (features.pairs, features.tags) == (3, 2)
    assert (features.source_words, features.target_words) == (2, 2)
    assert (features.source_characters, features.target_characters) == (4, 4)
    assert features.source_word_types == 4  # ab c d 12
    assert features.target_word_types == 4  # x y z yy
    assert features.target_word_repetition == 6 / 4
    assert features.target_word_characters == 7 / 6
    assert features.digits == 2 / 10
    assert features.source_alphabet == len(set("ab cd12"))


def test_similarity_is_of_the_texts_behind_the_tags() -> None:
    assert features_of(["<a> word"] * 3, ["word"] * 3, ["<a>"], 1).similarity == 1.0
    assert features_of(["abcd"] * 3, ["wxyz"] * 3, [], 1).similarity == 0.0


def test_words_that_others_lack() -> None:
    sources = [f"common w{number}" for number in range(1000)]
    assert features_of(sources, sources, [], 1).new_source_words == 0.5


def test_a_single_pair_and_none() -> None:
    assert features_of(["a"], ["b"], [], 1).pairs == 1
    with pytest.raises(ValueError, match="no pairs"):
        features_of([], [], [], 1)


def test_the_same_seed_draws_the_same_pairs() -> None:
    sources = [f"a{number % 977}" for number in range(20000)]
    assert features_of(sources, sources, [], 1) == features_of(sources, sources, [], 1)


def test_only_tags_in_front_are_taken_off() -> None:
    tagged = features_of(["<de> >>x<< ab <de>"] * 3, ["ab"] * 3, ["<de>", ">>x<<"], 1)
    assert tagged.source_characters == len("ab <de>")
    assert features_of(["<b> ab"] * 3, ["ab"] * 3, [], 1).source_characters == len("<b> ab")
