"""What does not fit together in a configuration is found before any work is done."""

from pathlib import Path

import pytest

from seq2seq.assembly.checks import check_config
from seq2seq.assembly.configuration import RunConfig, load_run_config
from seq2seq.assembly.search import default_search
from seq2seq.config.declaring import options_of
from seq2seq.decoding import SEARCHES
from seq2seq.models.transformer import adapters
from seq2seq.objectives import OBJECTIVES
from seq2seq.objectives.sequences import SequenceObjective
from tests.tiny_run import write_copy_task

GENERATING = [name for name, kind in OBJECTIVES.items() if issubclass(kind, SequenceObjective)]
GENERATING.append("experimental.sequence_unlikelihood")
WRD = "word_rotators_distance"


def check(folder: Path, *options: str) -> RunConfig:
    config = load_run_config([write_copy_task(folder), *options])
    check_config(config)
    return config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--validation.select_by", "bleu"], r"`select_by` is 'bleu', which is neither `loss` nor one of"),
        (["--validation.metrics", "[blue]", "--validation.select_by", "loss"], "no metric 'blue'; did you mean 'bleu'"),
        (["--training.average_checkpoints", "4"], r"`average_checkpoints` is 4, but 300 steps with a"),
        (["--decoding.beam.beam_width", "3", "--decoding.beam.n_best", "5"], "`beam_width` must be at least `n_best`"),
        (
            ["--optimizer.warmup_steps", "300", "--optimizer.schedule", "cosine"],
            r"`warmup_steps` \(300\) must be below",
        ),
        (
            ["--tokenizer.path", "x"],
            r"`kind` belongs to a tokenizer that is trained \(no `path`\) and would do nothing",
        ),
        (
            ["--training.max_epochs", "3", "--data.train.streaming", "true"],
            "A stream has no end, and so no `training.max_epochs`",
        ),
        (["--training.max_epochs", "-1"], "`max_epochs` must be 0 or more"),
        (["--data.train.path", "null"], "`data.train` names no data: set `data.train.path`"),
        (["--data.validation.path", "null"], "`data.validation` names no data: .*`data.num_folds` to 20"),
        (["--tokenizer.shared", "false"], "`model.tie_embeddings: all` needs one vocabulary"),
        (["--model.max_positions", "99"], "`max_positions` belongs to `positions: learned`"),
        (
            ["--model.interaction_dropout", "0.5"],
            "`interaction_dropout` belongs to an `interaction` and would do nothing",
        ),
    ],
)
def test_options_that_do_not_fit_together(tmp_path: Path, options: list[str], message: str) -> None:
    chrf = ["--validation.metrics", "[chrf]", "--validation.select_by", "chrf"]
    check(tmp_path, *chrf)
    with pytest.raises(ValueError, match=message):
        check(tmp_path, *chrf, *options)


# ---- searches --------------------------------------------------------------------------------------------------------

FIT = {
    "l2r": {"greedy", "beam", "sampling", "diverse_beam", "minimum_bayes_risk"},
    "r2l": {"greedy", "beam", "sampling", "diverse_beam", "minimum_bayes_risk"},
    "bidirectional": {"greedy", "sampling", "synchronous", "joint", "rescored", "minimum_bayes_risk"},
    "interleaved": {"greedy", "beam", "interleaved"},
}
"""The searches of each order by default options; a beam of 5 cannot be halved."""


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("order", FIT)
def test_the_search_of_a_run_is_one_that_its_model_knows(tmp_path: Path, order: str, search: str) -> None:
    options = ["--model.generation_order", order, "--decoding", search]
    if search in FIT[order]:
        check(tmp_path, *options)
    else:
        with pytest.raises(ValueError, match="order|half of `beam_width`|`rescore`|`mbr`|`candidates`"):
            check(tmp_path, *options)


@pytest.mark.parametrize("order", FIT)
def test_without_a_search_that_of_the_order_is_taken(tmp_path: Path, order: str) -> None:
    assert check(tmp_path, "--model.generation_order", order, "--decoding", "null").decoding is None
    assert type(default_search(order)) in [SEARCHES[name] for name in FIT[order]]


