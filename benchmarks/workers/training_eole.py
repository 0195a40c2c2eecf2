"""A worker of `training_speed.py` for Eole's trainer; runs in the environment of Eole.

Model, loss, optimizer and loop are Eole's own, with options of our run: a round is one call of `Trainer.train`, without
validation and checkpoints. Batches are those of our first epoch in our order, made into tensors by Eole.

Eole's decoder is pre-norm only, so here both stacks are pre-norm with a final norm, two norms more than the others
have. Dropout inside the feed-forward network is set to ours; Eole drops there at the rate of the residual branches.
The schedule is `noam`, which times a factor is our `inverse_square_root`.
"""

import itertools
import json
import math
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from datasets import load_from_disk
from eole.config.run import TrainConfig
from eole.inputters.inputter import dict_to_vocabs
from eole.inputters.text_utils import tensorify
from eole.models.model import BaseModel, get_model_class
from eole.modules.transformer_mlp import MLP
from eole.trainer import Trainer, build_trainer
from eole.utils.optimizers import Optimizer
from workers.eole_model import model_options, vocabulary
from workers.protocol import Values, now, serve


def prepare(job: Values) -> tuple[Values, Callable[[], Values]]:
    """Return facts and the function that times `job["steps"]` steps, after `job["warmup"]` steps."""
    torch.manual_seed(job["config"]["training"]["seed"])
    vocabularies = dict_to_vocabs(vocabulary(job["vocab_size"], job["token_ids"]))
    trainer = trainer_of(job, vocabularies)
    batches = tensor_batches(job, vocabularies)

    def run_round(num_steps: int = job["steps"]) -> Values:
        start = now(job["device"])
        statistics = trainer.train(batches, train_steps=trainer.optim.training_step + num_steps - 1)
        seconds = now(job["device"]) - start
        tokens = {"source_tokens": statistics.n_src_tokens, "target_tokens": statistics.n_tokens}
        return {"seconds": seconds} | tokens

    run_round(job["warmup"])
    num_parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    versions = {name: version(name) for name in ("eole", "torch")}
    return {"parameters": num_parameters, "threads": torch.get_num_threads()} | versions, run_round


def trainer_of(job: Values, vocabularies: dict[str, Any]) -> Trainer:
    device_id = 0 if job["device"] == "cuda" else -1
    config = TrainConfig(
        model=model_options(job["config"]["model"]),
        training=training_options(job["config"]) | {"gpu_ranks": [] if device_id < 0 else [device_id]},
        data={},
        src_vocab="",
        tgt_vocab="",
    )
    model: BaseModel = get_model_class(config.model).for_training(
        config.model, vocabularies, config.training, device_id=device_id
    )
    for module in model.modules():
        if isinstance(module, MLP):
            module.dropout_1.p = job["config"]["model"]["activation_dropout"]
    optimizer = Optimizer.from_config(model, config)
    return build_trainer(config, device_id, model, vocabularies, optimizer)


def training_options(config: Values) -> Values:
    """Return what our sections `model`, `optimizer`, `objective` and `training` say, as Eole's section `training`.

    Raises:
        ValueError: the learning rate follows another schedule.
    """
    model, optimizer = config["model"], config["optimizer"]
    if optimizer["schedule"] != "inverse_square_root":
        raise ValueError("The benchmark with Eole needs `optimizer.schedule` 'inverse_square_root'.")
    return {
        "compute_dtype": config["training"]["precision"],
        "param_init_method": "xavier_uniform",
        "dropout": [model["dropout"]],
        "attention_dropout": [model["attention_dropout"]],
        "label_smoothing": config["objective"]["label_smoothing"],
        "normalization": "tokens",
        "optim": "adamw",
        "learning_rate": optimizer["learning_rate"] * math.sqrt(model["d_model"] * optimizer["warmup_steps"]),
        "decay_method": "noam",
        "warmup_steps": optimizer["warmup_steps"],
        "adam_beta1": optimizer["betas"][0],
        "adam_beta2": optimizer["betas"][1],
        "adam_eps": optimizer["epsilon"],
        "weight_decay": optimizer["weight_decay"],
        "max_grad_norm": optimizer["clip_norm"],
        "log_attention_entropy": False,
    }


def tensor_batches(job: Values, vocabularies: dict[str, Any]) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield the batches over and over as Eole's own iterator does, each with the number of its bucket."""
    pairs = load_from_disk(job["pairs"])
    bos_id = job["token_ids"]["bos"]
    for rows in itertools.cycle(json.loads(Path(job["batches"]).read_text(encoding="utf-8"))):
        batch = pairs[rows]
        examples = [
            {"src": {"src_ids": source}, "tgt": {"tgt_ids": [bos_id, *target]}}
            | {"cid": "train", "cid_line_number": row, "sco": 1}
            for row, source, target in zip(rows, batch["input_ids"], batch["labels"], strict=True)
        ]
        yield tensorify(vocabularies, list(zip(examples, rows, strict=True)), torch.device(job["device"])), 0


if __name__ == "__main__":
    serve(prepare)
