"""Whether a model and its ONNX export say the same, and how fast either is.

Enter a generator, the exported folder and lines; leaves how many lines get the same tokens. Both sides take the
likeliest token, step after step, up to the run's length limit, behind the token that targets have to begin with, where
there is one, and by the rules of the model's folder. onnxruntime is fed one sentence at a time, as a page is, and is
given its own keys and values back.
"""

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy
import torch

from seq2seq.assembly.generator import TextGenerator
from seq2seq.assembly.search import inner_search
from seq2seq.decoding.algorithms.beam import BeamSearch
from seq2seq.decoding.parts.options import SearchOptions
from seq2seq.export.ctranslate2_parity import best_hypotheses, encoded_sources
from seq2seq.export.onnx_export import ENGINE_FILE
from seq2seq.export.onnx_network import past_names
from seq2seq.export.onnx_nodes import HOW_TO_INSTALL
from seq2seq.export.onnx_rules import within_rules
from seq2seq.files import read_object


@dataclass(frozen=True)
class OnnxParity:
    """What a comparison found; `largest_score_difference` is over lines with the same tokens, NaN where none has."""

    num_lines: int
    num_equal: int
    largest_score_difference: float
    seconds: float
    onnx_seconds: float


class Generated(NamedTuple):
    """Tokens, end of sentence included, and the sum of their log-probabilities."""

    tokens: tuple[int, ...]
    score: float


def require_onnxruntime() -> Any:
    """Return the library; raise ValueError with the way to install it where it is missing."""
    try:
        import onnxruntime
    except ImportError:
        raise ValueError(f"onnxruntime is not installed: {HOW_TO_INSTALL}.") from None
    return onnxruntime


def measure_onnx_parity(folder: Path, generator: TextGenerator, lines: Iterable[str]) -> OnnxParity:
    """Decode the lines, but not those without any token, with a model on the CPU and with its export.

    Raises:
        ValueError: onnxruntime is missing, or no line has a token.
    """
    plain = inner_search(generator.search)
    assert isinstance(plain, SearchOptions), "a search of one model has limits"
    sources = encoded_sources(generator, lines)
    exported = OnnxModel(folder)
    start = time.perf_counter()
    target_start = generator.tokenizer.target_start
    search = generator.rules.applied(BeamSearch(beam_width=1, max_length=plain.max_length))
    assert isinstance(search, BeamSearch), "rules make no other search of one"
    ours = best_hypotheses(generator.model, sources, search, generator.batch_tokens, target_start)
    middle = time.perf_counter()
    theirs = [exported.greedy(source, plain.max_length) for source in sources]
    end = time.perf_counter()
    differences = [
        abs(hypothesis.score - found.score)
        for hypothesis, found in zip(ours, theirs, strict=True)
        if hypothesis.tokens == found.tokens
    ]
    return OnnxParity(
        num_lines=len(sources),
        num_equal=len(differences),
        largest_score_difference=max(differences, default=math.nan),
        seconds=middle - start,
        onnx_seconds=end - middle,
    )


class OnnxModel:
    """The graphs of a folder, run by onnxruntime on the CPU with as many threads as torch has."""

    def __init__(self, folder: Path) -> None:
        runtime = require_onnxruntime()
        self.values = read_object(folder / ENGINE_FILE)
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
        self.encoder, self.decoder = (
            runtime.InferenceSession(str(folder / self.values[role]), options, providers=["CPUExecutionProvider"])
            for role in ("encoder", "decoder")
        )

    def encode(self, source: Sequence[int]) -> dict[str, Any]:
        """Return the decoder's inputs of the first step but for its token."""
        ids = numpy.array([source], dtype=numpy.int64)
        mask = numpy.ones_like(ids)
        [states] = self.encoder.run(None, {"input_ids": ids, "attention_mask": mask})
        shape, sizes = (1, self.values["num_heads"], 0), (self.values["key_size"], self.values["value_size"])
        names = past_names(self.values["num_layers"])
        past = {name: numpy.zeros((*shape, sizes[i % 2]), numpy.float32) for i, name in enumerate(names)}
        return {"encoder_hidden_states": states, "encoder_attention_mask": mask, **past}

    def step(self, inputs: dict[str, Any], token: int) -> tuple[numpy.ndarray, dict[str, Any]]:
        """Return log-probabilities [V] of what follows a token, and the inputs of the next step."""
        logits, *present, _ = self.decoder.run(None, {"input_ids": numpy.array([[token]]), **inputs})
        shifted = logits[0, -1] - logits.max()
        following = dict(zip(past_names(self.values["num_layers"]), present, strict=True))
        states = inputs["encoder_hidden_states"][:, :0]  # whose keys and values are in the past by now
        return shifted - numpy.log(numpy.exp(shifted).sum()), {**inputs, "encoder_hidden_states": states, **following}

    def greedy(self, source: Sequence[int], max_length: int) -> Generated:
        """Return what follows a source, taking the likeliest token each time, behind those that are forced for free."""
        inputs, tokens, score = self.encode(source), [self.values["decoder_start_token_id"]], 0.0
        forced, end = iter(self.values["target_start"]), self.values["eos_token_id"]
        ends = {end, *self.values["other_ends"]}
        while len(tokens) <= max_length and (len(tokens) == 1 or tokens[-1] not in ends):
            log_probs, inputs = self.step(inputs, tokens[-1])
            start = next(forced, None)
            if start is None:
                log_probs = within_rules(log_probs, tokens, self.values["rules"], max_length, end)
                score += float(log_probs.max())
            tokens.append(int(log_probs.argmax()) if start is None else start)
        return Generated(tuple(tokens[1:]), score)
