"""What in a configuration does not fit together, found before any work is done."""

import warnings
from dataclasses import asdict

from seq2seq.assembly.choices import made
from seq2seq.assembly.cost import check_cost
from seq2seq.assembly.decoder_inputs import build_decoder_inputs
from seq2seq.assembly.gradient_rule import GRADIENT_RULES
from seq2seq.assembly.limits import check_limits
from seq2seq.assembly.search import build_search
from seq2seq.assembly.sequence_objective import SEQUENCE_OBJECTIVES, build_sequence_objective
from seq2seq.config.schema import RunConfig
from seq2seq.gradients.parameter_search import ParameterSearch
from seq2seq.metrics import make_metric
from seq2seq.models.transformer.side_by_side import check_stackable


def check_config(config: RunConfig) -> None:
    """Raise ValueError for options that do not fit together, before any work is done."""
    validation = config.validation
    for metric in validation.metrics:
        make_metric(metric)
    if validation.select_by != "loss" and validation.select_by not in validation.metrics:
        raise ValueError(
            f"`validation.select_by` is {validation.select_by!r}, which is neither `loss` nor one of "
            f"`validation.metrics` ({', '.join(validation.metrics) or 'none'})."
        )
    check_limits(config)
    check_companions(config)
    build_decoder_inputs(config)
    check_objective(config)
    check_gradient(config)
    build_search(asdict(config.decoding), config.model.generation_order, detokenize=str)  # nothing is decoded here


def check_companions(config: RunConfig) -> None:
    """Raise ValueError if directions would see each other without companions, or there are companions for nothing."""
    interacts = config.model.interaction != "none" and config.model.interaction_weight > 0
    if interacts and config.companions.model is None:
        raise ValueError(
            "A model with an `interaction` cannot be trained on references alone: in the second half of a target each "
            "direction would see the other's answers. Set `companions.model` to a model that generates companions, or "
            "to `self` with `companions.first_steps`."
        )
    if config.companions.model is not None and not interacts:
        raise ValueError("`companions` are for a model with an `interaction`; set `model.interaction`, such as `tanh`.")
    if config.companions.refreshes:
        raise ValueError("`companions.refreshes` are made by a run itself; set `companions.model` to `self`.")
    data = config.data
    if data.num_folds and not 0 <= data.left_out_fold < data.num_folds:
        raise ValueError(f"`data.left_out_fold` must be below `data.num_folds` ({data.num_folds}).")
    if data.num_folds and data.train.streaming:
        raise ValueError("Folds are of a corpus that is held on disk; leave out `data.train.streaming`.")
    if config.companions.model is not None and config.data.train.streaming:
        raise ValueError("Companions are generated for a corpus on disk; leave out `data.train.streaming`.")


def check_objective(config: RunConfig) -> None:
    """Raise ValueError for options of the objective that are wrong, and warn of one that needs a trained model."""
    kind = config.objective.kind
    if kind not in SEQUENCE_OBJECTIVES:
        return
    check_cost(config.candidates.cost, config)
    build_sequence_objective(config, tokenizer=None)
    if config.candidates.mle_weight < 1 and config.training.initialize_from is None:
        warnings.warn(
            f"`objective.kind: {kind}` looks at what the model generates, from which one that is not trained cannot "
            "learn. Train with `cross_entropy` first, and name that run in `training.initialize_from`.",
            stacklevel=2,
        )


def check_gradient(config: RunConfig) -> None:
    """Raise ValueError for options of the gradient rule that are wrong; see also `check_parameter_search`."""
    if config.gradient.kind == "parameter_search":
        check_parameter_search(config)
    else:
        made(GRADIENT_RULES[config.gradient.kind], asdict(config.gradient))


def check_parameter_search(config: RunConfig) -> None:
    """Raise ValueError for what a parameter search cannot go with; warn if there is nothing to search from."""
    training = config.training
    if training.gradient_accumulation > 1:
        raise ValueError(
            "`gradient.kind: parameter_search` judges a candidate on all pairs of a step at once; set "
            "`training.gradient_accumulation: 1` and raise `data.batch_tokens` instead."
        )
    if config.optimizer.flooding > 0:
        raise ValueError("A parameter search minimises no loss that could be flooded; set `optimizer.flooding: 0`.")
    if training.precision == "fp16":
        raise ValueError(
            "`gradient.kind: parameter_search` needs gradients without loss scaling; set `training.precision` to "
            "bf16 or fp32."
        )
    if config.model.generation_order != "l2r":
        raise ValueError("A parameter search decodes from the left; set `model.generation_order: l2r`.")
    check_cost(config.parameter_search.cost, config)
    made(ParameterSearch, asdict(config.parameter_search) | {"cost": None})
    if config.parameter_search.candidates_at_once > 1:
        check_stackable(config.model.positions, config.model.generation_order)
    if training.initialize_from is None:
        warnings.warn(
            "A parameter search starts from random weights, where all candidates cost the same. Give a trained run as "
            "`training.initialize_from`.",
            stacklevel=2,
        )
