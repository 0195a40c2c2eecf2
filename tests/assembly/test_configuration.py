"""The configuration of a run as a whole: every option read, written, explained, and refused where it is not at home."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from seq2seq.assembly.configuration import MOVED, RunConfig, load_run_config, read_run_config, save_run_config
from seq2seq.config.declaring import Choice, all_options, options_of, texts_of
from seq2seq.config.writing import default_of, kind_of, plain, to_yaml
from seq2seq.decoding import BeamSearch
from seq2seq.decoding.algorithms.minimum_bayes_risk import MinimumBayesRisk
from seq2seq.decoding.algorithms.rescoring import Rescored
from seq2seq.experimental import GradientPenalty, WordOracle
from seq2seq.gradients import AdversarialTraining, ParameterSearch
from seq2seq.objectives import Gold, MinimumRisk, ScheduledSampling
from seq2seq.objectives.candidates import BeamCandidates
from seq2seq.objectives.first_pass import Mixing
from seq2seq.objectives.gold_schedules import GoldSchedule

PLAIN = RunConfig("runs/x")


def kinds() -> Iterator[tuple[str, Choice, str]]:
    """Yield the section, its kinds and the name of every kind that a configuration can choose at its top."""
    for section, option in options_of(RunConfig).items():
        if option.choice is not None:
            yield from ((section, option.choice, name) for name in option.choice.names())


KINDS = {f"{section}-{name}": (section, choice, name) for section, choice, name in kinds()}
each_kind = pytest.mark.parametrize(("section", "choice", "name"), KINDS.values(), ids=KINDS)


def read(tmp_path: Path, text: str, *options: str) -> RunConfig:
    (tmp_path / "run.yaml").write_text(f"run_directory: runs/x\n{text}\n")
    return load_run_config([str(tmp_path / "run.yaml"), *options])


# ---- reading and writing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        PLAIN,
        replace(PLAIN, objective=Gold(scorer="runs/y", label_smoothing=0.0), decoding=BeamSearch(beam_width=7)),
        replace(PLAIN, objective=MinimumRisk(candidates=BeamCandidates(num_candidates=3), cost="chrf")),
        replace(PLAIN, decoder_inputs=WordOracle(gold=GoldSchedule(gold_steps=7)), gradient=GradientPenalty()),
        replace(PLAIN, decoder_inputs=ScheduledSampling(mixture=Mixing("sampled", 0.5)), gradient=ParameterSearch()),
        replace(PLAIN, gradient=AdversarialTraining("source", 1e-7), decoding=Rescored(weight=0.25)),
        replace(PLAIN, decoding=MinimumBayesRisk(candidates=BeamSearch(max_length=31))),
        replace(PLAIN, data=replace(PLAIN.data, train=replace(PLAIN.data.train, path="null"))),
    ],
)
def test_a_resolved_configuration_reads_back_equal(config: RunConfig, tmp_path: Path) -> None:
    save_run_config(config, tmp_path / "config.yaml")
    assert read_run_config(tmp_path / "config.yaml") == config
    assert load_run_config([str(tmp_path / "config.yaml")]) == config


@each_kind
def test_every_kind_reads_back_equal(section: str, choice: Choice, name: str, tmp_path: Path) -> None:
    kind = choice.kind(name)
    assert kind is not None
    assert getattr(read(tmp_path, f"{section}: {name}"), section) == kind()
    assert read(tmp_path, "", f"--{section}", name) == read(tmp_path, f"{section}: {{{name}: {{}}}}")
    config = replace(PLAIN, **{section: kind()})
    save_run_config(config, tmp_path / "config.yaml")
    assert read_run_config(tmp_path / "config.yaml") == config
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())[section] == {name: plain(kind())}


def test_the_file_of_a_run_names_every_option() -> None:
    written = plain(PLAIN)
    assert written.keys() == options_of(RunConfig).keys()
    for section, option in options_of(RunConfig).items():
        if option.section is not None:
            assert written[section].keys() == options_of(option.section).keys()


def test_the_configuration_is_printed_when_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        read(tmp_path, "training: {seed: 7}", "--print-config", "--decoding", "greedy")
    assert left.value.code == 0
    (tmp_path / "printed.yaml").write_text(capsys.readouterr().out)
    assert read_run_config(tmp_path / "printed.yaml") == read(tmp_path, "training: {seed: 7}\ndecoding: greedy")


# ---- texts -----------------------------------------------------------------------------------------------------------


def test_every_option_has_a_text_a_default_and_a_type() -> None:
    names = set()
    for name, option, owner in all_options(RunConfig):
        assert len(texts_of(owner).get(option.name, "")) > 10, f"`{name}` has no text"
        assert "\n" not in texts_of(owner)[option.name]
        assert default_of(option) or option.section is not None, f"`{name}` has no default"
        assert kind_of(option), name
        names.add(name)
    assert {"training.seed", "objective.gold.scorer", "gradient.experimental.gradient_penalty.where"} <= names
    assert "objective.gold.score" not in names, "what a program puts in is no option"


def test_help_lists_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        load_run_config(["--help"])
    assert left.value.code == 0
    words = set(capsys.readouterr().out.split())
    for name, option, _ in all_options(RunConfig):
        assert (f"{name}:" if option.section else f"--{name}") in words


# ---- what there was --------------------------------------------------------------------------------------------------


def refused(tmp_path: Path, text: str, *options: str) -> str:
    """Return the one line by which a configuration is refused."""
    with pytest.raises(ValueError, match=".") as caught:
        read(tmp_path, text, *options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def nested(name: str, value: str) -> str:
    """Return a dotted name with its value as YAML of one line."""
    *sections, own = name.split(".")
    return "".join(f"{section}: {{" for section in sections) + f"{own}: {value}" + "}" * len(sections)


@pytest.mark.parametrize("name", MOVED)
def test_each_option_that_was_moved_says_in_one_line_what_to_write(name: str, tmp_path: Path) -> None:
    assert name not in {full for full, _, _ in all_options(RunConfig)}
    on_command_line = refused(tmp_path, "", f"--{name}", "1")
    assert on_command_line == f"`--{name}`: there is no option `{name}` any more; {MOVED[name]}."
    in_file = refused(tmp_path, nested(name, "1"))
    assert in_file == f"{tmp_path / 'run.yaml'}, line 2: there is no option `{name}` any more; {MOVED[name]}."


OLDER = {
    "objective: {kind: r_drop, consistency_weight: 1.0}": "`objective: {r_drop: {consistency_weight: 5}}`",
    "objective: {label_smoothing: 0.2}": "write `objective: {cross_entropy: {label_smoothing: …}}`",
    "objective: {consistency_weight: 1.0}": "write `objective: {r_drop: {consistency_weight: …}}`",
    "objective: {unlikelihood_weight: 1.0}": "write `objective: {unlikelihood: {unlikelihood_weight: …}}`",
    "objective: {weighting: tailr, kind: token_reweighting}": "write `objective: tailr`, `mixce` or `gold`",
    "objective: {tailr_gamma: 0.2}": "write `objective.tailr.gamma`",
    "objective: {mixce_eta: 0.2}": "write `objective.mixce.eta`",
    "objective: {gold_horizon: 3}": "write `objective.gold.horizon`",
    "objective: {scorer: runs/y}": "write `objective: {gold: {scorer: …}}`",
    "objective: {raml_temperature: 0.2}": "write `objective: {raml: {raml_temperature: …}}`",
    "objective: {sharpness: 0.2}": "write `objective: {minimum_risk: {sharpness: …}}`",
    "objective: {baseline: greedy}": "write `objective: {reinforce: {baseline: …}}`",
    "objective: {length_exponent: 0.2}": "write `objective: {ranking: {length_exponent: …}}`",
    "objective: bag_of_words": "write `objective: experimental.bag_of_words`",
    "objective: sequence_unlikelihood": "write `objective: experimental.sequence_unlikelihood`",
    "objective: {bag_of_words_weight: 0.2}": "write `objective: {experimental.bag_of_words: {bag_of_words_weight: …}}`",
    "objective: {repeat_ngram: 3}": "`objective: {experimental.sequence_unlikelihood: {repeat_ngram: …}}`",
    "candidates: {cost: chrf}": "`objective: {minimum_risk: {cost: bleu, candidates: {sampling: {num_candidates: 8}}}}",
    "gradient: {kind: adversarial_training}": "`gradient: {adversarial_training: {perturbation_size: 0.5}}`",
    "gradient: {perturbation_size: 0.5}": "write `gradient: {adversarial_training: {perturbation_size: …}}`",
    "gradient: gradient_penalty": "write `gradient: experimental.gradient_penalty`",
    "gradient: {penalty_weight: 0.5}": "write `gradient: {experimental.gradient_penalty: {penalty_weight: …}}`",
    "parameter_search: {alpha: 3}": "write `gradient: {parameter_search: {cost: bleu}}`",
    "decoder_inputs: {kind: random_replacement}": "`decoder_inputs: {random_replacement: {pool: target}}`",
    "decoder_inputs: {pool: target}": "write `decoder_inputs: {random_replacement: {pool: …}}`",
    "decoder_inputs: {decay_steps: 7}": "write `decoder_inputs.scheduled_sampling.gold.decay_steps`",
    "decoder_inputs: {gold_steps: 7}": "write `decoder_inputs.scheduled_sampling.gold.gold_steps`, or `",
    "decoder_inputs: {mixing: soft}": "write `decoder_inputs.scheduled_sampling.mixture.mixing`",
    "decoder_inputs: {gold_confidence: 0.5}": "write `decoder_inputs: {confidence_sampling: {gold_confidence: …}}`",
    "decoder_inputs: word_oracle": "write `decoder_inputs: experimental.word_oracle`",
    "decoder_inputs: {oracle_noise: 0.5}": "write `decoder_inputs: {experimental.word_oracle: {oracle_noise: …}}`",
    "decoding: {method: greedy}": "name the search itself, as in `decoding: {beam: {beam_width: 5}}`",
    "decoding: {beam_width: 7}": "`decoding: {beam: {beam_width: 5, max_length: 256}}`",
    "decoding: {temperature: 0.5}": "write `decoding: {sampling: {temperature: …}}`",
    "decoding: {num_groups: 3}": "write `decoding: {diverse_beam: {num_groups: …}}`",
    "decoding: {pairing: joint}": "write `decoding: {synchronous: {pairing: companion}}`, or `decoding: joint`",
    "decoding: {rescore: both}": "write `decoding: {rescored: {rescore: both, weight: 0.5}}`",
    "decoding: {mbr: chrf}": "write `decoding: {minimum_bayes_risk: {metric: chrf}}`",
    "model: {layer_dropout: 0.1}": "it is gone, since no run spoke for it",
}
"""Sections as they were written before kinds had options of their own, with what is to be written instead."""


@pytest.mark.parametrize(("text", "instead"), OLDER.items(), ids=OLDER)
def test_a_configuration_of_an_earlier_version_is_told_what_to_write(text: str, instead: str, tmp_path: Path) -> None:
    message = refused(tmp_path, text)
    assert message.startswith(f"{tmp_path / 'run.yaml'}, line 2: ")
    assert instead in message


def test_every_kind_is_among_them() -> None:
    said = " ".join([*OLDER.values(), *MOVED.values()])
    for section, _, name in kinds():
        plain_kinds = ("cross_entropy", "backprop", "teacher_forcing", "greedy", "interleaved")
        assert name in said or name in plain_kinds, f"{section}: {name}"


@pytest.mark.parametrize("text", [value for values in MOVED.values() for value in values.split("`")[1::2]])
def test_what_is_said_to_be_written_can_be_read(text: str, tmp_path: Path) -> None:
    """Sections as they are, dotted names with some value, and single kinds or flags as words."""
    if ": " in text:
        written: dict[str, Any] = yaml.safe_load(text)
        assert written.keys() <= options_of(RunConfig).keys()
        read(tmp_path, text)
    elif "." in text:
        assert text in {name for name, _, _ in all_options(RunConfig)}
    else:
        assert text in ("mixce", "gold", "clip_norm", "--batch-tokens", "decode")


# ---- what belongs elsewhere ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "objective: {r_drop: {gamma: 0.5}}",
            "`objective.r_drop` has no option `gamma`; it belongs to `objective.tailr.gamma`.",
        ),
        ("objective: {cross_entropy: {sharpness: 1}}", "it belongs to `objective.minimum_risk.sharpness`."),
        ("gradient: {backprop: {noise: 1}}", "it belongs to `gradient.parameter_search.noise`."),
        ("decoder_inputs: {teacher_forcing: {pool: target}}", "belongs to `decoder_inputs.random_replacement.pool`."),
        ("decoding: {greedy: {top_p: 0.5}}", "`decoding.greedy` has no option `top_p`; it belongs to `decoding.sampli"),
        (
            "training: {warmup_steps: 7}",
            "`training` has no option `warmup_steps`; it belongs to `optimizer.warmup_step",
        ),
        ("training: {max_step: 7}", "`training` has no option `max_step`. Did you mean `training.max_steps`?"),
        ("objective: {r_dorp: {}}", "`objective` is one of cross_entropy, r_drop, .* 'r_dorp'. Did you mean `r_drop`?"),
        ("objective: {r_drop: {}, raml: {}}", "`objective` is one of r_drop, raml; keep one."),
        ("decoding: {beam: {beam_width: 2, n_best: 3}}", "`decoding.beam`: `beam_width` must be at least `n_best`"),
        ("optimizer: {name: adafactor, epsilon: 1e-5}", "`epsilon` belongs to `name: adamw or muon`"),
        ("optimizer: {final_learning_rate: 1e-5}", "`final_learning_rate` belongs to `schedule: cosine or linear`"),
    ],
)
def test_an_option_of_another_kind_names_it(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"^{tmp_path / 'run.yaml'}, line 2: .*{message}"):
        read(tmp_path, text)


@each_kind
def test_the_options_of_every_kind_are_refused_by_others(
    section: str, choice: Choice, name: str, tmp_path: Path
) -> None:
    kind = choice.kind(name)
    assert kind is not None
    for option in options_of(kind):
        others = [other for other in choice.names() if option not in options_of(choice.kind(other) or kind)]
        for other in others[:2]:
            message = refused(tmp_path, "", f"--{section}.{other}.{option}", "1")
            assert message.startswith(f"`--{section}.{other}.{option}`: `{section}.{other}` has no option `{option}`")


def test_a_run_of_an_earlier_version_may_speak_of_tensorboard(tmp_path: Path) -> None:
    text = to_yaml(RunConfig(run_directory="x")).replace("  tracker: []\n", "  tensorboard: true\n")
    assert "tensorboard: true" in text
    (tmp_path / "config.yaml").write_text(text)
    assert read_run_config(tmp_path / "config.yaml") == RunConfig(run_directory="x")
    with pytest.raises(ValueError, match=r"any more; .*write `training: \{tracker: tensorboard}`"):
        load_run_config([str(tmp_path / "config.yaml")])


@pytest.mark.parametrize(
    ("said", "meant"),
    [("wandb", ("wandb",)), ("[wandb, mlflow]", ("wandb", "mlflow")), ("none", ()), ("null", ()), ("[]", ())],
)
def test_one_of_a_few_names_needs_no_brackets(said: str, meant: tuple[str, ...]) -> None:
    assert load_run_config(["--run_directory", "x", "--training.tracker", said]).training.tracker == meant
    with pytest.raises(ValueError, match="must be one of tensorboard, wandb, mlflow, trackio, a list of some, or none"):
        load_run_config(["--run_directory", "x", "--training.tracker", "[none]"])
