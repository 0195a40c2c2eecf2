"""Training speed of our trainer beside `Seq2SeqTrainer` of transformers, in turns, in one run.

    python benchmarks/training_speed.py --threads 2 --rounds 5
    python benchmarks/training_speed.py --threads 2 --rounds 5 --eole
    python benchmarks/training_speed.py --device cuda --size big --batch-tokens 32768 --peak-tflops 989

Both train a Transformer of the same form (Marian's: post-norm, sinusoidal positions, one embedding for source, target
and output) with the same number of parameters, on the same token ids, with the same loss, AdamW, dropout and clipping.
Each system and precision is a process of its own, warmed up before the first round; in each round every process in turn
makes `--steps` optimizer steps while the others wait. What counts is real target tokens per second, without padding.

Our batches hold up to `--batch-tokens` source and target positions, padding included. Transformers batches a fixed
number of pairs: here as many as ours hold on average, so steps of both have the same number of tokens on average.

`--eole` adds Eole's trainer, in an environment of its own that is made on first use, with the very batches of ours. Its
model is pre-norm, since its decoder knows nothing else, and has two norms more.

Prints medians over the rounds and the median over rounds of the ratio to the best of transformers; writes all of it to
benchmarks/results/training_speed-<label>.json. `--peak-tflops` adds the model FLOPs utilisation: 6 FLOPs per real token
and matrix weight that it meets, over the peak of the precision measured. Attention's own products are left out.

In bf16 on a CPU, memory of both systems grows with the number of distinct batch shapes, most likely a compiled kernel
each, which costs time too. The file holds every round; a longer `--warmup` comes closer to the speed of a long run.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import datasets
from workers.environment import interpreter
from workers.protocol import Values, Worker

from seq2seq.assembly.configuration import load_run_config
from seq2seq.assembly.data import build_data, build_loader
from seq2seq.assembly.model_folder import TOKENIZER_FOLDER
from seq2seq.training.accelerator import build_accelerator

BENCHMARKS = Path(__file__).resolve().parent
MODULES = {"ours": "training_ours", "transformers": "training_huggingface", "eole": "training_eole"}
PARAMETERS_TOLERANCE = 1e-3
"""Largest share by which models differ in size: the two final norms of a pre-norm model."""
PACKAGES = ("torch", "transformers", "accelerate", "tokenizers", "datasets")

System = tuple[str, str]
"""Name and precision."""


@dataclass(frozen=True)
class Size:
    """Sizes of a model with as many encoder as decoder layers."""

    d_model: int
    num_layers: int
    num_heads: int
    ffn_size: int

    def flops(self, vocab_size: int, source_tokens: int, target_tokens: int) -> int:
        """Return the FLOPs of forward and backward: the decoder also projects each source token to keys and values."""
        square, feed_forward = self.d_model**2, 2 * self.d_model * self.ffn_size
        per_source_token = self.num_layers * (4 * square + feed_forward + 2 * square)
        per_target_token = self.num_layers * (6 * square + feed_forward) + vocab_size * self.d_model
        return 6 * (per_source_token * source_tokens + per_target_token * target_tokens)


SIZES = {
    "smallest": Size(32, 1, 2, 64),
    "tiny": Size(128, 2, 4, 512),
    "small": Size(256, 4, 4, 1024),
    "base": Size(512, 6, 8, 2048),
    "big": Size(1024, 6, 16, 4096),
}


# ---- what every worker gets ------------------------------------------------------------------------------------------


def prepare_data(arguments: argparse.Namespace, folder: Path) -> Values:
    """Train the tokenizer, tokenise and filter the corpus; return the part of the job that all workers share."""
    datasets.config.HF_DATASETS_CACHE = folder / "cache"
    options = run_options(arguments, folder)
    config = load_run_config(options)
    tokenizer, corpus, *_ = build_data(config, Path(config.run_directory))
    loader = build_loader(config, corpus, tokenizer, build_accelerator("fp32", cpu=True))
    columns = {"source_ids": "input_ids", "target_ids": "labels"}
    pairs = corpus.select(loader.rows).select_columns(list(columns)).rename_columns(columns)
    pairs = pairs.add_column("length", loader.source_lengths)
    pairs.save_to_disk(folder / "pairs")
    batches = [batch.tolist() for batch in loader.plan(0).batches]
    (folder / "batches.json").write_text(json.dumps(batches), encoding="utf-8")
    return {
        "options": options,
        "pairs": str(folder / "pairs"),
        "batches": str(folder / "batches.json"),
        "token_ids": {"pad": tokenizer.pad_id, "bos": tokenizer.bos_id, "eos": tokenizer.eos_id},
        "tokenizer": str(Path(config.run_directory) / TOKENIZER_FOLDER),
        "vocab_size": tokenizer.target_vocab_size,
        "rows_per_batch": round(len(pairs) / len(batches)),
        "device": arguments.device,
        "steps": arguments.steps,
        "warmup": arguments.warmup,
    }


def run_options(arguments: argparse.Namespace, folder: Path) -> list[str]:
    """Return the options of `train.py` for the run to measure."""
    source, target = (first_lines(path, arguments.max_lines, folder) for path in arguments.data)
    size = SIZES[arguments.size]
    options = {
        "run_directory": folder / "run",
        "data.batch_tokens": arguments.batch_tokens,
        "tokenizer.vocab_size": arguments.vocab_size,
        "model.d_model": size.d_model,
        "model.encoder_layers": size.num_layers,
        "model.decoder_layers": size.num_layers,
        "model.num_heads": size.num_heads,
        "model.ffn_size": size.ffn_size,
        "model.norm_position": "post",
    }
    for split in ("train", "validation"):  # nothing is validated, but a run names both
        options |= {f"data.{split}.source": source, f"data.{split}.target": target}
    return [f"--{name}={value}" for name, value in options.items()]


def first_lines(path: Path, max_lines: int | None, folder: Path) -> Path:
    """Return the file itself, or a copy of its first lines."""
    if max_lines is None:
        return path.resolve()
    copy = folder / f"first{path.suffix}"
    with path.open("rb") as file:
        copy.write_bytes(b"".join(islice(file, max_lines)))
    return copy


def worker_of(system: System, shared_job: Values, arguments: argparse.Namespace, folder: Path) -> Worker:
    name, precision = system
    options = [*shared_job["options"], f"--training.precision={precision}"]
    job = shared_job | {"options": options, "config": asdict(load_run_config(options))}
    environment = {"HF_DATASETS_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
    if arguments.threads:
        environment |= {"OMP_NUM_THREADS": str(arguments.threads)}
    if arguments.device == "cuda":  # transformers would spread the batches over all that it sees
        environment |= {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]}
    return Worker(MODULES[name], job, environment, python=interpreter(name))


# ---- measuring -------------------------------------------------------------------------------------------------------


def measure(workers: dict[System, Worker], num_rounds: int) -> tuple[dict[System, Values], dict[System, list[Values]]]:
    """Return the facts about each system, and what it measured in each round."""
    facts: dict[System, Values] = {}
    with ExitStack() as stack:
        for system, worker in workers.items():  # one after another, since preparing is work too
            facts[system] = stack.enter_context(worker).ready()
        parameters = {system: fact["parameters"] for system, fact in facts.items()}
        smallest, largest = min(parameters.values()), max(parameters.values())
        assert largest <= smallest * (1 + PARAMETERS_TOLERANCE), f"the models differ in size: {parameters}"
        measured: dict[System, list[Values]] = {system: [] for system in workers}
        for number in range(1, num_rounds + 1):
            for system, worker in workers.items():
                measured[system].append(worker.go())
                speed = tokens_per_second(measured[system][-1])
                print(f"round {number}: {' '.join(system)}, {speed:,.0f} tokens/s", file=sys.stderr, flush=True)
    return facts, measured


def tokens_per_second(measured: Values) -> float:
    return measured["target_tokens"] / measured["seconds"]


def report(
    facts: dict[System, Values],
    measured: dict[System, list[Values]],
    vocab_size: int,
    arguments: argparse.Namespace,
) -> list[Values]:
    """Return one line per system: what was measured, on what, with what."""
    speeds = {system: [tokens_per_second(values) for values in rounds] for system, rounds in measured.items()}
    medians = {system: statistics.median(values) for system, values in speeds.items()}
    best = max((system for system in speeds if system[0] == "transformers"), key=medians.__getitem__)
    circumstances = {
        "settings": {name: value for name, value in vars(arguments).items() if name != "data"},
        "data": [path.name for path in arguments.data],
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "processor": processor_name(),
    }
    return [
        {
            "system": system[0],
            "precision": system[1],
            "target_tokens_per_second": speeds[system],
            "median": medians[system],
            "ratio_to_best_of_transformers": statistics.median(
                own / other for own, other in zip(speeds[system], speeds[best], strict=True)
            ),
            **utilisation(rounds, vocab_size, arguments),
            "facts": facts[system],
            "rounds": rounds,
            **circumstances,
        }
        for system, rounds in measured.items()
    ]


def utilisation(rounds: list[Values], vocab_size: int, arguments: argparse.Namespace) -> dict[str, float]:
    """Return the median share of the device's peak, where that is given."""
    if not arguments.peak_tflops:
        return {}
    size = SIZES[arguments.size]
    per_second = [
        size.flops(vocab_size, values["source_tokens"], values["target_tokens"]) / values["seconds"]
        for values in rounds
    ]
    return {"model_flops_utilisation": statistics.median(per_second) / (arguments.peak_tflops * 1e12)}


