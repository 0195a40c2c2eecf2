from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from accelerate import Accelerator

from seq2seq.assembly.checks import check_config
from seq2seq.assembly.decoder_inputs import build_decoder_inputs
from seq2seq.assembly.gradient_rule import build_gradient_rule
from seq2seq.assembly.configuration import load_run_config
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.experimental.word_oracle import WordOracle
from seq2seq.gradients.adversarial import AdversarialTraining, GradientPenalty
from seq2seq.gradients.base import Backprop
from seq2seq.objectives.decoder_inputs import TeacherForcing
from seq2seq.objectives.first_pass import Mixing
from seq2seq.objectives.gold_schedules import GoldSchedule
from seq2seq.objectives.random_replacement import RandomReplacement
from seq2seq.objectives.scheduled_sampling import ConfidenceSampling, ScheduledSampling
from tests.models.tiny import tiny_model
from tests.tiny_run import write_copy_task

SIDE = SimpleNamespace(pad_id=0, bos_id=1, eos_id=2)


def tokenizer(shared: bool = True, **source: int) -> TextTokenizer:
    sides = {"target": SIDE, "source": SimpleNamespace(**(vars(SIDE) | source)), "shared": shared}
    return cast(TextTokenizer, SimpleNamespace(decoder_start_id=1, target_vocab_size=31, **sides))


def config_of(folder: Path, *options: str) -> Any:
    return load_run_config([write_copy_task(folder), *options])


def test_by_default_the_reference_is_scored_as_it_is(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    assert build_decoder_inputs(config, tokenizer()) == TeacherForcing()
    assert build_gradient_rule(config, tokenizer(), Accelerator(cpu=True)) == Backprop()


def test_options_reach_the_decoder_inputs(tmp_path: Path) -> None:
    def built(kind: str, *options: str) -> Any:
        section = [f"--decoder_inputs.{option}" for option in options]
        return build_decoder_inputs(config_of(tmp_path, f"--decoder_inputs.kind={kind}", *section), tokenizer())

    scale = tiny_model(d_model=32, num_heads=2).decoder.embeddings.scale
    assert built("random_replacement", "pool=source", "token_probability=0.1") == RandomReplacement(
        (0, 1, 2), 31, token_probability=0.1, pool="source"
    )
    assert built("scheduled_sampling", "mixing=soft", "gold_by=position", "decay_positions=7") == ScheduledSampling(
        (0, 1, 2), scale, 1, GoldSchedule("position", decay_positions=7.0), Mixing("soft")
    )
    assert built("confidence_sampling", "gold_confidence=0.3", "mixing_top_k=3") == ConfidenceSampling(
        (0, 1, 2), scale, gold_confidence=0.3, mixture=Mixing(mixing_top_k=3)
    )
    assert built("word_oracle", "oracle_noise=0.5", "gold_steps=9") == WordOracle(
        (0, 1, 2), gold=GoldSchedule(gold_steps=9), oracle_noise=0.5
    )


def test_what_the_model_and_the_tokenizer_decide(tmp_path: Path) -> None:
    kind = "--decoder_inputs.kind=scheduled_sampling"
    interleaved = config_of(tmp_path, kind, "--model.generation_order=interleaved")
    of_pairs: Any = build_decoder_inputs(interleaved, tokenizer())
    assert of_pairs.num_starts == 2
    of_both: Any = build_decoder_inputs(interleaved, tokenizer(eos_id=7))
    assert of_both.special_ids == (0, 1, 2, 7), "one vocabulary, whose sides frame a text differently"
    of_target: Any = build_decoder_inputs(interleaved, tokenizer(shared=False, eos_id=7))
    assert of_target.special_ids == (0, 1, 2)


def test_options_reach_the_gradient_rule(tmp_path: Path) -> None:
    def built(*options: str) -> Any:
        return build_gradient_rule(config_of(tmp_path, *options), tokenizer(), Accelerator(cpu=True))

    adversarial = built(
        "--gradient.kind=adversarial_training", "--gradient.norm_over=row", "--gradient.perturbation_size=0.1"
    )
    assert adversarial == AdversarialTraining("both", 0.1, "row")
    penalty = built("--gradient.kind=gradient_penalty", "--gradient.where=target", "--training.precision=bf16")
    assert penalty == GradientPenalty("target", 1.0, "bf16")


@pytest.mark.parametrize("pool", ["source", "both"])
def test_source_tokens_need_one_vocabulary(pool: str, tmp_path: Path) -> None:
    config = config_of(tmp_path, "--decoder_inputs.kind=random_replacement", f"--decoder_inputs.pool={pool}")
    build_decoder_inputs(config, tokenizer())
    with pytest.raises(ValueError, match=f"`decoder_inputs.pool: {pool}` puts source tokens into the target"):
        build_decoder_inputs(config, tokenizer(shared=False))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["decoder_inputs.kind=scheduled_sampling", "decoder_inputs.mixing=soft"], "`decoder_inputs.mixing: soft`"),
        (["decoder_inputs.kind=confidence_sampling", "decoder_inputs.mixing=top_k"], "`decoder_inputs.mixing: top_k`"),
        (["decoder_inputs.kind=random_replacement", "decoder_inputs.token_probability=2"], "`token_probability`"),
        (["decoder_inputs.kind=word_oracle", "decoder_inputs.gold_floor=2"], "`gold_floor`"),
        (["gradient.kind=gradient_penalty", "gradient.penalty_weight=-1"], "`penalty_weight`"),
    ],
)
def test_what_does_not_fit_is_found_before_any_work(options: list[str], message: str, tmp_path: Path) -> None:
    untied = ["--model.tie_embeddings=none"]
    check_config(config_of(tmp_path, *untied))
    with pytest.raises(ValueError, match=message):
        check_config(config_of(tmp_path, *untied, *(f"--{option}" for option in options)))