def test_a_beam_of_validation_must_be_one_that_the_order_has(tmp_path: Path) -> None:
    both = ["--model.generation_order", "bidirectional", "--decoding", "null", "--validation.beam_width"]
    for width in ("1", "4"):
        check(tmp_path, *both, width)
    with pytest.raises(ValueError, match="half of `beam_width`, but that is 3"):
        check(tmp_path, *both, "3")


# ---- decoder inputs and gradients ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["decoder_inputs.scheduled_sampling.mixture.mixing=soft"], "`mixing: soft` averages output embeddings"),
        (["decoder_inputs.confidence_sampling.mixture.mixing=top_k"], "`mixing: top_k` averages output embeddings"),
        (["decoder_inputs.random_replacement.pool=both", "tokenizer.shared=false"], "pool: both` puts source tokens"),
        (["decoder_inputs.random_replacement.token_probability=2"], "`token_probability`"),
        (["decoder_inputs.experimental.word_oracle.gold.gold_floor=2"], "`gold_floor`"),
        (["gradient.experimental.gradient_penalty.penalty_weight=-1"], "`penalty_weight`"),
    ],
)
def test_what_does_not_fit_is_found_before_any_work(options: list[str], message: str, tmp_path: Path) -> None:
    untied = ["--model.tie_embeddings=none"]
    check(tmp_path, *untied)
    with pytest.raises(ValueError, match=message):
        check(tmp_path, *untied, *(f"--{option}" for option in options))


SEARCH = ["--gradient", "parameter_search", "--training.initialize_from", "runs/x"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--training.gradient_accumulation", "2"], r"all pairs of a step at once; set .*raise `data.batch_tokens`"),
        (["--optimizer.flooding", "0.1"], "set `optimizer.flooding: 0`"),
        (["--training.precision", "fp16"], "set `training.precision` to bf16 or fp32"),
        (["--model.generation_order", "r2l"], "set `model.generation_order: l2r`"),
        (
            ["--gradient.parameter_search.candidates_at_once", "2", "--model.positions", "learned"],
            "without learned or relative `positions`",
        ),
        (
            ["--gradient.parameter_search.num_candidates", "5"],
            "`gradient.parameter_search`: `num_candidates` must be e",
        ),
        (["--gradient.parameter_search.cost", "blue"], "There is no metric 'blue'; did you mean 'bleu'"),
    ],
)
def test_what_a_parameter_search_does_not_go_with(tmp_path: Path, options: list[str], message: str) -> None:
    check(tmp_path, *SEARCH)
    with pytest.raises(ValueError, match=message):
        check(tmp_path, *SEARCH, *options)


