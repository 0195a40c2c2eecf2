"""The three axes of training, completed: what tokenizer, model and processes add to a component's options."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from accelerate import Accelerator

from seq2seq.apps.command import main
from seq2seq.assembly.configuration import RunConfig, load_run_config
from seq2seq.assembly.ways_of_training import (
    build_cost,
    build_decoder_inputs,
    build_gradient_rule,
    build_objective,
    target_side,
)
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.experimental import OBJECTIVES as EXPERIMENTAL_OBJECTIVES
from seq2seq.experimental.gradient_penalty import GradientPenalty
from seq2seq.experimental.word_oracle import WordOracle
from seq2seq.gradients.adversarial import AdversarialTraining
from seq2seq.gradients.base import Backprop
from seq2seq.gradients.greedy_cost import GreedyCost
from seq2seq.gradients.parameter_search import ParameterSearch
from seq2seq.metrics.cost import make_cost
from seq2seq.metrics.transport import word_rotators_distance
from seq2seq.models.transformer.inference import load_weights
from seq2seq.objectives import OBJECTIVES
from seq2seq.objectives.base import TargetSide
from seq2seq.objectives.candidates import BeamCandidates, DiverseCandidates, SampledCandidates
from seq2seq.objectives.cross_entropy import CrossEntropy
from seq2seq.objectives.decoder_inputs import TeacherForcing, WithDecoderInputs
from seq2seq.objectives.first_pass import Mixing
from seq2seq.objectives.gold_schedules import GoldSchedule
from seq2seq.objectives.minimum_risk import MinimumRisk
from seq2seq.objectives.raml import RAML
from seq2seq.objectives.random_replacement import RandomReplacement
from seq2seq.objectives.ranking import Ranking
from seq2seq.objectives.scheduled_sampling import ConfidenceSampling, ScheduledSampling
from seq2seq.objectives.sequences import CostObjective, SequenceObjective
from seq2seq.objectives.token_reweighting import Gold, ModelScorer
from seq2seq.training.tracking import read_log
from tests.fakes import CharTokenizer
from tests.models.tiny import tiny_model
from tests.tiny_run import write_copy_task

WRD = "word_rotators_distance"
SIDE = SimpleNamespace(pad_id=0, bos_id=1, eos_id=2)


def tokenizer(shared: bool = True, **source: int) -> TextTokenizer:
    """Return what stands for a tokenizer of 31 tokens, with other special ones on its source side."""
    sides = {"target": SIDE, "source": SimpleNamespace(**(vars(SIDE) | source)), "shared": shared}
    found = {"decoder_start_id": 1, "target_vocab_size": 31, "unk_id": 3, "decode_batch": decode_batch, **sides}
    return cast(TextTokenizer, SimpleNamespace(**found))


def decode_batch(sequences: list[list[int]]) -> list[str]:
    return [CharTokenizer().decode(ids) for ids in sequences]


def config_of(folder: Path, *options: str) -> RunConfig:
    return load_run_config([write_copy_task(folder), *options])


def test_what_is_known_of_targets(tmp_path: Path) -> None:
    assert target_side(config_of(tmp_path), tokenizer()) == TargetSide(31, (0, 1, 2), 3, 1, 32**0.5)
    scale = tiny_model(d_model=32, num_heads=2).decoder.embeddings.scale
    assert target_side(config_of(tmp_path), tokenizer()).embedding_scale == scale
    interleaved = config_of(tmp_path, "--model.generation_order=interleaved")
    assert target_side(interleaved, tokenizer()).num_starts == 2
    of_both = target_side(interleaved, tokenizer(eos_id=7))
    assert of_both.special_ids == (0, 1, 2, 7), "one vocabulary, whose sides frame a text differently"
    assert target_side(interleaved, tokenizer(shared=False, eos_id=7)).special_ids == (0, 1, 2)


# ---- what the decoder sees -------------------------------------------------------------------------------------------


def test_by_default_the_reference_is_scored_as_it_is(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    assert build_decoder_inputs(config, tokenizer()) == TeacherForcing()
    assert build_objective(config, tokenizer(), "cpu") == CrossEntropy(label_smoothing=0.0)
    assert build_gradient_rule(config, tokenizer(), Accelerator(cpu=True)) == Backprop()


def test_options_reach_the_decoder_inputs(tmp_path: Path) -> None:
    def built(kind: str, *options: str) -> Any:
        section = [f"--decoder_inputs.{kind}.{option}" for option in options]
        return build_decoder_inputs(config_of(tmp_path, "--decoder_inputs", kind, *section), tokenizer())

    scale = 32**0.5
    assert built("random_replacement", "pool=source", "token_probability=0.1") == RandomReplacement(
        (0, 1, 2), 31, token_probability=0.1, pool="source"
    )
    by_position = ("mixture.mixing=soft", "gold.gold_by=position", "gold.decay_positions=7")
    assert built("scheduled_sampling", *by_position) == ScheduledSampling(
        (0, 1, 2), scale, 1, GoldSchedule("position", decay_positions=7.0), Mixing("soft")
    )
    confident = ("gold_confidence=0.3", "mixture.mixing=top_k", "mixture.mixing_top_k=3")
    assert built("confidence_sampling", *confident) == ConfidenceSampling(
        (0, 1, 2), scale, gold_confidence=0.3, mixture=Mixing("top_k", mixing_top_k=3)
    )
    assert built("experimental.word_oracle", "oracle_noise=0.5", "gold.gold_steps=9") == WordOracle(
        (0, 1, 2), gold=GoldSchedule(gold_steps=9), oracle_noise=0.5
    )


def test_what_the_model_and_the_tokenizer_decide(tmp_path: Path) -> None:
    interleaved = config_of(tmp_path, "--decoder_inputs=scheduled_sampling", "--model.generation_order=interleaved")
    of_both: Any = build_decoder_inputs(interleaved, tokenizer(eos_id=7))
    assert (of_both.num_starts, of_both.special_ids) == (2, (0, 1, 2, 7))
    around: Any = build_objective(interleaved, tokenizer(eos_id=7), "cpu")
    assert around == WithDecoderInputs(CrossEntropy(label_smoothing=0.0), of_both)


@pytest.mark.parametrize("pool", ["source", "both"])
def test_source_tokens_need_one_vocabulary(pool: str, tmp_path: Path) -> None:
    config = config_of(tmp_path, f"--decoder_inputs.random_replacement.pool={pool}")
    build_decoder_inputs(config, tokenizer())
    with pytest.raises(ValueError, match=f"`decoder_inputs.random_replacement.pool: {pool}` puts source tokens into"):
        build_decoder_inputs(config, tokenizer(shared=False))


# ---- what is scored --------------------------------------------------------------------------------------------------

SHORT: dict[str, dict[str, Any]] = {
    "training": {"max_steps": 24, "log_every": 6, "checkpoint_every": 0, "threads": 1},
    "validation": {"every": 0, "metrics": [], "select_by": "loss"},
    "model": {"dropout": 0.1},
    "decoding": {"beam": {"beam_width": 2}},
}
CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("r_drop", {"consistency_weight": 1.0}, "l2r", "divergence"),
    ("r_drop", {"consistency_weight": 1.0}, "bidirectional", "divergence"),
    ("unlikelihood", {"unlikelihood_weight": 0.5}, "l2r", "unlikelihood"),
    ("tailr", {}, "l2r", "token_weight"),
    ("mixce", {}, "l2r", "token_weight"),
    ("gold", {}, "l2r", "token_weight"),
    ("experimental.bag_of_words", {"bag_of_words_weight": 0.5}, "bidirectional", "bag_of_words"),
    ("raml", {"raml_temperature": 0.2}, "l2r", "nll"),
    ("raml", {"raml_temperature": 0.2}, "interleaved", "nll"),
]


@pytest.mark.parametrize(("kind", "options", "generation_order", "log"), CASES)
def test_each_trains(kind: str, options: dict[str, Any], generation_order: str, log: str, tmp_path: Path) -> None:
    sections = SHORT | {"objective": {kind: options}, "model": {"dropout": 0.1, "generation_order": generation_order}}
    assert main(["train", write_copy_task(tmp_path, **sections)]) == 0
    lines = [line for line in read_log(tmp_path / "run" / "log.jsonl") if log in line]
    assert lines[-1]["nll"] < lines[0]["nll"]


def test_all_kinds_are_tried_above() -> None:
    """All that need no trained model."""
    everything = OBJECTIVES | {f"experimental.{name}": kind for name, kind in EXPERIMENTAL_OBJECTIVES.items()}
    fresh = {name for name, kind in everything.items() if not issubclass(kind, SequenceObjective)}
    assert fresh == {"cross_entropy"} | {kind for kind, *_ in CASES}


def test_a_scorer_is_a_trained_model_that_fits(copy_task: Path, tmp_path: Path) -> None:
    run = str(copy_task / "run")
    from_run = {"kind": "byte_bpe", "from_run": run}  # the default kind, as nothing is trained
    sections = {"objective": {"gold": {"scorer": run}}, "tokenizer": from_run, "training": {"initialize_from": run}}
    path = write_copy_task(tmp_path, **sections)
    config, found = load_run_config([path]), TextTokenizer.load(copy_task / "run" / "model")
    built = build_objective(config, found, "cpu")
    assert isinstance(built, Gold)
    assert isinstance(built.score, ModelScorer)
    assert replace(built, score=None) == config.objective
    assert not built.score.model.training
    assert not any(parameter.requires_grad for parameter in built.score.model.parameters())
    short = [f"--training.max_steps={2}", "--validation.metrics=[]", "--validation.select_by=loss"]
    assert main(["train", path, *short]) == 0
    with pytest.raises(ValueError, match="generates in the order `l2r`, but this run trains"):
        build_objective(load_run_config([path, "--model.generation_order=r2l"]), found, "cpu")


@pytest.mark.parametrize("kind", ["raml", "tailr"])
def test_a_scorer_belongs_to_gold(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no option `scorer`; it belongs to `objective.gold.scorer`"):
        config_of(tmp_path, f"--objective.{kind}.scorer=runs/x")


def test_a_scorer_of_another_tokenizer_is_refused(copy_task: Path, tmp_path: Path) -> None:
    config = config_of(tmp_path, f"--objective.gold.scorer={copy_task / 'run'}")
    other = TextTokenizer.train(["ab", "ba"], ["ab", "ba"], kind="characters", vocab_size=9)
    with pytest.raises(ValueError, match=r"`objective.gold.scorer`: .*has another tokenizer; set `tokenizer.from_run`"):
        build_objective(config, other, "cpu")


@pytest.mark.parametrize(("order", "num_starts"), [("l2r", 1), ("interleaved", 2)])
def test_what_raml_draws_from_is_the_tokenizers(copy_task: Path, tmp_path: Path, order: str, num_starts: int) -> None:
    found = TextTokenizer.load(copy_task / "run" / "model")
    config = config_of(tmp_path, "--objective=raml", f"--model.generation_order={order}")
    built = build_objective(config, found, torch.device("cpu"))
    assert isinstance(built, RAML)
    assert built.num_starts == num_starts
    assert set(built.special_ids) == {found.pad_id, found.bos_id, found.eos_id, found.unk_id}
    assert built.num_plain == 10  # letters of the copy task


@pytest.mark.parametrize("order", ["l2r", "r2l"])
def test_minimum_risk_has_its_options_and_a_cost(tmp_path: Path, order: str) -> None:
    options = {"sharpness": 0.3, "label_smoothing": 0.2, "cost": "chrf", "mle_weight": 0.4, "add_reference": "true"}
    options["candidates.sampling.num_candidates"] = 7
    words = [f"--objective.minimum_risk.{name}={value}" for name, value in options.items()]
    risk = build_objective(config_of(tmp_path, *words, f"--model.generation_order={order}"), tokenizer(), "cpu")
    assert isinstance(risk, MinimumRisk)
    assert (risk.mle_weight, risk.label_smoothing, risk.sharpness, risk.add_reference) == (0.4, 0.2, 0.3, True)
    assert risk.candidates == SampledCandidates(num_candidates=7)
    assert (risk.text_cost.cost.name, risk.text_cost.from_right) == ("chrf", order == "r2l")
    assert list(risk.text_cost.decode([[4, 5, 2]])) == ["ab"]


def test_ranking_searches_diverse_beams_unless_told_otherwise(tmp_path: Path) -> None:
    ranking = build_objective(config_of(tmp_path, "--objective=ranking"), tokenizer(), "cpu")
    assert isinstance(ranking, Ranking)
    assert ranking.candidates == DiverseCandidates()
    beams: Any = build_objective(config_of(tmp_path, "--objective.ranking.candidates=beam"), tokenizer(), "cpu")
    assert beams.candidates == BeamCandidates()


@pytest.mark.parametrize("kind", [name for name, kind in OBJECTIVES.items() if issubclass(kind, CostObjective)])
def test_every_cost_is_measured(kind: str, tmp_path: Path) -> None:
    assert config_of(tmp_path, f"--objective={kind}").objective.text_cost is None
    built: Any = build_objective(config_of(tmp_path, f"--objective.{kind}.cost=chrf"), tokenizer(), "cpu")
    assert (built.text_cost.cost.name, built.text_cost.cost.pooled) == ("chrf", False)


# ---- costs -----------------------------------------------------------------------------------------------------------


def test_a_metric_is_its_own_cost(tmp_path: Path) -> None:
    found = build_cost("chrf", config_of(tmp_path), cast(Any, None), pooled=True)
    assert (found.name, found.pooled, found.unit) == ("chrf", True, 100)


def test_words_are_as_far_apart_as_their_vectors_in_the_model_to_start_from(copy_task: Path, tmp_path: Path) -> None:
    pytest.importorskip("ot")
    run = copy_task / "run"
    found = TextTokenizer.load(run / "model")
    cost = build_cost(WRD, config_of(tmp_path, "--init-from", str(run)), found, pooled=False)
    same, other, longer = cost.per_segment(["ab", "ab", "abab"], ["ab", "cd", "cd"])
    ab, cd = (found.encode_targets([text])[0][:-1] for text in ("ab", "cd"))
    embeddings = load_weights(run / "model", "all")["decoder.embeddings.tokens.weight"].numpy()
    assert same == pytest.approx(0, abs=1e-12)
    assert other == pytest.approx(word_rotators_distance(ab, cd, embeddings))
    assert longer == pytest.approx(other)
    assert 0 < other <= 2


@pytest.mark.parametrize(
    ("option", "logged"),
    [("gradient.parameter_search.cost", "cost_mean"), ("objective.minimum_risk.cost", "sampled_cost")],
)
def test_a_distance_is_trained_for(copy_task: Path, tmp_path: Path, option: str, logged: str) -> None:
    pytest.importorskip("ot")
    started = ("--init-from", str(copy_task / "run"), "--training.max_steps", "2", "--training.log_every", "1")
    short = ("--optimizer.warmup_steps", "1")
    assert main(["train", write_copy_task(tmp_path), f"--{option}", WRD, *started, *short]) == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    costs = [line[logged] for line in lines if line["kind"] == "train"]
    assert len(costs) == 2
    assert all(0 < cost < 0.5 for cost in costs)


# ---- how gradients are obtained --------------------------------------------------------------------------------------


def test_options_reach_the_gradient_rule(tmp_path: Path) -> None:
    def built(*options: str) -> Any:
        return build_gradient_rule(config_of(tmp_path, *options), tokenizer(), Accelerator(cpu=True))

    adversarial = "--gradient.adversarial_training"
    found = built(f"{adversarial}.norm_over=row", f"{adversarial}.perturbation_size=0.1")
    assert found == AdversarialTraining("both", 0.1, "row")
    penalty = built("--gradient.experimental.gradient_penalty.where=target", "--training.precision=bf16")
    assert penalty == GradientPenalty("target", 1.0, "bf16")


def processes(num_processes: int, process_index: int, kind: str = "MULTI_CPU") -> Any:
    distributed_type = SimpleNamespace(value=kind)
    return SimpleNamespace(
        num_processes=num_processes, process_index=process_index, distributed_type=distributed_type, device="cpu"
    )


def test_parameter_search_is_built_for_its_processes(tmp_path: Path) -> None:
    options = ["--gradient.parameter_search.cost", "exact_match", "--training.seed", "7"]
    config, characters = config_of(tmp_path, *options), cast(Any, CharTokenizer())
    rule = build_gradient_rule(config, characters, processes(6, 5))
    assert isinstance(rule, ParameterSearch)
    assert rule.num_processes == 6
    assert rule.seed == 7
    assert rule.batch_cost == GreedyCost(make_cost("exact_match"), characters)
    pooled: Any = build_gradient_rule(
        config_of(tmp_path, "--gradient.parameter_search.pooled", "true"), characters, processes(1, 0)
    )
    assert (pooled.batch_cost.cost.name, pooled.batch_cost.cost.pooled) == ("bleu", True)
    with pytest.raises(ValueError, match="Under FSDP no process holds the whole model"):
        build_gradient_rule(config, characters, processes(6, 0, "FSDP"))
