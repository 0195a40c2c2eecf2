"""What the candidates of a parameter search cost: on the batch that they are chosen by, and on another one.

    python benchmarks/candidate_costs.py configs/multi30k_en_de_mgs.yaml --steps 6 -- --training.threads 1

Every step is one of the search, whose options may stand behind `--`, but the weights stay those it begins with. Prints
for each step the cost of the candidates around the gradient's step (guided) and around the current weights (others), on
the batch and on the next one, what the current weights cost on both, and how much weight the guided ones are given
(with `density: none`).
"""

import argparse
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy
from command_line import parse_with_training_options
from mitigation_cost import build_parts
from torch import nn

from seq2seq.assembly.process import keep_freed_memory, prepare_process
from seq2seq.data.batch import Batch
from seq2seq.gradients.candidate_updates import candidate_weights, is_guided
from seq2seq.gradients.greedy_cost import BatchCost
from seq2seq.gradients.parameter_search import LENGTH_FACTOR, ParameterSearch


@dataclass
class OnTwoBatches:
    """A `BatchCost` that also keeps what each candidate costs there and on another batch."""

    cost: BatchCost
    other: Batch
    found: list[tuple[float, float]] = field(default_factory=list)

    def statistics(self, model: nn.Module, batch: Batch, max_length: int) -> numpy.ndarray:
        statistics = self.cost.statistics(model, batch, max_length)
        elsewhere = self.cost.statistics(model, self.other, max(1, int(LENGTH_FACTOR * self.other.labels.shape[1])))
        self.found.append((self.cost.value(statistics), self.cost.value(elsewhere)))
        return statistics

    def value(self, summed: numpy.ndarray) -> float:
        return self.cost.value(summed)


def shown(name: str, costs: Iterable[tuple[float, float]]) -> str:
    """Return the mean costs on both batches, as words."""
    here, elsewhere = numpy.array(list(costs)).mean(0)
    return f"{name} {here:.3f}, {elsewhere:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--threads", type=int, default=0)
    options, rest = parse_with_training_options(parser)
    prepare_process(options.threads)
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        trainer, _ = build_parts([options.config, "--run_directory", folder, *rest])
    search = trainer.gradient_rule
    if not isinstance(search, ParameterSearch):
        parser.error("the configuration has no `gradient: parameter_search`.")
    micro_batches = trainer.loader.micro_batches(trainer.state.position)
    _, batch = next(micro_batches)
    for step in range(1, options.steps + 1):
        _, other = next(micro_batches)
        trainer.optimizer.zero_grad()
        cost = OnTwoBatches(search.batch_cost, other)
        rule = replace(search, batch_cost=cost, measure_current=True)
        rule(trainer.objective, trainer.model.train(), batch, step, trainer.accelerator.backward)
        *candidates, current = cost.found
        guided = [is_guided(k, search.components) for k in range(len(candidates))]
        unweighted = numpy.zeros(len(candidates))
        weights = candidate_weights(numpy.array(candidates)[:, 0], unweighted, search.alpha, search.alpha_mode)
        parts = [shown("current", [current])]
        for name, wanted in (("guided", True), ("others", False)):
            chosen = [found for found, is_one in zip(candidates, guided, strict=True) if is_one == wanted]
            parts += [shown(name, chosen)] if chosen else []
        print(f"step {step}: {'; '.join(parts)}; weight of guided {weights[guided].sum():.2f}", flush=True)
        batch = other


if __name__ == "__main__":
    main()
