"""Trains and decodes what `equality_tables` lists, with the package that is on the path, and prints the record as JSON.

Arguments: a folder to work in, the syntax of the configurations, and names of trainings and searches (none: all of
them). Each runs in a fork of its own, in which the libraries are loaded but nothing has been drawn or computed yet.
Times and folders do not enter the record; losses enter as exact numbers, files as sha256.
"""

import contextlib
import hashlib
import importlib
import json
import os
import platform
import subprocess
import sys
import traceback
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from equality_tables import FORMATS, LAUNCHED, PROCESSES, SEARCHES, SYNTAXES, TRAININGS, configuration, corpus
from equality_tables import models_and_options as models_and_options_of

CLOCK = {"seconds", "seconds_per_step", "tokens_per_second", "memory_mib"}
PACKAGES = ("torch", "transformers", "datasets", "tokenizers", "sentencepiece", "accelerate", "sacrebleu", "numpy")
LIMIT_S = 200


def in_fork(run: Callable[[], Any], log: Path) -> str | None:
    """Return None if a fork of this process ran the function to its end with 0, else the last line it wrote."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 1
        with log.open("w", encoding="utf-8") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            try:
                code = int(run())
            except BaseException:
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    _, status = os.waitpid(child, 0)
    return None if status == 0 else last_line(log)


def launched(arguments: list[str], log: Path) -> str | None:
    """Return what `in_fork` does, for a command on two processes; all addresses are loopback ones."""
    launcher = ["torch.distributed.run", "--standalone", "--local-addr=127.0.0.1", "--nproc_per_node=2"]
    command = [sys.executable, "-m", *launcher, "-m", "seq2seq.apps.command", *arguments]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "GLOO_SOCKET_IFNAME": "lo"}
    with log.open("w", encoding="utf-8") as file:
        done = subprocess.run(command, env=environment, stdout=file, stderr=file, timeout=LIMIT_S, check=False)
    return None if done.returncode == 0 else last_line(log)


def last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["no output"])[-1].replace(str(log.parent.parent), "FOLDER")


def command(arguments: list[str]) -> int:
    from seq2seq.apps.command import main

    return main(arguments)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# ---- trainings -------------------------------------------------------------------------------------------------------


def trained(name: str, folder: Path, syntax: str) -> dict[str, Any]:
    """Run a training; return its losses and weights, or its error."""
    path = folder / "configurations" / f"{name}.yaml"
    path.write_text(json.dumps(SYNTAXES[syntax](configuration(name, str(folder))), indent=1))  # JSON is YAML
    log = folder / "logs" / f"train {name}.txt"
    arguments = ["train", str(path)]
    error = launched(arguments, log) if name in PROCESSES else in_fork(lambda: command(arguments), log)
    if error is not None:
        return {"error": error}
    run = folder / "runs" / name
    logs = {file.parent.relative_to(run).as_posix(): columns(file) for file in sorted(run.rglob("log.jsonl"))}
    return {"logs": logs, "weights": sha256(run / "model" / "model.safetensors")}


def columns(log: Path) -> dict[str, dict[str, list[Any]]]:
    """Return a log's numbers, but for those of the clock, by kind of line and name, in the order of steps."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    found: dict[str, dict[str, list[Any]]] = {}
    for kind in dict.fromkeys(line["kind"] for line in lines):
        same = [line for line in lines if line["kind"] == kind]
        names = dict.fromkeys(name for line in same for name in line if name not in CLOCK | {"kind"})
        found[kind] = {name: [line.get(name) for line in same] for name in names}
    return found


# ---- decodings -------------------------------------------------------------------------------------------------------


def decoded(name: str, folder: Path) -> dict[str, str]:
    """Decode by a search in each way; return each output's sha256, or the error."""
    models, options = models_and_options_of(name, str(folder))
    if not all((folder / "runs" / model / "model").is_dir() for model in models):
        return {"error": f"not trained: {' '.join(models)}"}
    ways = [(output_format, str(number)) for output_format in FORMATS for number in (1, 2)]
    ways += [("jsonl", "launched")] if name in LAUNCHED else []
    return {f"{kind} {number}": output(name, folder, options, kind, number) for kind, number in ways}


def output(name: str, folder: Path, options: list[str], output_format: str, number: str) -> str:
    """Return the sha256 of what a search writes by a number of workers, or by two launched processes."""
    stem = f"{name} {output_format} {number}"
    path, log = folder / "outputs" / (stem + FORMATS[output_format]), folder / "logs" / f"decode {stem}.txt"
    path.unlink(missing_ok=True)
    arguments = ["decode", *options, "--input", str(folder / "data" / "test.txt"), "--output", str(path)]
    arguments += ["--format", output_format, "--device", "cpu"]
    if number == "launched":
        error = launched(arguments, log)
    else:
        error = in_fork(lambda: command([*arguments, "--processes", number]), log)
    return sha256(path) if error is None else f"error: {error}"


# ---- everything ------------------------------------------------------------------------------------------------------


def write_corpus(folder: Path) -> None:
    """Write the tables, the sources of the test part, and for each the first word of another target or nothing."""
    parts = corpus()
    data = folder / "data"
    for part, pairs in parts.items():
        (data / f"{part}.tsv").write_text("".join(f"{source}\t{target}\n" for source, target in pairs), "utf-8")
    (data / "test.txt").write_text("".join(f"{source}\n" for source, _ in parts["test"]), "utf-8")
    others = [target.split()[0] if i % 3 else "" for i, (_, target) in enumerate(parts["train"][: len(parts["test"])])]
    (data / "prefixes.txt").write_text("".join(f"{prefix}\n" for prefix in others), "utf-8")


def processor() -> str:
    """Return the name of the processor, and what of its instructions torch uses."""
    import torch

    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.split(':', 1)[1].strip()}, {torch.backends.cpu.get_cpu_capability()}"
    return platform.processor() or platform.machine()


def main() -> None:
    folder, syntax, names = Path(sys.argv[1]).resolve(), sys.argv[2], sys.argv[3:]
    for part in ("data", "configurations", "runs", "outputs", "logs", "cache"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    os.environ["HF_DATASETS_CACHE"] = str(folder / "cache")
    write_corpus(folder)
    package = importlib.import_module("seq2seq").__file__
    assert Path(str(package)).is_relative_to(Path.cwd()), f"not this tree's: {package}"
    for module in ("seq2seq.apps.train", "seq2seq.apps.decode", "matplotlib.pyplot"):
        with contextlib.suppress(ImportError):  # only to load it once
            importlib.import_module(module)
    record: dict[str, Any] = {
        "processor": processor(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "trainings": {},
        "decodings": {},
    }
    for name in [name for name in TRAININGS if not names or name in names]:
        print(f"training {name}", file=sys.stderr, flush=True)
        record["trainings"][name] = trained(name, folder, syntax)
    for name in [name for name in SEARCHES if not names or name in names]:
        print(f"decoding {name}", file=sys.stderr, flush=True)
        record["decodings"][name] = decoded(name, folder)
    print(json.dumps(record))


if __name__ == "__main__":
    main()
