"""What `test_two_processes` runs on each of two processes, with a folder as its argument.

Process r writes FOLDER/r.json and, of the first step's gradients, FOLDER/r.safetensors.
"""

import json
import os
import sys
import warnings
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors.torch import save_file

from seq2seq.data.batch import Batch
from seq2seq.gradients.greedy_cost import GreedyCost
from seq2seq.gradients.parameter_search import ParameterSearch
from seq2seq.metrics.cost import make_cost
from seq2seq.objectives.base import LossSum
from seq2seq.objectives.cross_entropy import CrossEntropy
from tests.fakes import CharTokenizer
from tests.gradients.searches import TeacherForcedCost
from tests.models.tiny import tiny_model
from tests.training.fakes import make_batch, make_trainer

NUM_STEPS = 100
ROWS = [0, 1, 2, 4, 7, 9]
"""In pairs of unlike lengths, so that neither process has the longest reference and all padding of the other."""


class Shards:
    """Successive rows, six a step, divided among processes."""

    def __init__(self, index: int, num_processes: int) -> None:
        self.index, self.num_processes = index, num_processes

    def micro_batches(self, position: Any) -> Iterator[tuple[Any, Batch]]:
        step = position or 0
        while True:
            step += 1
            rows = [row + step for row in ROWS]
            yield step, make_batch(rows[self.index :: self.num_processes])


def trained(folder: Path, shards: Shards) -> dict[str, Any]:
    """Train a tiny model for many steps; return what its weights have become and what processes told each other."""
    trainer = make_trainer(folder, loader=shards, dropout=0.0, max_steps=NUM_STEPS, validation_rows=None)
    rule = ParameterSearch(TeacherForcedCost(), shards.num_processes, alpha=10.0, num_candidates=4)
    num_bytes: list[int] = []
    original = torch.distributed.all_reduce if torch.distributed.is_initialized() else None

    def counting(tensor: torch.Tensor, *options: Any) -> Any:
        num_bytes[-1] += tensor.numel() * tensor.element_size()
        return original(tensor, *options)  # type: ignore[misc]

    def counted(*arguments: Any) -> LossSum:
        num_bytes.append(0)
        if original is not None:
            torch.distributed.all_reduce = counting
        try:
            return rule(*arguments)
        finally:
            if original is not None:
                torch.distributed.all_reduce = original

    trainer.gradient_rule = counted
    trainer.run()
    weights = [parameter.detach() for parameter in trainer.model.parameters()]
    checksum = sha256(b"".join(weight.numpy().tobytes() for weight in weights)).hexdigest()
    return {"checksum": checksum, "bytes": max(num_bytes)}


def decoded(path: Path, shards: Shards) -> dict[str, float]:
    """Search once around a Transformer by what it generates; return what is logged, and write the gradients."""
    torch.manual_seed(0)
    bare_model = tiny_model(vocab_size=13, tie_embeddings="all", eos_token_id=2).float()
    model = Accelerator(cpu=True).prepare(bare_model)
    cost = GreedyCost(make_cost("character_error_rate", pooled=True), CharTokenizer("abcdefghi"))
    rule = ParameterSearch(cost, shards.num_processes, noise=20.0, num_candidates=6)
    _, batch = next(shards.micro_batches(None))
    loss = rule(CrossEntropy(label_smoothing=0.1), model, batch, 1, lambda scalar: scalar.backward())
    save_file({name: p.grad for name, p in bare_model.named_parameters() if p.grad is not None}, path)
    return {name: float(value) for name, value in loss.logs.items()}


def both(folder: Path, shards: Shards) -> dict[str, Any]:
    path = folder / f"{shards.index}.safetensors"
    return {"trained": trained(folder / "run", shards), "decoded": decoded(path, shards)}


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    root, accelerator = Path(sys.argv[1]), Accelerator(cpu=True)
    index = accelerator.process_index
    (root / f"{index}.json").write_text(json.dumps(both(root, Shards(index, 2))))
    accelerator.wait_for_everyone()
    accelerator.end_training()
    sys.stderr.flush()
    os._exit(0)  # gloo's threads now and then abort the interpreter's own shutdown, long after what is tested
