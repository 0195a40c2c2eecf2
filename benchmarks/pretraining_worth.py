"""What a pretrained model is worth on a thousand pairs: tuned here, against the same pairs from random weights.

    python benchmarks/pretraining_worth.py --data data --seeds 1 2 3 --output benchmarks/results/pretraining_worth.jsonl

A Marian model of transformers learns English to French from all captions of Multi30k, by transformers' own trainer. It
is saved, and `seq2seq train --init-from` tunes it to English to German with the first thousand captions; the same
thousand are also learned from random weights, with the network and tokenizer of the other and the rate of
`configs/tsv.yaml`. Both choose their checkpoint on the same captions; test 2016 is decoded as `decode` does. How much
French is forgotten is measured by what the model makes of test 2016 before and after. A line of the output is a run;
what is there already is not run again. `--table` prints means and the significance of their difference.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

import torch
from command_line import parse_with_training_options
from quality import read_lines, write_lines
from transformers import (
    DataCollatorForSeq2Seq,
    MarianConfig,
    MarianMTModel,
    PreTrainedTokenizerFast,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
)

from seq2seq.data.tokenizer import TextTokenizer

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path("runs/pretraining_worth")
SIZES = {
    "d_model": 256,
    "encoder_layers": 3,
    "decoder_layers": 3,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 1024,
    "decoder_ffn_dim": 1024,
    "activation_function": "swish",
    "scale_embedding": True,
    "max_position_embeddings": 512,
}
VOCABULARY = 8000
WAYS = ("tuned", "from random weights")


def lines_of(data: Path, part: str, language: str) -> list[str]:
    return read_lines(data / f"multi30k/raw/{part}.{language}")


def prepare(data: Path, num_pairs: int) -> None:
    """Write the files of both tasks."""
    parts = {"train": "train", "dev": "val", "test": "test_2016_flickr"}
    for target in ("fr", "de"):
        for part, name in parts.items():
            sides = [lines_of(data, name, language) for language in ("en", target)]
            pairs = list(zip(*sides, strict=True))
            pairs = pairs[:num_pairs] if (target, part) == ("de", "train") else pairs
            write_lines(FOLDER / f"{part}.{target}.tsv", ("\t".join(pair) for pair in pairs))
            for side, texts in zip(("source", "target"), zip(*pairs, strict=True), strict=True):
                write_lines(FOLDER / f"{part}.{target}.{side}", texts)


def pretrain(steps: int, threads: int) -> Path:
    """Train a Marian model from English to French by transformers; return its folder."""
    folder = FOLDER / "english_french"
    if (folder / "model.safetensors").is_file():
        return folder
    torch.set_num_threads(threads)
    pairs = [line.split("\t") for line in read_lines(FOLDER / "train.fr.tsv")]
    german = [line.split("\t")[1] for line in read_lines(FOLDER / "train.de.tsv")]
    texts = [text for pair in pairs for text in pair] + german
    tokenizer = TextTokenizer.train(texts, [], vocab_size=VOCABULARY)
    tokenizer.save(folder)
    ids = {"pad_token_id": tokenizer.pad_id, "eos_token_id": tokenizer.eos_id, "forced_eos_token_id": tokenizer.eos_id}
    config = MarianConfig(
        vocab_size=tokenizer.target_vocab_size, decoder_start_token_id=tokenizer.pad_id, **ids, **SIZES
    )
    torch.manual_seed(1)
    model = MarianMTModel(config)
    model.generation_config.update(num_beams=5, max_length=128)
    sources, targets = (
        encode([pair[side] for pair in pairs])
        for side, encode in enumerate((tokenizer.encode_sources, tokenizer.encode_targets))
    )
    rows = [{"input_ids": source, "labels": target} for source, target in zip(sources, targets, strict=True)]
    arguments = Seq2SeqTrainingArguments(
        output_dir=str(FOLDER / "trainer"),
        max_steps=steps,
        per_device_train_batch_size=64,
        train_sampling_strategy="group_by_length",
        learning_rate=7e-4,
        warmup_steps=400,
        lr_scheduler_type="linear",
        label_smoothing_factor=0.1,
        logging_steps=100,
        save_strategy="no",
        report_to=[],
        seed=1,
        use_cpu=True,
    )
    padder = DataCollatorForSeq2Seq(PreTrainedTokenizerFast.from_pretrained(folder), model=model)
    Seq2SeqTrainer(model=model, args=arguments, train_dataset=rows, data_collator=padder).train()
    model.save_pretrained(folder)
    return folder


def seq2seq(*words: str) -> str:
    command = [sys.executable, "-m", "seq2seq.apps.command", *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def decoded(model: Path, name: str, target: str, threads: int) -> dict[str, float]:
    """Decode test 2016 of a language with a model; return its scores."""
    output = FOLDER / f"{name}.{target}.hypothesis"
    seq2seq("decode", "--model", str(model), "--input", str(FOLDER / f"test.{target}.source"), "--output", str(output),
            "--threads", str(threads), "--processes", "1")  # fmt: skip
    scores = seq2seq("score", "--hypothesis", str(output), "--reference", str(FOLDER / f"test.{target}.target"),
                     "--metrics", "bleu", "chrf", "--json")  # fmt: skip
    return {score["name"]: score["value"] for score in json.loads(scores)}


def measure(way: str, seed: int, start: Path, threads: int, more: list[str]) -> dict:
    """Train one run, decode with it in both languages, and return the scores."""
    name = f"{way.replace(' ', '_')}_{seed}"
    run = FOLDER / name
    pairs, held_out = (FOLDER / f"{part}.de.tsv" for part in ("train", "dev"))
    words = ["--run_directory", str(run), f"--data.validation.path={held_out}", "--training.seed", str(seed)]
    words += ["--training.threads", str(threads)]
    if way == "tuned":
        words = ["train", str(ROOT / "configs/finetune.yaml"), f"--data.train.path={pairs}", *words]
        words += ["--init-from", str(start)]
    else:  # by `configs/tsv.yaml`, but for its tokenizer
        words = ["train", str(pairs), *words, "--tokenizer.from_run", str(start)]
        words += ["--model.ffn_size", "1024", "--training.max_steps", "1500"]
        words += ["--validation.every", "250", "--training.checkpoint_every", "250"]
    seq2seq(*words, *more)
    scores = decoded(run, name, "de", threads)
    forgotten = decoded(run, name, "fr", threads) if way == "tuned" else {}
    return scores | {f"french_{name}": value for name, value in forgotten.items()}


def print_table(lines: list[dict]) -> None:
    """Print the means of both ways, and how sure their difference is."""
    for way in ("before tuning", *WAYS):
        found = [line for line in lines if line["way"] == way]
        for name in ("bleu", "chrf", "french_bleu", "french_chrf"):
            values = [line[name] for line in found if name in line]
            if values:
                spread = f"{statistics.stdev(values):.2f}" if len(values) > 1 else "-"
                print(f"| {way} | {name} | {statistics.mean(values):.2f} | {spread} | {len(values)} |")
    for seed in sorted({line["seed"] for line in lines if line["way"] == WAYS[0]}):
        outputs = [str(FOLDER / f"{way.replace(' ', '_')}_{seed}.de.hypothesis") for way in WAYS]
        reference = str(FOLDER / "test.de.target")
        words = ["--hypothesis", outputs[0], "--baseline", outputs[1], "--reference", reference, "--metrics", "bleu"]
        print(seq2seq("score", *words))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--pairs", type=int, default=1000, help="pairs to tune with; default: 1000")
    parser.add_argument("--pretraining-steps", type=int, default=3000, help="steps of transformers; default: 3000")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks/results/pretraining_worth.jsonl")
    parser.add_argument("--table", action="store_true", help="run nothing, print the table of the output")
    options, more = parse_with_training_options(parser)
    done = [json.loads(line) for line in read_lines(options.output)] if options.output.is_file() else []
    if options.table:
        print_table(done)
        return
    prepare(options.data, options.pairs)
    start = pretrain(options.pretraining_steps, options.threads)
    known = {(line["way"], line["seed"]) for line in done}
    for seed in options.seeds:
        for way in ("before tuning", *options.ways):
            if (way, seed) in known or (way == "before tuning" and seed != options.seeds[0]):
                continue
            line: dict = {"way": way, "seed": seed}
            if way == "before tuning":
                line |= {
                    f"french_{name}": value for name, value in decoded(start, "start", "fr", options.threads).items()
                }
            else:
                line |= measure(way, seed, start, options.threads, more)
            options.output.parent.mkdir(parents=True, exist_ok=True)
            with options.output.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