def processor_name() -> str:
    """Return what Linux calls the first processor, or what Python knows."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def print_table(lines: list[Values]) -> None:
    print(f"{'system':<14}{'precision':<11}{'target tokens/s':>16}{'ratio':>8}{'peak MiB':>10}{'MFU':>7}")
    for line in lines:
        utilised = line.get("model_flops_utilisation")
        print(
            f"{line['system']:<14}{line['precision']:<11}{line['median']:>16,.0f}"
            f"{line['ratio_to_best_of_transformers']:>8.2f}{line['rounds'][-1]['peak_memory_mib']:>10,.0f}"
            f"{'-' if utilised is None else format(utilised, '.1%'):>7}"
        )


def write_json(path: Path, lines: list[Values]) -> None:
    """Write one line of JSON per system."""
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text("[\n" + ",\n".join(map(json.dumps, lines)) + "\n]\n", encoding="utf-8")
    temporary.replace(path)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default_data = [Path("data/multi30k/raw/train.en"), Path("data/multi30k/raw/train.de")]
    parser.add_argument("--data", type=Path, nargs=2, default=default_data, metavar=("SOURCE", "TARGET"))
    parser.add_argument("--max-lines", type=int, help="use only the first lines of the data")
    parser.add_argument("--vocab-size", type=int, default=8000)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--precisions", nargs="+", choices=("fp32", "bf16"), default=["fp32", "bf16"])
    parser.add_argument("--eole", action="store_true", help="add Eole's trainer")
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=30, help="optimizer steps of a round")
    parser.add_argument("--warmup", type=int, default=5, help="optimizer steps before the first round, at least 1")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves the choice to torch")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--peak-tflops", type=float, help="what the device can do in the precision measured")
    parser.add_argument("--label", default=date.today().isoformat(), help="ends the name of the results' file")
    arguments = parser.parse_args()
    for name in ("rounds", "steps", "warmup"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} must be at least 1")
    return arguments


def main() -> None:
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        job = prepare_data(arguments, folder)
        names = [name for name in MODULES if name != "eole" or arguments.eole]
        systems = [(name, precision) for precision in arguments.precisions for name in names]
        workers = {system: worker_of(system, job, arguments, folder) for system in systems}
        facts, measured = measure(workers, arguments.rounds)
    lines = report(facts, measured, job["vocab_size"], arguments)
    print_table(lines)
    write_json(BENCHMARKS / "results" / f"training_speed-{arguments.label}.json", lines)


if __name__ == "__main__":
    main()
