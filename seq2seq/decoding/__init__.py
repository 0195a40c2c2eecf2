"""Search: from a model and sources to n-best lists.

`METHODS` names the algorithms; each is a frozen dataclass whose fields are its options and whose `search` returns, for
every source, its hypotheses, best first (`search.Search`). `corpus` decodes whole files, `output` reads and writes
n-best lists.
"""

from seq2seq.decoding.algorithms.beam import BeamSearch
from seq2seq.decoding.algorithms.diverse_beam import DiverseBeamSearch
from seq2seq.decoding.algorithms.greedy import Greedy
from seq2seq.decoding.algorithms.sampling import Sampling
from seq2seq.decoding.parts.search import Hypothesis, Search

METHODS: dict[str, type[Greedy] | type[BeamSearch] | type[Sampling] | type[DiverseBeamSearch]] = {
    "greedy": Greedy,
    "beam": BeamSearch,
    "sampling": Sampling,
    "diverse_beam": DiverseBeamSearch,
}

__all__ = ["METHODS", "BeamSearch", "DiverseBeamSearch", "Greedy", "Hypothesis", "Sampling", "Search"]
