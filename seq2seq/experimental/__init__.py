"""Ways of training without a result that speaks for them, under names such as `experimental.word_oracle`.

They import the core; nothing in the core imports them. docs/results/ways_of_training.md has what was measured.
"""

from typing import Any

from seq2seq.experimental.bag_of_words import BagOfWords
from seq2seq.experimental.gradient_penalty import GradientPenalty
from seq2seq.experimental.sequence_unlikelihood import SequenceUnlikelihood
from seq2seq.experimental.word_oracle import WordOracle

OBJECTIVES: dict[str, type[Any]] = {"bag_of_words": BagOfWords, "sequence_unlikelihood": SequenceUnlikelihood}
DECODER_INPUTS: dict[str, type[Any]] = {"word_oracle": WordOracle}
GRADIENT_RULES: dict[str, type[Any]] = {"gradient_penalty": GradientPenalty}
