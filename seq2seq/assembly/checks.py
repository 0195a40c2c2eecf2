"""What in a configuration does not fit together, found before any work is done.

Each component has checked its own options when it was made; here are conditions between sections.
"""

import warnings

from seq2seq.assembly.configuration import RunConfig
from seq2seq.assembly.limits import check_limits
from seq2seq.assembly.search import complete_search, default_search
from seq2seq.assembly.validation import validation_search
from seq2seq.assembly.ways_of_training import check_cost
from seq2seq.config.declaring import UnreadPiece, check_all_numbers, options_of
from seq2seq.gradients.parameter_search import ParameterSearch
from seq2seq.metrics import make_metric
from seq2seq.models.transformer.adapters import check_installed
from seq2seq.models.transformer.options import check_use
from seq2seq.models.transformer.side_by_side import check_stackable
from seq2seq.objectives.random_replacement import RandomReplacement
from seq2seq.objectives.scheduled_sampling import ConfidenceSampling, ScheduledSampling
from seq2seq.objectives.sequences import CostObjective, SequenceObjective
from seq2seq.training.schedules import schedule_named
from seq2seq.training.trackers import check_trackers


def check_config(config: RunConfig) -> None:
    """Raise ValueError for options that do not fit together, before any work is done."""
    check_all_numbers(config)
    check_pieces(config)
    check_trackers(config.training.tracker)
    for metric in config.validation.metrics:
        make_metric(metric)
    check_data(config)
    check_languages(config)
    check_guard(config)
    check_use(config.model)
    check_limits(config)
    check_schedule(config)
    check_epochs(config)
    check_frozen_weights(config)
    check_companions(config)
    check_teaching(config)
    check_decoder_inputs(config)
    check_objective(config)
    if isinstance(config.gradient, ParameterSearch):
        check_parameter_search(config)
    order = config.model.generation_order
    complete_search(config.decoding or default_search(order), order, None)
    if config.validation.metrics:
        validation_search(config, None)


def check_pieces(config: RunConfig) -> None:
    """Raise ValueError for a piece of somebody's own that nobody has named here: training would run its code."""
    for name in options_of(RunConfig):
        if isinstance(held := getattr(config, name), UnreadPiece):
            raise ValueError(
                f"`{name}` is `{held.name}`, which only the folder of the run names; its code is imported only where "
                f"you name it yourself, as `--{name} {held.name}` of `seq2seq train` does."
            )


def check_data(config: RunConfig) -> None:
    """Raise ValueError for corpora that are not named, and vocabularies that the model cannot share."""
    data, tokenizer = config.data, config.tokenizer
    if not data.corpora[0].is_named:  # those of a list have been looked at
        raise ValueError("`data.train` names no data: set `data.train.path`, or `data.train.source` and `.target`.")
    if not data.validation.is_named and not data.num_folds:
        raise ValueError(
            "`data.validation` names no data: set `data.validation.path`, or `data.validation.source` and "
            "`data.validation.target`, or `data.num_folds` to 20 to hold every twentieth training pair out."
        )
    is_trained = tokenizer.path is None and tokenizer.from_run is None and config.training.initialize_from is None
    if config.model.tie_embeddings == "all" and is_trained and not tokenizer.shared:
        raise ValueError(
            "`model.tie_embeddings: all` needs one vocabulary, but `tokenizer.shared` is false; share it, or set "
            "`model.tie_embeddings` to `target` or `none`."
        )


def check_languages(config: RunConfig) -> None:
    """Raise ValueError where texts are encoded while training goes on, by one tokenizer, but are of several languages.

    What is encoded before has a tokenizer for each corpus, or each row that says its languages.
    """
    data = config.data
    if data.num_folds and not data.validation.is_named and len({corpus.languages for corpus in data.corpora}) > 1:
        raise ValueError(
            "`data.num_folds` would validate on pairs of several languages as if all were of the first corpus'; name "
            "pairs to validate on in `data.validation`."
        )
    if not (config.tokenizer.sampling or data.streaming):
        return
    corpora = (*data.corpora, data.validated)
    if len({corpus.languages for corpus in corpora}) > 1 or any(len(corpus.kept) > 2 for corpus in corpora):
        option = "data.train.streaming" if data.streaming else "tokenizer.sampling"
        raise ValueError(
            f"`{option}` encodes texts while the training goes on, all in the same languages, but the corpora of "
            "`data.train` and `data.validation` are of several; leave it out."
        )


def check_guard(config: RunConfig) -> None:
    """Raise ValueError for guard corpora where there is nothing to be forgotten, or nothing to measure it by."""
    if not config.data.guard:
        return
    if config.training.initialize_from is None:
        raise ValueError(
            "`data.guard` shows what the weights that a run starts with have forgotten at its end, but here they are "
            "random; name a model in `training.initialize_from` (`--init-from`), or leave the guard out."
        )
    if not config.validation.metrics:
        raise ValueError("`data.guard` is scored with `validation.metrics`, of which there are none; set some.")


def check_schedule(config: RunConfig) -> None:
    """Raise ValueError for a warm-up that is longer than the training that it begins."""
    optimization = config.optimizer
    schedule_named(
        optimization.schedule,
        warmup_steps=optimization.warmup_steps,
        max_steps=config.training.max_steps,
        learning_rate=optimization.learning_rate,
        final_learning_rate=optimization.final_learning_rate,
    )


