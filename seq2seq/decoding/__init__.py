"""Search: from a model and sources to n-best lists.

`METHODS` names the algorithms; each is a frozen dataclass whose fields are its options and whose `search` returns, for
every source, its hypotheses, best first (`search.Search`). `corpus` decodes whole files, `output` reads and writes
n-best lists.
"""

from seq2seq.decoding.beam import BeamSearch
from seq2seq.decoding.diverse_beam import DiverseBeamSearch
from seq2seq.decoding.greedy import Greedy
from seq2seq.decoding.hypothesis import Hypothesis
from seq2seq.decoding.sampling import Sampling
from seq2seq.decoding.search import Search

METHODS: dict[str, type[Greedy] | type[BeamSearch] | type[Sampling] | type[DiverseBeamSearch]] = {
    "greedy": Greedy,
    "beam": BeamSearch,
    "sampling": Sampling,
    "diverse_beam": DiverseBeamSearch,
}

__all__ = ["METHODS", "BeamSearch", "DiverseBeamSearch", "Greedy", "Hypothesis", "Sampling", "Search"]
