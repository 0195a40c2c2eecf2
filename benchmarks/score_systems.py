"""A table of systems over seeds: scores, and p-values against a baseline for each seed and for their mean.

    python benchmarks/score_systems.py --texts runs/all_captions/texts/en-de_{1,2,3} --file test_2016_flickr.en \
        --reference data/multi30k/raw/test_2016_flickr.de --baseline continued --systems start taught

Texts are as `decode_systems.py` writes them. The test of a mean draws segments, the same ones for all seeds, and asks
how often the mean difference would be so far from zero if the systems were equal (paired bootstrap): it speaks of other
sentences, and the scores of single seeds speak of other trainings. Without `--systems` all are scored.
"""

import argparse
import statistics
from pathlib import Path

import numpy

from seq2seq.assembly.scoring import make_metrics
from seq2seq.lines import lines as read_lines
from seq2seq.metrics import Metric
from seq2seq.metrics.significance import NUM_SAMPLES, SEED, bootstrap_differences


def comparison(
    metric: Metric, systems: list[numpy.ndarray], baselines: list[numpy.ndarray]
) -> tuple[list[float], float]:
    """Return the p-value of each seed and that of the mean of all."""
    pairs = list(zip(systems, baselines, strict=True))
    drawn = [bootstrap_differences(metric, *pair, NUM_SAMPLES, SEED) for pair in pairs]
    observed = [metric.score(a.sum(axis=0)).value - metric.score(b.sum(axis=0)).value for a, b in pairs]
    p_values = [p_value(differences, difference) for differences, difference in zip(drawn, observed, strict=True)]
    return p_values, p_value(numpy.mean(drawn, axis=0), statistics.mean(observed))


def p_value(differences: numpy.ndarray, observed: float) -> float:
    """Return how often bootstrapped differences, shifted to mean zero, are as far from zero as the observed one."""
    far = numpy.abs(differences - differences.mean()) >= abs(observed) - 1e-9
    return float(far.sum() + 1) / (len(differences) + 1)


def row(metric: Metric, found: list[numpy.ndarray], baselines: list[numpy.ndarray]) -> str:
    """Return scores, p-values and their mean as words."""
    values = [metric.score(counts.sum(axis=0)).value for counts in found]
    if all(a is b for a, b in zip(found, baselines, strict=True)):
        return "  ".join(f"{value:.2f}" for value in values) + f"  mean {statistics.mean(values):.2f}"
    p_values, p_of_mean = comparison(metric, found, baselines)
    shown = "  ".join(f"{value:.2f} (p {p:.3f})" for value, p in zip(values, p_values, strict=True))
    gain = statistics.mean(values) - statistics.mean(metric.score(counts.sum(axis=0)).value for counts in baselines)
    return f"{shown}  mean {statistics.mean(values):.2f} ({gain:+.2f}, p {p_of_mean:.3f})"


def read_texts(folder: Path, name: str) -> list[str]:
    return list(read_lines(folder / f"{name}.txt"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, nargs="+", required=True, help="folder of each seed")
    parser.add_argument("--file", required=True, help="name of the decoded file")
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--baseline", required=True)
    parser.add_argument("--systems", nargs="+")
    parser.add_argument("--metrics", nargs="+", default=["bleu"])
    options = parser.parse_args()
    references = [[line] for line in read_lines(options.reference)]
    folders = [folder / options.file for folder in options.texts]
    names = options.systems or sorted(path.stem for path in folders[0].glob("*.txt"))
    texts = {
        name: [read_texts(folder, name) for folder in folders] for name in dict.fromkeys([options.baseline, *names])
    }
    for metric in make_metrics(options.metrics):
        counts = {name: [metric.statistics(seed, references) for seed in found] for name, found in texts.items()}
        for name, found in counts.items():
            print(f"{metric.name:6}{name:44}{row(metric, found, counts[options.baseline])}", flush=True)


if __name__ == "__main__":
    main()
