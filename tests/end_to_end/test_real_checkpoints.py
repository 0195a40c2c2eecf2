"""Eight checkpoints that people use, from the Hub: that each loads whole, and says what it should of one sentence.

    pytest -m network tests/end_to_end/test_real_checkpoints.py

They are several gigabytes. Where there is no way to the Hub they are skipped. What is expected is loose enough for
another beam to word it otherwise, and strict enough for a wrong position or scale to fail.
"""

import urllib.error
import urllib.request
from typing import Any, NamedTuple

import pytest
import torch

import seq2seq
from seq2seq.models.transformer import Seq2SeqTransformer

LONG = (
    "The tower is 324 metres tall, about the same height as an 81-storey building, and the tallest structure in Paris. "
    "Its base is square, measuring 125 metres on each side. It was the first structure to reach a height of 300 metres."
)


class Case(NamedTuple):
    """A checkpoint, what it is asked, and words of which the answer must have one."""

    name: str
    text: str
    words: tuple[str, ...]
    options: dict[str, Any]


CASES = [
    Case("Helsinki-NLP/opus-mt-en-de", "My name is Wolfgang.", ("Mein Name ist Wolfgang", "heiße Wolfgang"), {}),
    Case(
        "facebook/nllb-200-distilled-600M",
        "My name is Wolfgang.",
        ("Mein Name ist Wolfgang", "heiße Wolfgang"),
        {"source_language": "eng_Latn", "target_language": "deu_Latn"},
    ),
    Case(
        "facebook/m2m100_418M",
        "Das ist ein Haus.",
        ("This is a house", "It is a house", "That is a house", "That’s a house", "That's a house"),
        {"source_language": "de", "target_language": "en"},
    ),
    Case(
        "facebook/mbart-large-50-many-to-many-mmt",
        "Das ist ein Haus.",
        ("This is a house", "It is a house", "It's a house", "That is a house", "That's a house"),
        {"source_language": "de_DE", "target_language": "en_XX"},
    ),
    Case("facebook/bart-large-cnn", LONG, ("324 metres", "Paris"), {}),
    Case("google/pegasus-xsum", LONG, ("Eiffel", "Paris", "tower", "tallest"), {}),
    Case("google-t5/t5-small", "translate English to German: The house is wonderful.", ("Das Haus ist",), {}),
    Case("google/flan-t5-small", "translate English to German: How old are you?", ("Wie", "alt"), {}),
]


@pytest.fixture(scope="module", autouse=True)
def hub() -> None:
    """Skip where the Hub cannot be reached."""
    try:
        urllib.request.urlopen("https://huggingface.co", timeout=5).close()
    except (urllib.error.URLError, OSError) as error:
        pytest.skip(f"there is no way to the Hub: {error}")


@pytest.mark.network
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_checkpoint_says_what_it_should(case: Case) -> None:
    generator = seq2seq.load(case.name, device="cpu", precision="fp32", **case.options)
    [best] = generator(case.text)
    assert best.error is None
    assert any(word in best.text for word in case.words), best.text
    trained = seq2seq.load(case.name, device="cpu", precision="fp32", trainable=True, **case.options)
    assert isinstance(trained.model, Seq2SeqTransformer)
    [again] = trained(case.text)
    assert again.text == best.text
    assert best.score == pytest.approx(again.score, abs=1e-2)
    assert all(torch.isfinite(weight).all() for weight in trained.model.parameters())