def check_epochs(config: RunConfig) -> None:
    """Raise ValueError for a number of epochs where it is not known how long one is."""
    if config.training.max_epochs and config.data.streaming:
        raise ValueError("A stream has no end, and so no `training.max_epochs`; set `training.max_steps`.")
    if config.training.max_epochs and config.companions.model is not None:
        raise ValueError("A training in stages is counted in steps: set `training.max_steps`, not `max_epochs`.")


def check_frozen_weights(config: RunConfig) -> None:
    """Raise ValueError for adapters that cannot be; warn if what is frozen has learnt nothing."""
    training, lora = config.training, config.lora
    freezes = bool(training.freeze or training.freeze_encoder_layers or training.freeze_decoder_layers)
    if lora.rank:
        check_installed()
        if training.initialize_from is None:
            raise ValueError(
                "`lora` adapts the weights of a trained model; name one in `training.initialize_from`, or leave it out."
            )
        if freezes:
            raise ValueError("With `lora` all weights are frozen but its own: leave out `training.freeze…`.")
    if freezes and training.initialize_from is None:
        warnings.warn(
            "`training.freeze` keeps random weights as they are. Give a trained run as `training.initialize_from`.",
            stacklevel=2,
        )


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
    if config.companions.model is not None and config.data.streaming:
        raise ValueError("Companions are generated for a corpus on disk; leave out `data.train.streaming`.")


def check_teaching(config: RunConfig) -> None:
    """Raise ValueError for pairs whose targets cannot be taken from a model."""
    if config.teaching.model is None:
        return
    data = config.data
    instead = "; leave it out, or decode the sources by `seq2seq decode` and name its output as their targets."
    if isinstance(data.train, tuple) or data.streaming:
        kind = "a list of corpora" if isinstance(data.train, tuple) else "a stream"
        raise ValueError(f"`teaching` generates the targets of one corpus on disk, but `data.train` is {kind}{instead}")
    if data.num_folds:
        raise ValueError(f"`teaching` generates all targets, of which `data.num_folds` would be left out{instead}")
    if len(data.train.kept) > 2:
        raise ValueError(f"`teaching` has one pair of languages, but rows of `data.train` say their own{instead}")
    if config.companions.model is not None:
        raise ValueError(f"`teaching` is for models without `companions`{instead}")


def check_decoder_inputs(config: RunConfig) -> None:
    """Raise ValueError for decoder inputs that the model's embeddings or the vocabularies do not allow."""
    inputs = config.decoder_inputs
    is_sampled = isinstance(inputs, ScheduledSampling | ConfidenceSampling)
    if is_sampled and inputs.mixture.is_expected and config.model.tie_embeddings == "none":
        raise ValueError(
            f"`mixing: {inputs.mixture.mixing}` averages output embeddings as if they were the target's; set "
            "`model.tie_embeddings` to `all` or `target`, or `mixing` to `argmax` or `sampled`."
        )
    if isinstance(inputs, RandomReplacement) and inputs.pool in ("source", "both") and not config.tokenizer.shared:
        raise ValueError(
            f"`decoder_inputs.random_replacement.pool: {inputs.pool}` puts source tokens into the target, but the two "
            "sides have their own vocabularies; set `pool` to `target` or `vocabulary`, or train with "
            "`tokenizer.shared: true`."
        )


def check_objective(config: RunConfig) -> None:
    """Raise ValueError for an objective that is not for such a model, and warn of one that needs a trained model."""
    objective, order = config.objective, config.model.generation_order
    if not isinstance(objective, SequenceObjective):
        return
    if order not in ("l2r", "r2l"):
        raise ValueError(
            "An `objective` on what the model generates is for models that generate from one end, but "
            f"`model.generation_order` is {order}; use l2r or r2l."
        )
    if isinstance(objective, CostObjective):
        check_cost(objective.cost, config)
    if objective.mle_weight < 1 and config.training.initialize_from is None:
        warnings.warn(
            "This `objective` looks at what the model generates, from which one that is not trained cannot learn. "
            "Train with `cross_entropy` first, and name that run in `training.initialize_from`.",
            stacklevel=2,
        )


def check_parameter_search(config: RunConfig) -> None:
    """Raise ValueError for what a parameter search cannot go with; warn if there is nothing to search from."""
    training, search = config.training, config.gradient
    if training.gradient_accumulation > 1:
        raise ValueError(
            "`gradient: parameter_search` judges a candidate on all pairs of a step at once; set "
            "`training.gradient_accumulation: 1` and raise `data.batch_tokens` instead."
        )
    if config.optimizer.flooding > 0:
        raise ValueError("A parameter search minimises no loss that could be flooded; set `optimizer.flooding: 0`.")
    if training.precision == "fp16":
        raise ValueError(
            "`gradient: parameter_search` needs gradients without loss scaling; set `training.precision` to bf16 or "
            "fp32."
        )
    if config.model.generation_order != "l2r":
        raise ValueError("A parameter search decodes from the left; set `model.generation_order: l2r`.")
    check_cost(search.cost, config)
    if search.candidates_at_once > 1 and config.lora.rank:
        raise ValueError("Models with `lora` do not stand side by side: set `candidates_at_once: 1`.")
    if search.candidates_at_once > 1:
        check_stackable(config.model.positions, config.model.generation_order)
    if training.initialize_from is None:
        warnings.warn(
            "A parameter search starts from random weights, where all candidates cost the same. Give a trained run as "
            "`training.initialize_from`.",
            stacklevel=2,
        )
