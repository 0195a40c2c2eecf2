from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from seq2seq.assembly.checks import check_config
from seq2seq.assembly.data import build_tokenizer
from seq2seq.assembly.gradient_rule import build_gradient_rule
from seq2seq.assembly.configuration import load_run_config
from seq2seq.data.corpus import read_corpus
from seq2seq.gradients.greedy_cost import GreedyCost
from seq2seq.gradients.parameter_search import ParameterSearch
from seq2seq.metrics.cost import make_cost
from tests.fakes import CharTokenizer
from tests.tiny_run import write_copy_task


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--validation.select_by", "bleu"], r"`validation.select_by` is 'bleu', which is neither `loss` nor one of"),
        (["--validation.metrics", "[blue]"], "There is no metric 'blue'; did you mean 'bleu'"),
        (["--training.average_checkpoints", "4"], r"`training.average_checkpoints` is 4, but 300 steps with a"),
        (["--decoding.beam_width", "3", "--decoding.n_best", "5"], "`beam_width` must be at least `n_best`"),
    ],
)
def test_options_that_do_not_fit_together(tmp_path: Path, options: list[str], message: str) -> None:
    config = [write_copy_task(tmp_path), "--validation.metrics", "[chrf]", "--validation.select_by", "chrf"]
    check_config(load_run_config(config))
    with pytest.raises(ValueError, match=message):
        check_config(load_run_config([*config, *options]))


def test_a_tokenizer_is_trained_once_and_then_loaded(tmp_path: Path, private_cache: Path) -> None:
    config = load_run_config([write_copy_task(tmp_path, tokenizer={"kind": "bpe", "vocab_size": 29})])
    corpus = read_corpus(path=tmp_path / "train.tsv", cache_directory=private_cache)
    leftover = tmp_path / "tokenizer.tmp" / "stale.json"
    leftover.parent.mkdir()
    leftover.touch()
    trained = build_tokenizer(config, tmp_path / "tokenizer", corpus)
    assert trained.source_vocab_size == 29
    assert not (tmp_path / "tokenizer" / "stale.json").exists()
    nothing = read_corpus(path=tmp_path / "validation.tsv", cache_directory=private_cache).select([])
    assert build_tokenizer(config, tmp_path / "tokenizer", nothing).fingerprint() == trained.fingerprint()


def test_a_tokenizer_can_be_loaded_from_elsewhere(copy_task: Path, tmp_path: Path, private_cache: Path) -> None:
    elsewhere = copy_task / "run" / "tokenizer"
    config = load_run_config([write_copy_task(tmp_path), "--tokenizer.path", str(elsewhere)])
    corpus = read_corpus(path=tmp_path / "train.tsv", cache_directory=private_cache)
    tokenizer = build_tokenizer(config, tmp_path / "tokenizer", corpus)
    assert tokenizer.encode_sources(["abc"]) == build_tokenizer(config, elsewhere, corpus).encode_sources(["abc"])
    assert (tmp_path / "tokenizer" / "tokenizer.json").is_file(), "kept, so that the run does not depend on elsewhere"


SEARCH = ["--gradient.kind", "parameter_search", "--training.initialize_from", "runs/x"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--training.gradient_accumulation", "2"], r"all pairs of a step at once; set .*raise `data.batch_tokens`"),
        (["--optimizer.flooding", "0.1"], "set `optimizer.flooding: 0`"),
        (["--training.precision", "fp16"], "set `training.precision` to bf16 or fp32"),
        (["--model.generation_order", "r2l"], "set `model.generation_order: l2r`"),
        (["--parameter_search.candidates_at_once", "2", "--model.positions", "learned"], "without learned `positions`"),
        (["--parameter_search.num_candidates", "5"], "`parameter_search.num_candidates` must be even"),
        (["--parameter_search.cost", "blue"], "There is no metric 'blue'; did you mean 'bleu'"),
    ],
)
def test_what_a_parameter_search_does_not_go_with(tmp_path: Path, options: list[str], message: str) -> None:
    config = [write_copy_task(tmp_path), *SEARCH]
    check_config(load_run_config(config))
    with pytest.raises(ValueError, match=message):
        check_config(load_run_config([*config, *options]))


def test_a_parameter_search_from_random_weights_warns(tmp_path: Path) -> None:
    config = load_run_config([write_copy_task(tmp_path), *SEARCH[:2]])
    with pytest.warns(UserWarning, match="Give a trained run as `training.initialize_from`"):
        check_config(config)


def processes(num_processes: int, process_index: int, kind: str = "MULTI_CPU") -> Any:
    distributed_type = SimpleNamespace(value=kind)
    return SimpleNamespace(
        num_processes=num_processes, process_index=process_index, distributed_type=distributed_type, device="cpu"
    )


def test_parameter_search_is_built_for_its_processes(tmp_path: Path) -> None:
    options = ["--parameter_search.cost", "exact_match", "--training.seed", "7"]
    config = load_run_config([write_copy_task(tmp_path), *SEARCH, *options])
    tokenizer: Any = CharTokenizer()
    rule = build_gradient_rule(config, tokenizer, processes(6, 5))
    assert isinstance(rule, ParameterSearch)
    assert rule.num_processes == 6
    assert rule.seed == 7
    assert rule.cost == GreedyCost(make_cost("exact_match"), tokenizer)
    with pytest.raises(ValueError, match="Under FSDP no process holds the whole model"):
        build_gradient_rule(config, tokenizer, processes(6, 0, "FSDP"))
