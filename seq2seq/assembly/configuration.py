"""A whole run as one dataclass: its sections are the components' own options, and nothing is defined here twice.

A YAML file with dotted overrides enters (`config` reads it); a `RunConfig` leaves, every part of which has been checked
by the component that it makes. What belongs together across sections is for `checks`.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seq2seq import files
from seq2seq.assembly.foreign_names import OF_DECODING, OF_TRAINING, ours_instead
from seq2seq.config.command_line import Given, find_pieces, help_text, read_configuration, split_arguments
from seq2seq.config.declaring import Place, choice
from seq2seq.config.nodes import read_yaml
from seq2seq.config.parsing import Parser
from seq2seq.config.writing import to_yaml
from seq2seq.data.options import CompanionOptions, DataOptions, TeachingOptions
from seq2seq.data.tokenizer import TokenizerOptions
from seq2seq.decoding import SEARCHES
from seq2seq.gradients import GRADIENT_RULES, OWN_GRADIENT_RULE
from seq2seq.models.transformer.options import TransformerOptions
from seq2seq.objectives import DECODER_INPUTS, OBJECTIVES, OWN_DECODER_INPUTS, OWN_OBJECTIVE
from seq2seq.training.lora import LoraOptions
from seq2seq.training.options import OptimizerOptions, TrainingOptions, ValidationOptions


@dataclass(frozen=True)
class RunConfig:
    """A whole run."""

    run_directory: Place
    """Where configuration, log, checkpoints and the exported model go."""
    data: DataOptions = field(default_factory=DataOptions)
    """Corpora, filters and batches."""
    tokenizer: TokenizerOptions = field(default_factory=TokenizerOptions)
    """How text becomes tokens: trained on the training corpus, or loaded."""
    model: TransformerOptions = field(default_factory=TransformerOptions)
    """The Transformer."""
    lora: LoraOptions = field(default_factory=LoraOptions)
    """Adapters that are trained in place of the model's weights."""
    companions: CompanionOptions = field(default_factory=CompanionOptions)
    """What the directions of a model with an `interaction` see of each other in training."""
    teaching: TeachingOptions = field(default_factory=TeachingOptions)
    """What other models make of the training sources, to be learned in place of the targets."""
    decoder_inputs: Any = choice(
        DECODER_INPUTS, "teacher_forcing", experimental="DECODER_INPUTS", own=OWN_DECODER_INPUTS
    )
    """What the decoder sees of the reference in training."""
    objective: Any = choice(OBJECTIVES, "cross_entropy", experimental="OBJECTIVES", own=OWN_OBJECTIVE)
    """What is scored."""
    gradient: Any = choice(GRADIENT_RULES, "backprop", experimental="GRADIENT_RULES", own=OWN_GRADIENT_RULE)
    """How the gradient of the objective is obtained."""
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    """Optimizer, learning-rate schedule and what is done to gradients and weights."""
    training: TrainingOptions = field(default_factory=TrainingOptions)
    """The loop: how long, by what machine, and what is kept of it."""
    validation: ValidationOptions = field(default_factory=ValidationOptions)
    """How a checkpoint is judged."""
    decoding: Any = choice(SEARCHES, None)
    """How the exported model searches unless it is told otherwise; by default beam search in the order of the model."""


