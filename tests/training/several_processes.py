"""What `test_several_processes` runs on each of several processes, with a folder as its argument.

Each scenario is a function of its folder that returns what the test looks at; process r writes FOLDER/r.json.
"""

import json
import math
import os
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from seq2seq.data.batch import Batch
from seq2seq.gradients.adversarial import AdversarialTraining
from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig
from seq2seq.objectives.base import LossSum
from seq2seq.objectives.cross_entropy import CrossEntropy
from seq2seq.training.checkpoint import Checkpoints
from seq2seq.training.ema import ExponentialMovingAverage
from seq2seq.training.optimizer import build_optimizer
from tests.training.fakes import VOCAB_SIZE, FakeLoader, TinyModel, make_trainer

NUM_STEPS = 50


def replicated(folder: Path) -> dict[str, Any]:
    """Train with DDP; shares of validation differ in length."""
    options: dict[str, Any] = {"max_steps": NUM_STEPS, "validate_every": 20, "ema_decay": 0.9}
    state = make_trainer(folder, loader=loader(), **options).run()
    return {"micro_batches": state.num_micro_batches, "position": state.position, "best": state.best.value}


def sharded(folder: Path) -> dict[str, Any]:
    """Train a fully sharded model, stop after 4 steps, resume."""
    return train_sharded(folder, TinyModel, lambda model: [model.hidden])


def sharded_transformer(folder: Path) -> dict[str, Any]:
    """The same with the Transformer itself, each layer sharded for itself, and adversarial training."""
    return train_sharded(
        folder, make_transformer, lambda model: [*model.encoder.layers, *model.decoder.layers], **TRANSFORMER
    )


def make_transformer(dropout: float) -> nn.Module:
    torch.manual_seed(3)
    sizes = {"vocab_size": VOCAB_SIZE, "d_model": 16, "num_heads": 2, "ffn_size": 24}
    layers = {"encoder_layers": 2, "decoder_layers": 2}
    return Seq2SeqTransformer(Seq2SeqTransformerConfig(**sizes, **layers, dropout=dropout))


TRANSFORMER: dict[str, Any] = {"learning_rate": 0.01, "gradient_rule": AdversarialTraining(norm_over="row")}


def train_sharded(
    folder: Path,
    make_model: Callable[[float], nn.Module],
    parts: Callable[[Any], list[nn.Module]],
    learning_rate: float = 0.05,
    **options: Any,
) -> dict[str, Any]:
    """Train and resume with parts of a model sharded, and it as a whole; so are gradients, average and optimizer."""
    for max_steps in (4, 8):
        trainer = make_trainer(folder, loader=loader(), max_steps=max_steps, validation_rows=None, **options)
        model = make_model(0.3)
        rates = {"learning_rate": learning_rate, "betas": (0.9, 0.98), "epsilon": 1e-8, "weight_decay": 0.01}
        optimizer = build_optimizer(model, name="adamw", **rates)  # type: ignore[arg-type]
        names = dict(model.named_parameters())
        for module in (*parts(model), model):
            fully_shard(module)  # type: ignore[call-overload]
        replaced = {id(old): dict(model.named_parameters())[name] for name, old in names.items()}
        for group in optimizer.param_groups:
            group["params"] = [replaced[id(parameter)] for parameter in group["params"]]
        assert all(isinstance(parameter, DTensor) for parameter in model.parameters())
        trainer.model, trainer.optimizer = model, optimizer
        trainer.parameters, trainer.peak_rates = list(model.parameters()), [learning_rate] * len(optimizer.param_groups)
        trainer.ema = ExponentialMovingAverage(model, 0.9)
        trainer.checkpoints = Checkpoints(
            folder / "checkpoints",
            accelerator=trainer.accelerator,
            model=model,
            optimizer=optimizer,
            ema=trainer.ema,
            keep_checkpoints=3,
        )
        trainer.run()
    return {"steps": trainer.state.step}


def one_gets_a_signal(folder: Path) -> dict[str, Any]:
    """The last process is told to stop during its third step."""
    trainer = make_trainer(folder, loader=loader(), max_steps=9)
    objective = trainer.objective

    def interrupted(model: Any, batch: Batch, step: int) -> LossSum:
        if step == 3 and trainer.accelerator.is_last_process:
            os.kill(os.getpid(), signal.SIGTERM)
        return objective(model, batch, step)

    trainer.objective = interrupted
    try:
        trainer.run()
    except SystemExit as error:
        return {"code": error.code, "step": trainer.state.step}
    return {}


def one_is_not_finite(folder: Path) -> dict[str, Any]:
    """Only the last process meets a loss that is no number."""
    trainer = make_trainer(folder, loader=loader(), max_steps=9)

    def poisoned(model: Any, batch: Batch, step: int) -> LossSum:
        loss = CrossEntropy(label_smoothing=0.0)(model, batch, step)
        factor = math.nan if step == 2 and trainer.accelerator.is_last_process else 1.0
        return LossSum(loss.loss_sum * factor, loss.weight, loss.logs)

    trainer.objective = poisoned
    try:
        trainer.run()
    except FloatingPointError as error:
        return {"error": str(error)}
    return {}


def the_disk_is_full(folder: Path) -> dict[str, Any]:
    """The main process cannot write; the others must hear of it, not wait for ever."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "checkpoints").touch()  # a file where a folder should be
    try:
        make_trainer(folder, loader=loader(), max_steps=1).run()
    except OSError as error:
        return {"error": str(error)}
    return {}


def loader() -> FakeLoader:
    accelerator = Accelerator(cpu=True)
    return FakeLoader(process=accelerator.process_index, num_processes=accelerator.num_processes)


SCENARIOS = (replicated, sharded, sharded_transformer, one_gets_a_signal, one_is_not_finite, the_disk_is_full)

if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    root, accelerator = Path(sys.argv[1]), Accelerator(cpu=True)
    results = {scenario.__name__: scenario(root / scenario.__name__) for scenario in SCENARIOS}
    (root / f"{accelerator.process_index}.json").write_text(json.dumps(results))
    accelerator.wait_for_everyone()
    accelerator.end_training()
    sys.stderr.flush()
    os._exit(0)  # gloo's threads now and then abort the interpreter's own shutdown, long after what is tested
