from pathlib import Path

import pytest
import torch

from seq2seq.assembly import precision
from seq2seq.assembly.configuration import RunConfig, load_run_config
from seq2seq.assembly.precision import PRECISION_NAMES, computes_bf16, decoding_type, with_precision
from seq2seq.assembly.run_directory import enter_run_directory


def configuration(wanted: str, folder: Path = Path("run")) -> RunConfig:
    return load_run_config(["--run_directory", str(folder), "--training.precision", wanted])


@pytest.fixture(params=[True, False])
def is_fast(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether this machine passes for one that computes in bf16."""
    monkeypatch.setattr(precision, "computes_bf16", lambda device=None: request.param)
    return bool(request.param)


def test_auto_is_what_the_machine_computes_in_and_other_names_stay(is_fast: bool) -> None:
    found = with_precision(configuration("auto"))
    assert found.training.precision == ("bf16" if is_fast else "fp32")
    for name in ("fp32", "fp16"):
        assert with_precision(configuration(name)) == configuration(name)


@pytest.mark.parametrize("has_halves", [True, False])
def test_names_of_compute_types(is_fast: bool, has_halves: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "can_halve", lambda device: has_halves)
    found = {name: decoding_type(name, "cpu") for name in PRECISION_NAMES}
    wanted = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "int8": torch.int8}
    assert found == wanted | {"auto": wanted["bf16" if is_fast else "fp16" if has_halves else "fp32"]}
    with pytest.raises(ValueError, match="`precision` must be one of auto, fp32, bf16, fp16, int8, but is 'float32'"):
        decoding_type("float32", "cpu")


def test_bf16_in_software_is_warned_of_and_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "computes_bf16", lambda: True)
    assert with_precision(configuration("bf16")) == configuration("bf16")
    monkeypatch.setattr(precision, "computes_bf16", lambda: False)
    with pytest.warns(UserWarning, match="computed in software"):
        assert with_precision(configuration("bf16")) == configuration("bf16")


def test_a_run_does_not_change_its_precision_on_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    auto = configuration("auto", tmp_path)
    monkeypatch.setattr(precision, "computes_bf16", lambda: True)
    (enter_run_directory(with_precision(auto)) / "checkpoints" / "step-00000007").mkdir(parents=True)
    monkeypatch.setattr(precision, "computes_bf16", lambda: False)
    with pytest.raises(ValueError, match="`training.precision` = 'bf16', but now it is 'fp32'"):
        enter_run_directory(with_precision(auto))


@pytest.mark.skipif(torch.accelerator.is_available(), reason="asks what the CPU can do")
@pytest.mark.parametrize(
    ("abilities", "expected"),
    [
        ({"architecture": "x86_64", "avx512_f": True}, False),
        ({"architecture": "x86_64", "avx512_bf16": True}, True),
        ({"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": True}, True),
        ({"architecture": "arm64", "bf16": False, "neon": True}, False),
        ({"architecture": "arm64", "bf16": True, "neon": True}, True),
    ],
)
def test_which_processors_have_bf16(
    abilities: dict[str, object], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: abilities)
    assert computes_bf16() is expected
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not computes_bf16(), "without kernels instructions are of no use"
