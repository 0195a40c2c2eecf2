"""Why an output is what it is: what its tokens attended to in the source, and how a search from both ends went."""

from typing import Any

from seq2seq.generation.engine import TextEngine

MOST_STEPS = 256
"""Steps of a search from both ends that are told."""


def explains(engine: TextEngine) -> bool:
    """Return whether there is anything that this engine's outputs can be explained by: a network of ours."""
    decoder = getattr(getattr(engine, "model", None), "decoder", None)
    return hasattr(decoder, "layers") and engine.generation_order != "interleaved"


def explained(
    engine: TextEngine, source: list[int], output: list[int] | None, options: dict[str, Any]
) -> dict[str, Any]:
    """Return what explains an output: `source` and `target`, their token ids; `attention`; and `steps`, or None.

    Args:
        source: ends with end of sentence.
        output: ends with end of sentence; None = the best that a search finds.

    Raises:
        ValueError: the engine has nothing to explain it by, or the search failed.
    """
    if not explains(engine):
        raise ValueError("This model's outputs cannot be explained: its engine does not tell what it attends to.")
    searcher: Any = engine.searcher(**options)
    steps = _steps(engine, searcher, source)
    if output is None:
        from seq2seq.generation.batches import SourceBatch

        [(_, [best, *_])] = searcher.search_batch(SourceBatch([source], [0], engine.tokenizer.forced_starts(None, 1)))
        if best.error is not None:
            raise ValueError(best.error)
        output = list(best.tokens)
    return {"source": source, "target": output, "attention": attention(engine, source, output), "steps": steps}


def attention(engine: Any, source: list[int], output: list[int]) -> list[list[float]]:
    """Return what each token of an output attends to when it is generated, [T][S]: of the last layer, mean over heads.

    Args:
        output: in the order of reading.
    """
    import torch

    from seq2seq.data.generation_order import LEFT, RIGHT, from_right
    from seq2seq.decoding.running.trace import weights_of

    model = engine.model
    is_turned = model.generation_order == "r2l"
    ended = output if output[-1:] == [model.eos_id] else [*output, model.eos_id]
    ids = from_right(ended) if is_turned else ended
    input_ids = torch.tensor([source], device=engine.device)
    inputs = torch.tensor([[model.decoder_start_id, *ids[:-1]]], device=engine.device)
    with torch.inference_mode(), weights_of(model.decoder.layers[-1].cross_attention) as weights:
        side = model.from_side(RIGHT if is_turned else LEFT)
        side.teacher_forced(input_ids, torch.ones_like(input_ids, dtype=torch.bool), inputs)
    rows = weights[0][0].float().mean(0).tolist()
    if is_turned:
        rows = [*reversed(rows[:-1]), rows[-1]]
    return rows[: len(output)]


def _steps(engine: Any, searcher: Any, source: list[int]) -> list[Any] | None:
    """Return both beams before each step of a search from both ends, as token ids; None of any other search."""
    from seq2seq.decoding.algorithms.synchronous import SynchronousBeamSearch
    from seq2seq.decoding.running.trace import trace

    if not isinstance(searcher.search, SynchronousBeamSearch):
        return None
    return trace(engine.model, searcher.search, source).steps[1 : MOST_STEPS + 1]
