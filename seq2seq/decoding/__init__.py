"""Search: from a model and sources to n-best lists.

Each search is a frozen dataclass whose fields are its options and whose `search` returns, for every source, its
hypotheses, best first (`parts.search.Search`). `SEARCHES` holds all of them by the names that a configuration gives
them, `ONE_SIDED` those that begin at one end.
"""

from typing import Any

from seq2seq.decoding.algorithms.beam import BeamSearch
from seq2seq.decoding.algorithms.diverse_beam import DiverseBeamSearch
from seq2seq.decoding.algorithms.greedy import Greedy
from seq2seq.decoding.algorithms.interleaved import InterleavedBeamSearch
from seq2seq.decoding.algorithms.joint import JointBeamSearch
from seq2seq.decoding.algorithms.minimum_bayes_risk import MinimumBayesRisk
from seq2seq.decoding.algorithms.rescoring import Rescored
from seq2seq.decoding.algorithms.sampling import Sampling
from seq2seq.decoding.algorithms.synchronous import SynchronousBeamSearch
from seq2seq.decoding.parts.search import Search
from seq2seq.generation.hypothesis import Hypothesis

ONE_SIDED: dict[str, type[Any]] = {
    "greedy": Greedy,
    "beam": BeamSearch,
    "sampling": Sampling,
    "diverse_beam": DiverseBeamSearch,
}
SEARCHES: dict[str, type[Any]] = ONE_SIDED | {
    "synchronous": SynchronousBeamSearch,
    "joint": JointBeamSearch,
    "interleaved": InterleavedBeamSearch,
    "rescored": Rescored,
    "minimum_bayes_risk": MinimumBayesRisk,
}

__all__ = ["ONE_SIDED", "SEARCHES", "BeamSearch", "DiverseBeamSearch", "Greedy", "Hypothesis", "Sampling", "Search"]
