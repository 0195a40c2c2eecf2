"""What is measured, by what the pairs are."""

import pytest

from seq2seq.metrics import METRICS
from seq2seq.reporting.task import EXPLANATIONS, Kind, bleu_tokenizer, task_of

LONG = (
    "the results of a study of how much rain falls in the valley each year since it was first measured there by hand "
)


@pytest.mark.parametrize(
    ("kind", "metrics", "source", "target"),
    [
        ("sentences", ("bleu", "chrf"), "A man sleeps in a room.", "Ein Mann schläft in einem Zimmer."),
        ("words", ("exact_match", "character_error_rate"), "abad", "mengabad"),
        ("corrections", ("exact_match", "character_error_rate"), "Ths is a house.", "This is a house."),
        ("corrections", ("character_error_rate", "exact_match"), "Ths is. " + LONG * 2, "This is. " + LONG * 2),
        ("summaries", ("rougeL", "rouge1", "chrf"), LONG * 3, "Rain in the valley over many years of hand measures"),
        (
            "summaries",
            ("rougeL", "rouge1", "chrf"),
            "基于药代动力学参数优化方法提出了迭代分组算法" * 3,
            "药代动力学参数优化",
        ),
    ],
)
def test_kinds(kind: Kind, metrics: tuple[str, ...], source: str, target: str) -> None:
    found = task_of([source] * 5, [[target]] * 5)
    assert (found.kind, found.metrics) == (kind, metrics)


def test_fixed_signs_need_to_be_seen_often() -> None:
    sources, phones, commands = ["tandis"] * 40, [["t ɑ̃ d i"]] * 40, [["I_TURN_LEFT I_JUMP I_WALK"]] * 40
    assert task_of(sources, phones).metrics == ("exact_match", "phone_error_rate")
    assert task_of(sources, commands).metrics == ("exact_match", "word_error_rate")
    assert task_of(sources[:3], commands[:3]).kind != "signs"
    assert task_of(sources[:3], commands[:3], [text for [text] in commands]).kind == "signs"


def test_the_tokenizer_of_bleu_goes_by_the_script() -> None:
    assert bleu_tokenizer(["Ein Haus."]) == "13a"
    assert bleu_tokenizer(["一个人在睡觉。"]) == "zh"
    assert bleu_tokenizer(["男の人が眠っている。"]) == "char"
    assert bleu_tokenizer(["1 2 3"]) == "13a"


def test_every_metric_is_explained() -> None:
    assert METRICS.keys() <= EXPLANATIONS.keys()
