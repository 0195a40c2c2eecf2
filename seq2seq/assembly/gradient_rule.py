"""From a configuration to how gradients are obtained: the third axis of training."""

from dataclasses import asdict
from typing import Any

from accelerate import Accelerator

from seq2seq.assembly.choices import made
from seq2seq.assembly.cost import build_cost
from seq2seq.config.schema import RunConfig
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.gradients.adversarial import AdversarialTraining, GradientPenalty
from seq2seq.gradients.base import Backprop, GradientRule
from seq2seq.gradients.greedy_cost import GreedyCost
from seq2seq.gradients.parameter_search import ParameterSearch

GRADIENT_RULES: dict[str, type[Any]] = {
    "backprop": Backprop,
    "adversarial_training": AdversarialTraining,
    "gradient_penalty": GradientPenalty,
    "parameter_search": ParameterSearch,
}


def build_gradient_rule(config: RunConfig, tokenizer: TextTokenizer, accelerator: Accelerator) -> GradientRule:
    """Return how gradients are obtained.

    Args:
        tokenizer: of what a search decodes.

    Raises:
        ValueError: an option is out of range, or does not go with the processes.
    """
    options = asdict(config.gradient) | {"precision": config.training.precision}
    if config.gradient.kind == "parameter_search":
        options = search_options(config, tokenizer, accelerator)
    rule: GradientRule = made(GRADIENT_RULES[config.gradient.kind], options)
    return rule


def search_options(config: RunConfig, tokenizer: TextTokenizer, accelerator: Accelerator) -> dict[str, Any]:
    """Return the options of parameter search, with what measures and where."""
    if accelerator.distributed_type.value == "FSDP":
        raise ValueError("Under FSDP no process holds the whole model, which `parameter_search` decodes with.")
    search = config.parameter_search
    cost = GreedyCost(build_cost(search.cost, config, tokenizer, pooled=search.pooled), tokenizer)
    return asdict(search) | {"cost": cost, "num_processes": accelerator.num_processes, "seed": config.training.seed}
