"""What in a configuration does not fit together, found before any work is done."""

from dataclasses import asdict

from seq2seq.build.search import build_search
from seq2seq.config.schema import RunConfig
from seq2seq.metrics import make_metric


def check_config(config: RunConfig) -> None:
    """Raise ValueError for options that do not fit together, before any work is done."""
    training, validation = config.training, config.validation
    for metric in validation.metrics:
        make_metric(metric)
    if validation.select_by != "loss" and validation.select_by not in validation.metrics:
        raise ValueError(
            f"`validation.select_by` is {validation.select_by!r}, which is neither `loss` nor one of "
            f"`validation.metrics` ({', '.join(validation.metrics) or 'none'})."
        )
    if training.average_checkpoints * training.checkpoint_every > training.max_steps:
        raise ValueError(
            f"`training.average_checkpoints` is {training.average_checkpoints}, but {training.max_steps} steps with a "
            f"checkpoint every {training.checkpoint_every} leave fewer; lower it or `training.checkpoint_every`."
        )
    check_companions(config)
    build_search(asdict(config.decoding), config.model.generation_order)


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