def test_a_parameter_search_from_random_weights_warns(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Give a trained run as `training.initialize_from`"):
        check(tmp_path, *SEARCH[:2])


# ---- objectives on what is generated ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", GENERATING)
def test_models_that_generate_from_both_ends_are_refused(tmp_path: Path, kind: str) -> None:
    for order in ("bidirectional", "interleaved"):
        with pytest.raises(ValueError, match=f"is for models that generate from one end, .*is {order}; use l2r or r2l"):
            check(tmp_path, "--objective", kind, "--model.generation_order", order, "--decoding", "null")


@pytest.mark.parametrize("kind", GENERATING)
def test_random_weights_cannot_learn_from_what_they_generate(tmp_path: Path, kind: str) -> None:
    with pytest.warns(UserWarning, match=r"Train with `cross_entropy` first, .*`training.initialize_from`"):
        check(tmp_path, "--objective", kind)
    check(tmp_path, f"--objective.{kind}.mle_weight", "1")
    check(tmp_path, "--objective", kind, "--training.initialize_from", "runs/x")


@pytest.mark.parametrize(
    ("kind", "option", "value", "message"),
    [
        ("reinforce", "cost", "blue", "There is no metric 'blue'; did you mean 'bleu'"),
        ("reinforce", "candidates.num_candidates", "1", "`num_candidates` of at least 2"),
        ("reinforce", "mle_weight", "-1", "`mle_weight` must be in"),
        ("minimum_risk", "sharpness", "0", "`sharpness` must be above 0"),
        ("minimum_risk", "candidates.sampling.num_candidates", "0", "`num_candidates` must be at least 1"),
        ("minimum_risk", "candidates.beam.temperature", "0.5", "has no option `temperature`"),
    ],
)
def test_wrong_options_are_found_before_any_work(
    tmp_path: Path, kind: str, option: str, value: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check(tmp_path, f"--objective.{kind}.{option}", value)


def test_reinforce_has_samples_alone() -> None:
    assert options_of(OBJECTIVES["reinforce"])["candidates"].choice is None


@pytest.mark.parametrize("option", ["gradient.parameter_search.cost", "objective.minimum_risk.cost"])
def test_without_a_trained_model_there_are_no_vectors(tmp_path: Path, option: str) -> None:
    with pytest.raises(ValueError, match=r"cost: word_rotators_distance.*training\.initialize_from"):
        check(tmp_path, f"--{option}", WRD)
    check(tmp_path, f"--{option}", WRD, "--training.initialize_from", "runs/x")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "name one in `training.initialize_from`"),
        (["--training.initialize_from", "x", "--training.freeze", "[norms]"], r"leave out `training.freeze…`"),
        (["--training.initialize_from", "x", "--training.freeze_decoder_layers", "1"], r"leave out `training.freeze…`"),
        (
            ["--training.initialize_from", "x", "--gradient.parameter_search.candidates_at_once", "2"],
            "Models with `lora` do not stand side by side: set `candidates_at_once: 1`",
        ),
    ],
)
def test_what_adapters_do_not_go_with(options: list[str], message: str, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    check(tmp_path, "--lora.rank", "2", "--training.initialize_from", "x")
    with pytest.raises(ValueError, match=message):
        check(tmp_path, "--lora.rank", "2", *options)


def test_adapters_need_peft(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(adapters, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r'pip install "seq2seq-toolkit\[lora\]"'):
        check(tmp_path, "--lora.rank", "2", "--training.initialize_from", "x")


def test_what_is_frozen_should_have_learnt_something(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="`training.freeze` keeps random weights"):
        check(tmp_path, "--training.freeze", "[embeddings]")
    check(tmp_path, "--training.freeze", "[embeddings]", "--training.initialize_from", "x")


@pytest.mark.parametrize("languages", [["deu_Latn", "deu_Latn", "fra_Latn"], ["deu_Latn", "fra_Latn", "deu_Latn"]])
def test_texts_of_several_languages_are_encoded_before_a_training(languages: list[str]) -> None:
    corpora = [
        f"{{path: {name}.tsv, target_language: {language}}}" for name, language in zip("ab", languages, strict=False)
    ]
    words = ["--run_directory", "x", "--data.train", f"[{', '.join(corpora)}]", "--data.validation.path", "c.tsv"]
    words += ["--data.validation.target_language", languages[2]]
    check_config(load_run_config(words))
    with pytest.raises(ValueError, match=r"`tokenizer\.sampling` encodes texts while .* are of several"):
        check_config(load_run_config([*words, "--tokenizer.sampling", "0.1"]))


def test_folds_of_several_languages_are_not_validated_on() -> None:
    corpora = "[{path: a.tsv, target_language: deu_Latn}, {path: b.tsv, target_language: fra_Latn}]"
    words = ["--run_directory", "x", "--data.train", corpora, "--data.num_folds", "20"]
    with pytest.raises(ValueError, match=r"`data\.num_folds` would validate on pairs of several languages"):
        check_config(load_run_config(words))
    check_config(load_run_config([*words[:-2], "--data.validation.path", "c.tsv"]))


def test_rows_of_several_languages_are_encoded_before_a_training() -> None:
    words = ["--run_directory", "x", "--data.train.path", "a.jsonl", "--data.validation.path", "b.jsonl"]
    words += ["--data.train.target_language_column", "language"]
    check_config(load_run_config(words))
    with pytest.raises(ValueError, match=r"`tokenizer\.sampling` encodes texts while .* are of several"):
        check_config(load_run_config([*words, "--tokenizer.sampling", "0.1"]))
