"""What `test_sharded_transformer` runs on each of several processes, with a folder as its argument.

The Transformer itself, its layers sharded as accelerate would shard them: process r writes FOLDER/r.json, where for
each case, most of them generation orders, there is how far gradients, also of adversarial training, and validation loss
are from those of the whole model.
"""

import json
import os
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy
import torch
from accelerate import Accelerator
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from seq2seq.data.batch import Batch
from seq2seq.data.collate import collate
from seq2seq.data.companions import CompanionRows
from seq2seq.data.generation_order import Arranged, Arrangement
from seq2seq.data.sequences import Sequences
from seq2seq.gradients.adversarial import AdversarialTraining
from seq2seq.gradients.base import Backprop, GradientRule
from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig
from seq2seq.models.transformer.recomputation import recompute_layers
from seq2seq.objectives.cross_entropy import CrossEntropy
from seq2seq.training.freezing import freeze
from seq2seq.training.lora import LoraOptions, adapt
from seq2seq.training.validation import Validation

CASES: dict[str, dict[str, Any]] = {
    "l2r": {},
    "r2l": {"generation_order": "r2l", "positions": "rotary"},
    "bidirectional": {"generation_order": "bidirectional"},
    "interacting": {"generation_order": "bidirectional", "interaction": "gate"},
    "interleaved": {"generation_order": "interleaved"},
    "recomputing": {"recomputes": True},
    "frozen": {"frozen": ("embeddings", "cross_attention", "norms")},
    "adapted": {"rank": 2},
    "untied": {"tie_embeddings": "none", "norm": "rms_norm", "activation": "gelu_tanh"},
    "inputs tied": {"tie_embeddings": "inputs", "norm_position": "post", "output_bias": True, "activation": "silu"},
}
NUM_PAIRS = 7


def make_model(options: dict[str, Any]) -> Seq2SeqTransformer:
    torch.manual_seed(1)
    sizes = {"vocab_size": 31, "d_model": 16, "num_heads": 2, "ffn_size": 24, "encoder_layers": 2, "decoder_layers": 3}
    others = {name: value for name, value in options.items() if name not in ("recomputes", "frozen", "rank")}
    model = Seq2SeqTransformer(Seq2SeqTransformerConfig(**sizes, dropout=0.0, **others))
    if options.get("recomputes"):
        recompute_layers(model)
    freeze(model, options.get("frozen", ()))
    adapt(model, LoraOptions(rank=options.get("rank", 0)))
    return model


def make_batch(rows: list[int], options: dict[str, Any]) -> Batch:
    """Return the pairs of these numbers, whose lengths and tokens depend on their number alone."""
    targets = Sequences.of([[3 + (row * 5 + i * 7) % 28 for i in range(3 + row)] + [2] for row in range(NUM_PAIRS)])
    sources = Sequences.of([[3 + (row * 11 + i) % 28 for i in range(2 + row % 4)] + [2] for row in rows])
    order = options.get("generation_order", "l2r")
    arrange: Arrangement = Arranged(order)
    if "interaction" in options:
        arrange = CompanionRows(targets, targets, seed=1, dropout=0.0, is_scored=True)
    numbers = numpy.array(rows)
    arranged = arrange(targets.select(numbers), numbers, 0)
    return collate(sources, arranged, numbers, source_pad_id=0, target_pad_id=0, decoder_start_id=1)


def sharded(model: Seq2SeqTransformer) -> Seq2SeqTransformer:
    for layer in (*model.encoder.layers, *model.decoder.layers):
        fully_shard(layer)  # type: ignore[call-overload]
    fully_shard(model)
    assert all(isinstance(parameter, DTensor) for parameter in model.parameters())
    return model


def gradient_error(accelerator: Accelerator, options: dict[str, Any], rule: GradientRule) -> float:
    """Return by how much the gradients of a step differ, relative to the largest of each parameter."""
    rows, objective = list(range(NUM_PAIRS)), CrossEntropy(label_smoothing=0.1)
    whole, parts = make_model(options).train(), sharded(make_model(options)).train()
    rule(objective, whole, make_batch(rows, options), 1, torch.Tensor.backward)
    share = make_batch(rows[accelerator.process_index :: accelerator.num_processes], options)
    rule(objective, parts, share, 1, torch.Tensor.backward)
    errors = []
    for (name, parameter), expected in zip(parts.named_parameters(), whole.parameters(), strict=True):
        if not expected.requires_grad:
            assert parameter.grad is expected.grad is None, name
            continue
        assert isinstance(parameter.grad, DTensor), name
        assert expected.grad is not None, name
        found = parameter.grad.full_tensor() * accelerator.num_processes
        errors.append(float((found - expected.grad).abs().max() / expected.grad.abs().max().clamp(min=1e-6)))
    return max(errors)


def validation_error(accelerator: Accelerator, options: dict[str, Any]) -> float:
    """Return by how much the validation loss differs; all but one process have no batch, or one batch less."""
    model, order = make_model(options).eval(), options.get("generation_order", "l2r")
    expected = CrossEntropy(label_smoothing=0.0)(model, make_batch(list(range(NUM_PAIRS)), options), 1).mean
    batches = [make_batch(rows, options) for rows in ([0, 1], [2, 3, 4], [5, 6])]
    errors = []
    for first in (0, 1):  # shares of 3 and 0 batches, then of 2 and 1, or of 2, 1 and 0
        share = batches[accelerator.process_index * (3 - first) :][: 3 - first]
        validation = Validation(
            accelerator=accelerator,
            model=sharded(make_model(options)),
            objective=CrossEntropy(label_smoothing=0.0),
            batches=lambda share=share: share,  # type: ignore[misc]
            num_starts=2 if order == "interleaved" else 1,
            select_by="loss",
            patience=0,
        )
        errors.append(abs(validation.run(1).values["loss"] - expected))
    return max(errors)


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    accelerator = Accelerator(cpu=True)
    if find_spec("peft") is None:
        del CASES["adapted"]
    results = {
        name: {
            "gradients": gradient_error(accelerator, options, Backprop()),
            "adversarial": gradient_error(accelerator, options, AdversarialTraining(norm_over="row")),
            "validation": validation_error(accelerator, options),
        }
        for name, options in CASES.items()
    }
    (Path(sys.argv[1]) / f"{accelerator.process_index}.json").write_text(json.dumps(results))
    accelerator.wait_for_everyone()
    accelerator.end_training()
    sys.stderr.flush()
    os._exit(0)  # gloo's threads now and then abort the interpreter's own shutdown, long after what is tested
