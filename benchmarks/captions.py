"""The Multi30k experiments on one accelerator, from nothing: every training over seeds, and what each search finds.

    python benchmarks/captions.py --folder runs/all_captions --parallel 14 --minutes 10

A seed is one of all stages: a model from the left of its own, by the full recipe (`start`), from which all others go
on. Texts go to FOLDER/texts/PAIR_SEED/FILE/SYSTEM.txt, for `score_systems.py`. What has finished is not repeated, so
the same command goes on where it was stopped. Trainings share the accelerator, so their times mean nothing; those that
are compared make as many steps as take as long on a CPU (docs/results/cost_of_ways.md).
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from job_graph import Job, JobGraph
from mitigations import COSTS, VARIANTS, settings

RAW = Path("data/multi30k/raw")
TRAIN = [
    *(sys.executable, "train.py", "configs/multi30k_en_de.yaml", "--validation.every", "0", "--validation.metrics=[]"),
    *("--validation.select_by", "loss", "--training.checkpoint_every", "2000"),
    *("--training.threads", "1", "--decoding.beam.beam_width", "4", "--training.precision", "fp32"),
]
GO_ON = ["--optimizer.learning_rate", "1e-3", "--optimizer.warmup_steps", "100", "--optimizer.ema_decay", "0.995"]
BOTH = ["--model.generation_order", "bidirectional"]
INTERLEAVED = ["--model.generation_order", "interleaved", "--optimizer.ema_decay", "0.998"]
INTERACTIONS = {
    "tanh": ["--model.interaction", "tanh"],
    "gate": ["--model.interaction", "gate"],
    "linear": ["--model.interaction", "linear"],
    "relu": ["--model.interaction", "relu"],
    "tanh_last": ["--model.interaction", "tanh", "--model.interaction_layers", "last"],
    "tanh_0.5": ["--model.interaction", "tanh", "--model.interaction_weight", "0.5"],
}

STEPS, SAMPLES = 1080, 58_000
"""Further training from a start; recombined sources."""

LEFT = {"": "", "_beam8": "beam_width=8", "_greedy": "beam_width=1"}
TWO = {f"_two_{weight}": f"right_model={{r2l}} rescore=both rescoring_weight={weight}" for weight in (0.3, 0.5)}
TWO |= {"_two_0.3_beam2": TWO["_two_0.3"] + " beam_width=2"}
TWO |= {
    f"_margin_{margin}": f"right_model={{r2l}} rescore=r2l rescoring_weight=0.3 rescoring_margin={margin}"
    for margin in (0.005, 0.01, 0.015)
}
OF_BOTH = {
    "_left": "generation_order=l2r",
    "_right": "generation_order=r2l",
    "_synchronous": "generation_order=bidirectional",
    "_both_0.3": "rescore=both rescoring_weight=0.3",
    "_both_0.5": "rescore=both",
}
INTERACTING = OF_BOTH | {"_pairs": "generation_order=bidirectional pairing=joint"}
OF_INTERLEAVED = {
    "": "",
    "_longer": "length_penalty=2",
    "_ranked": "left_model={start} rescore=l2r rescoring_weight=0.7",
}


@dataclass(frozen=True)
class Captions:
    """The jobs of one pair of languages and one seed."""

    source: str
    target: str
    seed: int
    folder: Path

    def path(self, kind: str, name: str = "") -> Path:
        return self.folder / kind / f"{self.source}-{self.target}_{self.seed}" / name

    def job(self, name: str, command: list[str], *needs: str) -> Job:
        prefix = f"{self.source}-{self.target}_{self.seed}_"
        return Job(prefix + name, tuple(command), tuple(prefix + needed for needed in needs))

    def train(self, name: str, start: str, steps: int, *options: str, taught: str = "", sources: str = "") -> Job:
        """Return a training that goes on from another; by default it learns from the references."""
        files = {"train.source": self.path("data", sources) if sources else RAW / f"train.{self.source}"}
        files |= {"train.target": self.path("data", taught) if taught else RAW / f"train.{self.target}"}
        files |= {"validation.source": RAW / f"val.{self.source}", "validation.target": RAW / f"val.{self.target}"}
        command = [*TRAIN, "--run_directory", str(self.path("runs", name)), "--training.seed", str(self.seed)]
        command += [part for option, file in files.items() for part in (f"--data.{option}", str(file))]
        command += ["--training.max_steps", str(steps)]
        if start:
            command += ["--init-from", str(self.path("runs", start)), *GO_ON]
        return self.job(name, [*command, *options], *filter(None, (start, taught)))

    def search(self, system: str, searches: dict[str, str], other: str = "", name: str = "") -> Job:
        """Return the decoding of development and test text by some searches, of which some need another model."""
        command = [sys.executable, "benchmarks/decode_systems.py", "--threads", "1", "--output"]
        command += [str(self.path("texts")), "--input", f"{RAW}/val.{self.source}"]
        command += [f"{RAW}/test_2016_flickr.{self.source}"]
        for suffix, options in searches.items():
            filled = options.format(**({other: self.path("runs", other)} if other else {}))
            command += ["--system", system + suffix, str(self.path("runs", system)), "beam_width=4", *filled.split()]
        return self.job(f"search_{name or system}", command, system, *filter(None, (other,)))

    def teach(self, name: str, teacher: str, sources: str = "", right: str = "") -> Job:
        """Return the decoding of sources, by default those of training, by which another model is taught."""
        file = self.path("data", sources) if sources else RAW / f"train.{self.source}"
        command = [sys.executable, "decode.py", "--threads", "1", "--beam-width", "4", "--batch-tokens", "32768"]
        command += ["--model", str(self.path("runs", teacher)), "--input", str(file)]
        command += ["--output", str(self.path("data", name))]
        if right:
            command += ["--right-model", str(self.path("runs", right))]
            command += ["--rescore", "both", "--rescoring-weight", "0.3"]
        return self.job(name, command, *filter(None, (teacher, sources, right)))

    # ---- experiments -------------------------------------------------------------------------------------------------

    def start(self) -> Iterator[Job]:
        yield self.train("start", "", 4200)
        yield self.search("start", LEFT)

    def directions(self) -> Iterator[Job]:
        """A model from the right, the start with it, and continued training from the left."""
        yield self.train("r2l", "start", STEPS, "--model.generation_order", "r2l")
        yield self.train("continued", "start", STEPS)
        yield self.search("continued", LEFT)
        yield self.search("r2l", {"": ""})
        yield self.search("start", TWO, "r2l", name="two")

    def taught(self) -> Iterator[Job]:
        """One model from the left, taught by both directions."""
        yield self.teach("by_two", "start", right="r2l")
        yield self.train("taught", "start", STEPS, taught="by_two")
        yield self.search("taught", LEFT)
        yield self.search("taught", {"_two_0.3": TWO["_two_0.3"]}, "r2l", name="taught_two")

    def interleaved(self) -> Iterator[Job]:
        """Taught by the start, then by its successor on recombined sources too, with controls from the left."""
        yield self.teach("by_start", "start")
        yield self.train("distilled", "start", STEPS, taught="by_start")
        yield self.train("interleaved", "start", 2000, *INTERLEAVED, taught="by_start")
        yield self.search("distilled", {"": ""})
        sources = self.path("data", "recombined")
        command = [sys.executable, "benchmarks/recombine_sources.py", "--input", f"{RAW}/train.{self.source}"]
        command += ["--keep-input", "--count", str(SAMPLES), "--seed", str(self.seed), "--output", str(sources)]
        yield self.job("recombined", command)
        yield self.teach("of_recombined", "distilled", sources="recombined")
        yield self.teach("by_distilled", "distilled")
        more = ["interleaved", 3000, *INTERLEAVED, "--optimizer.learning_rate", "1.2e-3"]
        yield self.train("interleaved_recombined", *more, taught="of_recombined", sources="recombined")
        yield self.train("interleaved_more", *more, taught="by_distilled")
        yield self.train("distilled_recombined", "start", STEPS, taught="of_recombined", sources="recombined")
        for system in ("interleaved", "interleaved_recombined", "interleaved_more"):
            yield self.search(system, OF_INTERLEAVED, "start")
        yield self.search("distilled_recombined", {"": ""})

    def interaction(self) -> Iterator[Job]:
        """Both directions in one model, and then as many steps without and with each kind of interaction."""
        yield self.train("both", "start", 1010, *BOTH)
        yield self.train("both_more", "both", 1010, *BOTH)
        companions = [*BOTH, "--companions.model", str(self.path("runs", "both"))]
        for kind, options in INTERACTIONS.items():
            yield self.train(kind, "both", 1010, *companions, *options)
        yield self.search("both", OF_BOTH)
        yield self.search("both_more", OF_BOTH)
        for kind in INTERACTIONS:
            yield self.search(kind, INTERACTING)

    def ways(self, chosen: dict[str, tuple[list[str], float]]) -> Iterator[Job]:
        """Ways of training, for as long as `continued`."""
        for name, (options, cost) in chosen.items():
            folder = name.replace(",", "").replace(" ", "_")
            yield self.train(folder, "start", round(STEPS / cost), *options)
            yield self.search(folder, LEFT)
            mean = [sys.executable, "-m", "seq2seq.apps.command", "average", "--output"]
            mean += [str(self.path("runs", f"mean_{folder}") / "model"), "--model"]
            mean += [str(self.path("runs", run)) for run in ("start", folder)]
            yield self.job(f"mean_{folder}", mean, "start", folder)
            yield self.search(f"mean_{folder}", LEFT)


def all_jobs(folder: Path) -> Iterator[Job]:
    """Yield all jobs, the most wanted first."""
    english = [Captions("en", "de", seed, folder) for seed in (1, 2, 3)]
    german = [Captions("de", "en", seed, folder) for seed in (1, 2, 3)]
    for captions in (*english, *german):
        yield from captions.start()
    for captions in english:
        yield from captions.interleaved()
    for captions in (*english, *german):
        yield from captions.directions()
    for captions in (*english, *german):
        yield from captions.taught()
    for captions in english:
        yield from captions.interaction()
    for captions in english[1:]:
        yield from captions.ways({name: (VARIANTS[name], COSTS.get(name, 1.0)) for name in ("R-Drop", "TaiLr")})
    yield from english[0].ways({name: found for name, found in settings().items() if found[0]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--parallel", type=int, default=1, help="jobs at a time, a core each")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    options = parser.parse_args()
    (options.folder / "data").mkdir(parents=True, exist_ok=True)
    raise SystemExit(not JobGraph(all_jobs(options.folder), options.folder, options.parallel).run(options.minutes))


if __name__ == "__main__":
    main()
