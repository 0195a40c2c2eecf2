"""Tokenizers in a real Chromium: their ids, tokens and decoded texts are those in Python."""

import itertools
import random
from pathlib import Path
from typing import Any

import pytest

from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.export.onnx_page import Page, write_page
from tests.data.test_sentencepiece_tokenizer import train_model
from tests.export.sites import HTML, Site, packages
from tests.export.test_browser_pieces import hostile_texts

__all__ = ["packages"]

WORDS = [
    *(
        "the",
        "a",
        "ab",
        "12",
        "a7b",
        "of",
        "House",
        "house's",
        "Über",
        "naïve",
        "东京",
        "مرحبا",
        "👩\u200d👩\u200d👧",
        "e\u0301",
        "é",
    ),
    *(
        "ﬁ",
        "<pad>",
        "<eos>",
        "<de>",
        "<DE>",
        "[UNK]",
        "▁",
        "Ġ",
        "½",
        "\t",
        "\u00a0",
        "\u3000",
        "\u200b",
        "\x85",
        "\ufeff",
    ),
    *(".", ",", "!?", "--", "1234", "ΟΔΟΣ", "İ", "ẞ", "\x1c", "a\x0bb", "a\u2028b", "ab\ufeffab"),
]


def various_texts() -> list[str]:
    generator = random.Random(7)
    mixed = [" ".join(generator.choices(WORDS, k=generator.randint(1, 9))) for _ in range(150)]
    odd = [
        "",
        " ",
        "  a  b ",
        "a\u0301",
        "<pad>",
        "<bos><eos>",
        "<de> a",
        "a<de>b",
        "x <unk>y",
        "\ufeffa",
        "I'm here; you'll go",
        "12 a",
        " 12",
    ]
    return [*mixed, *odd]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        *itertools.product(
            ["byte_bpe", "bpe", "unigram", "characters", "words"],
            [{}, {"normalization": "nfkc", "lowercase": True}, {"special_tokens": ("<de>",)}],
        ),
        *itertools.product(["byte_bpe", "bpe", "unigram", "characters"], [{"split_digits": False}]),
        *itertools.product(
            ["sentencepiece", "sentencepiece_bpe"],
            [{}, {"normalization": "nfkc"}, {"special_tokens": ("<de>",), "split_digits": True}],
        ),
    ],
    ids=str,
)
def test_tokenizers_of_the_browser_are_ours(
    kind: str, options: dict[str, Any], packages: Path, browser: Any, tmp_path: Path
) -> None:
    texts = various_texts()
    ours = TextTokenizer.train(texts[:100] * 2, [], kind=kind, vocab_size=420, **options)
    check_tokenizer(ours, texts, packages, browser, tmp_path)


def test_tokenizers_of_t5_and_its_like_are_theirs(packages: Path, browser: Any, tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece", reason="sentencepiece is an optional package")
    texts = [*various_texts(), *hostile_texts(500)]
    special = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
    train_model(tmp_path / "spiece.model", various_texts()[:100] * 2, **special, vocab_size=200)
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "T5Tokenizer", "extra_ids": 10}')
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    check_tokenizer(TextTokenizer.from_pretrained(tmp_path), texts, packages, browser, tmp_path / "site")


def check_tokenizer(ours: TextTokenizer, texts: list[str], packages: Path, browser: Any, folder: Path) -> None:
    """Compare ids, tokens and decoded text."""
    ours.save(folder)
    write_page(folder, Page(HTML, packages))
    site, context = Site(folder), browser.new_context()
    page = context.new_page()
    page.goto(site.address)
    script = """async texts => {
        const {loadTexts} = await import("./texts.js"), tokenizer = await loadTexts("");
        const ids = texts.map((text) => tokenizer.encode(text));
        return ids.map((own) => [own, tokenizer.decode(own), tokenizer.tokens(own)]);
    }"""
    found = page.evaluate(script, texts)
    drawn = random.Random(3)
    any_ids = [[drawn.randrange(ours.source_vocab_size) for _ in range(drawn.randint(1, 9))] for _ in range(100)]
    script = """async all => {
        const {loadTexts} = await import("./texts.js"), tokenizer = await loadTexts("");
        return all.map((ids) => tokenizer.decode(ids));
    }"""
    decoded = page.evaluate(script, any_ids)
    context.close()
    site.stop()
    ids = [encoded[:-1] for encoded in ours.encode_sources(texts)]
    expected = [[one, ours.decode(one), ours.source_tokens(one)] for one in ids]
    wrong = [(text, own, other) for text, own, other in zip(texts, expected, found, strict=True) if own != other]
    assert wrong == []
    assert decoded == ours.decode_batch(any_ids)
