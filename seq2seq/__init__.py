"""Encoder-decoder text generation: train, decode and score.

`train(pairs, run_directory=…)` trains a model, `load(folder)` gives a trained one as one object, `pipeline(task,
folder)` as those of transformers 4, `CTranslate2Engine(folder)` an export, without torch, and `score(hypotheses,
references)` says how good texts are. Taking `Seq2SeqTransformer` from this package makes it known to `AutoConfig` and
`AutoModelForSeq2SeqLM` of transformers, which are not imported before.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seq2seq.assembly.generator import TextGenerator, load
    from seq2seq.assembly.pipelines import TextPipeline, pipeline
    from seq2seq.assembly.scoring import Scores, score
    from seq2seq.assembly.training_in_python import TrainedRun, train
    from seq2seq.engines.ctranslate2_engine import CTranslate2Engine
    from seq2seq.generation.output import TextHypothesis
    from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig

__version__ = "0.1.0"
__all__ = [
    "CTranslate2Engine",
    "Scores",
    "Seq2SeqTransformer",
    "Seq2SeqTransformerConfig",
    "TextGenerator",
    "TextHypothesis",
    "TextPipeline",
    "TrainedRun",
    "load",
    "pipeline",
    "score",
    "train",
]

_HOMES = {
    "CTranslate2Engine": "seq2seq.engines.ctranslate2_engine",
    "load": "seq2seq.assembly.generator",
    "TextGenerator": "seq2seq.assembly.generator",
    "TextHypothesis": "seq2seq.generation.output",
    "pipeline": "seq2seq.assembly.pipelines",
    "TextPipeline": "seq2seq.assembly.pipelines",
    "train": "seq2seq.assembly.training_in_python",
    "TrainedRun": "seq2seq.assembly.training_in_python",
    "score": "seq2seq.assembly.scoring",
    "Scores": "seq2seq.assembly.scoring",
    "Seq2SeqTransformer": "seq2seq.models.transformer",
    "Seq2SeqTransformerConfig": "seq2seq.models.transformer",
}
"""Where each name is; imported when it is asked for, so that decoding starts without what it does not need."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