MOVED = {
    "objective.kind": "name the kind itself, as in `objective: {r_drop: {consistency_weight: 5}}`",
    "objective.token_reweighting": "write `objective: tailr`, `mixce` or `gold`",
    "objective.weighting": "write `objective: tailr`, `mixce` or `gold`",
    "objective.tailr_gamma": "write `objective.tailr.gamma`",
    "objective.tailr_min_weight": "write `objective.tailr.min_weight`",
    "objective.mixce_eta": "write `objective.mixce.eta`",
    **{
        f"objective.gold_{name}": f"write `objective.gold.{name}`"
        for name in ("min_probability", "reward", "min_reward", "horizon", "discount")
    },
    "objective.bag_of_words": "write `objective: experimental.bag_of_words`",
    "objective.sequence_unlikelihood": "write `objective: experimental.sequence_unlikelihood`",
    "candidates": "they belong to the objective, as in `objective: {minimum_risk: {cost: bleu, candidates: {sampling: "
    "{num_candidates: 8}}}}`",
    "gradient.kind": "name the kind itself, as in `gradient: {adversarial_training: {perturbation_size: 0.5}}`",
    "gradient.gradient_penalty": "write `gradient: experimental.gradient_penalty`",
    "parameter_search": "write `gradient: {parameter_search: {cost: bleu}}`",
    "decoder_inputs.kind": "name the kind itself, as in `decoder_inputs: {random_replacement: {pool: target}}`",
    "decoder_inputs.word_oracle": "write `decoder_inputs: experimental.word_oracle`",
    **{
        f"decoder_inputs.{name}": f"write `decoder_inputs.scheduled_sampling.gold.{name}`"
        for name in ("gold_by", "step_schedule", "decay_steps", "position_schedule", "decay_positions", "gold_floor")
    },
    "decoder_inputs.gold_steps": "write `decoder_inputs.scheduled_sampling.gold.gold_steps`, or "
    "`decoder_inputs.confidence_sampling.gold_steps`",
    **{
        f"decoder_inputs.{name}": f"write `decoder_inputs.scheduled_sampling.mixture.{name}`"
        for name in ("mixing", "mixing_temperature", "mixing_top_k")
    },
    "decoding.method": "name the search itself, as in `decoding: {beam: {beam_width: 5}}`",
    **{
        f"decoding.{name}": "name the search, as in `decoding: {beam: {beam_width: 5, max_length: 256}}`"
        for name in ("beam_width", "n_best", "length_penalty", "length_normalization", "early_stopping", "min_length",
                     "max_length", "max_length_ratio", "no_repeat_ngram", "generation_order")
    },
    "decoding.pairing": "write `decoding: {synchronous: {pairing: companion}}`, or `decoding: joint`",
    **{
        f"decoding.{name}": "write `decoding: {rescored: {rescore: both, weight: 0.5}}`"
        for name in ("rescore", "rescoring_weight", "rescoring_margin")
    },
    **{
        f"decoding.{name}": "write `decoding: {minimum_bayes_risk: {metric: chrf}}`"
        for name in ("mbr", "mbr_epsilon", "mbr_candidates", "mbr_pairwise", "num_samples")
    },
    "decoding.batch_tokens": "it is an option of `decode`, `--batch-tokens`, and for validation "
    "`validation.batch_tokens`",
    "decoding.coverage_penalty": "it is gone, since no run spoke for it",
    **{
        f"model.{name}": "it is gone, since no run spoke for it"
        for name in ("talking_heads", "encoder_attention", "layer_dropout", "initialization")
    },
    "training.tensorboard": "trackers are off by default; write `training: {tracker: tensorboard}` to have its files",
    "optimizer.clipping": "gradients are scaled by min(1, c/|g|), c being `clip_norm`",
}  # fmt: skip
"""What to write instead of options that there were, by dotted name."""


def _ours_instead(path: str, name: str) -> str | None:
    """Return what to say of a name that is another toolkit's for an option of a run."""
    tables = (OF_DECODING, OF_TRAINING) if path.startswith("decoding.") else (OF_TRAINING, OF_DECODING)
    return ours_instead(name, tables[0]) or ours_instead(name, tables[1])


PARSER = Parser(RunConfig, MOVED, _ours_instead)


def load_run_config(arguments: Sequence[str], program: str = "seq2seq train", description: str = "") -> RunConfig:
    """Return the configuration that a command line describes: a YAML file, and options as `--section.option value`.

    Raises:
        ValueError, OSError: the file cannot be read, or anything that is said makes no sense.
        SystemExit: help or the configuration itself was asked for, and printed.
    """
    given = split_arguments(arguments)
    if "help" in given.wishes:
        find_pieces(PARSER, given)
        print(help_text(program, description, RunConfig))
        raise SystemExit(0)
    return unless_printed(read_configuration(given, PARSER), given)


def label_smoothing_of(config: RunConfig) -> float:
    """Return the smoothing that validation is measured with: that of the objective, or none where it has none."""
    return float(getattr(config.objective, "label_smoothing", 0.0))


def unless_printed(config: RunConfig, given: Given) -> RunConfig:
    """Return a configuration; print it and leave instead if that was asked for."""
    if "print-config" in given.wishes:
        sys.stdout.write(to_yaml(config))
        raise SystemExit(0)
    return config


def read_run_config(path: Path) -> RunConfig:
    """Return the configuration of a file; raise ValueError if it is none of this version."""
    if files.is_special(path):
        raise ValueError(f"{path}: a pipe or a device, where the configuration of a run is expected.")
    tree = read_yaml(path)
    training = tree.entries.get("training")
    if training is not None and isinstance(training.value, dict):
        training.value.pop("tensorboard", None)  # runs of earlier versions say it, and it says nothing of the model
    config: RunConfig = PARSER.parse(tree)
    return config


def save_run_config(config: RunConfig, path: Path) -> None:
    """Write the resolved configuration, every default included, as YAML that `read_run_config` reads back."""
    with files.written(path) as file:
        file.write(to_yaml(config))
