"""Peak memory of training steps by what is trained and how, each way in a process of its own on the same batch.

A model of the shape of T5-small (6+6 layers, 512 wide, 32,128 tokens, random weights) makes three steps. Memory is the
most that was resident, of the whole process and beyond what it had before it made the model.

    python benchmarks/tuning_memory.py [--sentences 16] [--length 64] [--precision fp32]
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from contextlib import nullcontext
from typing import Any

import torch

from seq2seq.assembly.process import keep_freed_memory, prepare_process
from seq2seq.data.batch import Batch
from seq2seq.gradients.base import Backprop
from seq2seq.gradients.transforms import clip, scale_gradients
from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig
from seq2seq.models.transformer.recomputation import recompute_layers
from seq2seq.objectives.cross_entropy import CrossEntropy
from seq2seq.training.freezing import Counts, freeze
from seq2seq.training.lora import LoraOptions, adapt
from seq2seq.training.optimizer import build_optimizer

SHAPE: dict[str, Any] = {
    **{"vocab_size": 32_128, "d_model": 512, "num_heads": 8, "ffn_size": 2048, "dropout": 0.1},
    **{"encoder_layers": 6, "decoder_layers": 6, "activation": "relu", "tie_embeddings": "all"},
    "positions": "sinusoidal",
}
WAYS: dict[str, dict[str, Any]] = {
    "full": {},
    "full, activations recomputed": {"recomputes": True},
    "full, Adafactor": {"optimizer": "adafactor"},
    "full, Adafactor, activations recomputed": {"optimizer": "adafactor", "recomputes": True},
    "embeddings and encoder frozen": {"freeze": ("embeddings", "encoder")},
    "LoRA 16, all linear layers": {"lora": LoraOptions(rank=16)},
    "LoRA 16, attention": {"lora": LoraOptions(rank=16, targets="attention")},
    "LoRA 16, all, activations recomputed": {"lora": LoraOptions(rank=16), "recomputes": True},
}
STEPS = 3


def resident_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(way: dict[str, Any], sentences: int, length: int, precision: str) -> dict[str, float]:
    """Return the memory of steps in this process, in MiB, and the seconds of the fastest."""
    prepare_process(1)
    torch.manual_seed(1)
    before = resident_mib()
    model = Seq2SeqTransformer(Seq2SeqTransformerConfig(**SHAPE)).train()
    freeze(model, way.get("freeze", ()))
    adapt(model, way.get("lora", LoraOptions()))
    if way.get("recomputes"):
        recompute_layers(model)
    name = way.get("optimizer", "adamw")
    optimizer = build_optimizer(
        model, name=name, learning_rate=1e-4, betas=(0.9, 0.98), epsilon=1e-8, weight_decay=0.01
    )
    ids = torch.randint(4, SHAPE["vocab_size"], (sentences, length))
    batch = Batch(ids, torch.ones_like(ids).bool(), ids, ids, torch.arange(sentences))
    keep_freed_memory()
    seconds = []
    for step in range(STEPS):
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext():
            loss = Backprop()(CrossEntropy(label_smoothing=0.1), model, batch, step, torch.Tensor.backward)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        scale_gradients(trained, 1 / loss.weight)
        clip(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - start)
    counts, peak = Counts.of(model), resident_mib()
    return {"trained": counts.trained, "peak": peak, "beyond": peak - before, "seconds": min(seconds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=16)
    parser.add_argument("--length", type=int, default=64, help="tokens of each source and each target")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measure(WAYS[options.way], options.sentences, options.length, options.precision)))
        return
    print("| what | parameters in training | peak, MiB | of full | beyond imports, MiB | of full | seconds a step |")
    print("|---|---|---|---|---|---|---|")
    full: dict[str, float] = {}
    for way in WAYS:
        command = [sys.executable, __file__, *sys.argv[1:], "--way", way]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        full = full or found
        shares = [f"{found[name]:,.0f} | {found[name] / full[name]:.2f}" for name in ("peak", "beyond")]
        print(f"| {way} | {found['trained']:,} | {shares[0]} | {shares[1]} | {found['seconds']:.2f} |", flush=True)


if __name__ == "__main__":
    main()
